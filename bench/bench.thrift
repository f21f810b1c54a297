// What every peer is asked to do. Calls may be sent twice, so that zkrpc's retries and budget are in the way of each.

struct Item {
  1: i64 id,
  2: string name,
  3: double price,
  4: bool in_stock,
  5: i32 count,
  6: binary token,
  7: list<string> tags,
  8: map<string, i64> places,
}

struct Order {
  1: i64 id,
  2: string customer,
  3: list<Item> items,
}

service Bench {
  void ping() (zkrpc.idempotent = "true"),
  string echo(1: string text) (zkrpc.idempotent = "true"),
  Order rich(1: Order order) (zkrpc.idempotent = "true"),
  binary blob(1: binary data) (zkrpc.idempotent = "true"),
}
