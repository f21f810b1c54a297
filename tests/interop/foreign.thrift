// What foreign clients and servers are tried with: one of each kind of call, and one struct with every kind of field.

enum Colour { RED = 1, BLUE = 2 }

struct Point { 1: i32 x, 2: i32 y }

struct Rich {
  1: bool flag,
  2: i8 tiny,
  3: i16 small,
  4: i32 medium,
  5: i64 large,
  6: double ratio,
  7: string text,
  8: binary raw,
  9: list<Point> points,
  10: map<string, list<i64>> table,
  11: set<i32> numbers,
  12: Colour colour,
  13: map<i16, Point> places,
  14: list<bool> bits,
}

exception Oops { 1: string why, 2: i32 code }

service Foreign {
  void ping(),
  string echo(1: string text),
  Rich rich(1: Rich rich),
  void fail(1: string how) throws (1: Oops oops),
  oneway void note(1: string text),
  list<string> notes(),
  string slow(1: string text, 2: i32 milliseconds),
}

// Beside it on the same port, as in Apache's own tests of multiplexing; a name that both have means another method.
service Second {
  string secondtestString(1: string thing),
  string echo(1: string text),
}

// What a client may know that is newer than its server.
service Newer extends Foreign {
  string added(),
}
