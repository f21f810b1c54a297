// A directory of users: the example of a service whose instances are all alike.
//
// Annotations that begin with "zkrpc." tell both sides how a method wants to be called. Other Thrift tools ignore them.

namespace py users

enum Role {
  GUEST = 0,
  MEMBER = 1,
  ADMIN = 2,
}

struct User {
  1: required i64 id,
  2: required string name,
  3: optional string email,
  4: Role role = Role.MEMBER,
  // Never sent by older callers; an empty list is made for each user that comes without.
  5: list<string> tags = [],
}

// Nobody has this id. An answer like any other: it is not retried, and raised as itself at the caller.
exception UserNotFound {
  1: required i64 id,
}

exception UserExists {
  1: required i64 id,
}

service Users {
  // Reading twice is as good as reading once, so a lost answer may be asked for again, at another instance.
  User get(1: required i64 id) throws (1: UserNotFound missing)
    (zkrpc.idempotent = "true", zkrpc.timeout_ms = "500"),

  // Users whose name begins with the prefix, in the order of their ids.
  list<User> find(1: required string prefix, 2: i32 limit = 20) (zkrpc.idempotent = "true"),

  // Stores the user under its id, whoever was there before: doing it again changes nothing.
  void put(1: required User user) (zkrpc.idempotent = "true"),

  // Not idempotent: if the first attempt did it, the second says UserExists.
  void create(1: required User user) throws (1: UserExists exists),

  // Whether there was such a user.
  bool remove(1: required i64 id),

  // Nobody waits for this one, and nobody hears if it fails.
  oneway void seen(1: required i64 id, 2: required i64 at_ms),

  // Which process answers.
  string whoami() (zkrpc.idempotent = "true", zkrpc.timeout_ms = "200"),
}
