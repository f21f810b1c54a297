exception Declined {
  1: string why
}

service Scale {
  // The text.
  string echo(1: required string text) (zkrpc.idempotent = "true", zkrpc.timeout_ms = "5000")

  // The same, later; as a database would be waited for.
  string wait(1: required string text, 2: required i32 milliseconds) (zkrpc.idempotent = "true", zkrpc.timeout_ms = "5000")

  // Fails as the IDL says it may.
  void decline(1: required string why) throws (1: Declined declined)

  // Objects that the garbage collector of the server knows, after a collection.
  i64 objects()
}
