include "../../idl/ledger.thrift"

service Bank extends ledger.Ledger {
  // Keeps the primary's hub busy, as a handler that computes too much would.
  void burn(1: required i32 milliseconds) (zkrpc.primary = "true", zkrpc.timeout_ms = "30000")
}
