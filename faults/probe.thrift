service Probe {
  i64 get(1: required string key) (zkrpc.idempotent = "true", zkrpc.timeout_ms = "5000")
  i64 add(1: required string key, 2: required i64 amount, 3: required string request_id)
}
