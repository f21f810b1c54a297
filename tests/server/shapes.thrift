enum Color { RED = 1, GREEN = 2 }

service Base { void ping() }

service Shapes extends Base {
  i32 area(1: i32 width, 2: i32 height)
  list<string> find(1: string prefix, 2: i32 limit = 10, 3: optional Color color)
  i32 userAge(1: i64 userId) (zkrpc.idempotent = "true")
  oneway void note(1: required string text)
}
