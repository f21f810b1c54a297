exception Refused { 1: string why }

service Board {
  string write(1: string text) throws (1: Refused refused)
  string marked(1: string text) (zkrpc.primary = "true", zkrpc.idempotent = "true")
  string shard(1: string group, 2: string text)
  string read() (zkrpc.idempotent = "true")
  string wait(1: i32 milliseconds)
  oneway void note(1: string text)
}
