exception Oops { 1: string why }

struct Pair { 1: required string left, 2: i32 right }

service Echo {
  string echo(1: string text) (zkrpc.idempotent = "true")
  string slow(1: string text, 2: i32 milliseconds)
  Pair pair(1: Pair pair) throws (1: Oops oops)
  void fail(1: string how) throws (1: Oops oops)
  oneway void note(1: string text)
  string large(1: i32 size)
}
