service Link {
  // Calls the next service, or takes long if there is none.
  void work(1: required string request_id) (zkrpc.timeout_ms = "5000")
}
