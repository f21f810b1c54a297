// What the matrix speaks of: every type, every kind of call, every way to fail.

namespace java matrix
namespace go matrix
namespace cpp matrix

enum Colour { RED = 1, BLUE = 5 }

struct Point { 1: i32 x, 2: i32 y }

struct Everything {
  1: bool yes,
  2: bool no,
  3: i8 tiny,
  4: i16 small,
  5: i32 medium,
  6: i64 large,
  7: double ratio,
  8: string text,
  9: binary raw,
  10: Colour colour,
  11: Point point,
  12: list<Point> points,
  13: set<i32> numbers,
  14: map<string, list<i64>> table,
  15: map<i16, map<i32, Point>> nested,
  16: list<bool> bits,
}

// Fields that may be missing, and an id too far from the others for a compact header of one byte.
struct Sparse {
  1: optional bool yes,
  2: optional i32 near,
  3: optional string text,
  4: optional Point point,
  5: optional list<i64> numbers,
  300: optional i32 far,
}

exception Refused { 1: i32 code, 2: string why }

exception Missing { 1: string item, 2: Point place }

service Parent {
  string inherited(1: string text),
}

service Matrix extends Parent {
  void nothing(),
  bool flag(1: bool value),
  i8 tiny(1: i8 value),
  i16 small(1: i16 value),
  i32 medium(1: i32 value),
  i64 large(1: i64 value),
  double ratio(1: double value),
  string text(1: string value),
  binary raw(1: binary value),
  Colour colour(1: Colour value),
  Everything everything(1: Everything value),
  Sparse sparse(1: Sparse value),
  // The server's own, so that each side is also held to what it did not get from the other.
  Everything sample(),
  bool check(1: Everything value),
  list<i32> numbers(1: list<i32> value),
  set<string> names(1: set<string> value),
  map<string, i32> table(1: map<string, i32> value),
  list<list<list<i32>>> nested(1: list<list<list<i32>>> value),
  // As it were "1 two 3" for 1, "two" and [0, 0, 0].
  string several(1: i32 first, 2: string second, 3: list<i32> third),
  // "refused", "missing" and anything else, which raises what is not declared.
  void refuse(1: string how) throws (1: Refused refused, 2: Missing missing),
  // Twice the key; Missing below nought.
  i32 lookup(1: i32 key) throws (1: Missing missing),
  oneway void note(1: string text),
  list<string> noted(),
}

// What a client may know that is newer than its server.
service Later extends Matrix {
  string added(),
}
