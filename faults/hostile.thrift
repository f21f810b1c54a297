struct Pair {
  1: required string name,
  2: optional map<i32, i32> numbers,
}

service Target {
  // What honest callers ask for.
  string echo(1: required string text) (zkrpc.idempotent = "true", zkrpc.timeout_ms = "10000")

  // The epoch of the primary, which must stay what it is.
  i64 lead() (zkrpc.primary = "true", zkrpc.idempotent = "true", zkrpc.timeout_ms = "10000")

  // So many bytes.
  binary blob(1: required i32 size)

  // Waits.
  void slow(1: required i32 milliseconds)

  // Structs, for those who send more of them than anybody needs.
  i32 count(1: required list<Pair> pairs)

  oneway void note(1: required string text)
}
