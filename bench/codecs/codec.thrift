// The values that bench.thrift has no struct for.
include "../bench.thrift"

struct Echo { 1: string text }

struct Scalars {
  1: bool flag,
  2: i32 count,
  3: i32 port,
  4: i64 id,
  5: i64 at,
  6: double price,
  7: string name,
  8: binary token,
}

struct Numbers { 1: list<i64> numbers }

struct Words { 1: list<string> words }

struct Shelf { 1: map<string, bench.Item> items }

struct Blob { 1: binary data }

service Codec { void echo(1: string text) }
