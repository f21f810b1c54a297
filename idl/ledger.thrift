// Accounts with one writer: the example of a service that elects a primary.

namespace py ledger

exception UnknownAccount {
  1: required string account,
}

exception InsufficientFunds {
  1: required string account,
  2: required i64 balance,
}

service Ledger {
  // Opens an account with a first amount, unless it is open already; its balance.
  i64 open(1: required string account, 2: i64 amount = 0) (zkrpc.primary = "true", zkrpc.idempotent = "true"),

  // Moves an amount and gives the source's new balance. The request id names the transfer: sent again, after an answer
  // that was lost, it moves nothing and is answered as before. That is what makes it idempotent.
  i64 transfer(1: required string source, 2: required string target, 3: required i64 amount,
               4: required string request_id)
    throws (1: UnknownAccount unknown, 2: InsufficientFunds insufficient)
    (zkrpc.primary = "true", zkrpc.idempotent = "true"),

  // The balance as this instance sees it.
  i64 balance(1: required string account) throws (1: UnknownAccount unknown) (zkrpc.idempotent = "true"),

  // All accounts together: no transfer changes it.
  i64 total() (zkrpc.idempotent = "true"),

  // Who answers, and in which epoch if it is the primary.
  string whoami() (zkrpc.primary = "true", zkrpc.idempotent = "true"),
}
