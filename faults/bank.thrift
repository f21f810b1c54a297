include "../idl/ledger.thrift"

service Bank extends ledger.Ledger {
  // Keeps the primary's hub busy, as a handler that computes too much would.
  void burn(1: required i32 milliseconds) (zkrpc.primary = "true", zkrpc.timeout_ms = "30000"),

  // Writes to ZooKeeper, in a transaction that only the newest primary can make. Returns its epoch.
  i64 mark() (zkrpc.primary = "true", zkrpc.idempotent = "true")
}
