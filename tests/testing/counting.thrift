service Counting {
  i64 add(1: i64 amount) (zkrpc.primary = "true")
  i64 add_to(1: string shard, 2: i64 amount) (zkrpc.idempotent = "true")
  i64 seen() (zkrpc.idempotent = "true")
  void write() (zkrpc.primary = "true")
}
