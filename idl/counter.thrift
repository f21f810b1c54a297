// Counters with one writer: the example of a service that keeps state.

namespace py counter

exception UnknownCounter {
  1: required string key,
}

service Counter {
  // Adds to a counter, makes it if there is none, and gives its new value. Only the primary counts.
  //
  // Not idempotent by itself: sent twice it would count twice. The request id tells the service which requests are the
  // same one, so that it can answer a repeated one with the value it gave first.
  i64 add(1: required string key, 2: required i64 amount, 3: required string request_id)
    (zkrpc.primary = "true", zkrpc.timeout_ms = "2000"),

  // The value of a counter, at any instance, where it may be a moment old.
  i64 get(1: required string key) throws (1: UnknownCounter unknown)
    (zkrpc.idempotent = "true", zkrpc.timeout_ms = "500"),

  // All counters with their values.
  map<string, i64> all() (zkrpc.idempotent = "true"),
}
