exception NoSuchAccount { 1: string account }

service Ledger {
  string transfer(1: string account) throws (1: NoSuchAccount gone) (zkrpc.primary = "true")
  string undeclared(1: string account)
  string again(1: string account) (zkrpc.primary = "true", zkrpc.idempotent = "true")
  string balance(1: string account)
  oneway void note(1: string account) (zkrpc.primary = "true")
}
