service Target {
  // Takes a while and no processor.
  i64 get(1: required i64 number) (zkrpc.idempotent = "true", zkrpc.timeout_ms = "5000")

  // Asks the replica's database, which does a few things at a time and never learns that nobody waits any more.
  i64 query(1: required i64 number) (zkrpc.idempotent = "true", zkrpc.timeout_ms = "1000")

  // From now on `get` is so much slower, or fails, for that share of its calls.
  void misbehave(1: required double delay, 2: required bool fails, 3: required double share)

  // No longer.
  void behave()

  // How many calls of a method came in, refused ones included, by tenths of a second of the machine's monotonic clock.
  map<i64, i64> received(1: required string method)
}
