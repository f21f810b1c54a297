// Its calls may take a minute: the programs that make them start others, and have little of the machine.
service Counting {
  i32 add(1: string who) (zkrpc.timeout_ms = "60000")
  i32 total(1: string who) (zkrpc.idempotent = "true", zkrpc.timeout_ms = "60000")
  string echo(1: string text) (zkrpc.timeout_ms = "60000")
  void nap(1: i32 milliseconds) (zkrpc.timeout_ms = "60000")
  i32 fork(1: string how) (zkrpc.timeout_ms = "60000")
  i32 inheritable() (zkrpc.timeout_ms = "60000")
}
