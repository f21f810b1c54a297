struct Held {
  1: required i64 running
  2: required i64 begun
  3: required i64 cancelled
  4: required i64 greenlets
  5: required i64 objects
}

service Worlds {
  // Returns after a while; a call that is cancelled ends in the middle of it.
  void nap(1: required i32 milliseconds) (zkrpc.idempotent = "true")

  // The text.
  string echo(1: required string text) (zkrpc.idempotent = "true", zkrpc.timeout_ms = "30000")

  // What the server has, after a collection.
  Held held() (zkrpc.timeout_ms = "30000")
}
