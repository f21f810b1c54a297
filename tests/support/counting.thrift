service Counting {
  i32 add(1: string who)
  i32 total(1: string who) (zkrpc.idempotent = "true")
  string echo(1: string text)
  void nap(1: i32 milliseconds)
  i32 fork(1: string how)
  i32 inheritable()
}
