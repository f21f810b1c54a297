/**
 * What a server tells of itself to whoever operates it. Every port that zkrpc serves answers it beside the interface
 * that it is there for, as the service "zkrpc.Introspection", unless ServerConfig.introspection is off. Whoever can call
 * the service can ask. It is a part of zkrpc: copy it to where you need it.
 */
namespace * zkrpc

struct MethodCalls {
  /** The IDL's name; "_OTHER" for all that the IDL does not have. */
  1: required string method,
  2: required i64 calls,
  /** Calls that were refused, or answered with something else than the IDL declares. */
  3: required i64 errors,
  /** When the last call came, Unix time. */
  4: required double called_at,
}

struct CallerCalls {
  /** What the caller says that it is; "unnamed:..." or "_OTHER" for those that are counted together. */
  1: required string name,
  2: required string version,
  3: required i32 connections,
  /** Calls beyond its quota. */
  4: required i64 refused,
  /** Calls a second that it may make of this instance, if it has a quota. */
  5: optional double max_rate,
  6: required list<MethodCalls> methods,
}

struct Callers {
  1: required string service,
  /** Since when calls are counted, Unix time. */
  2: required double started_at,
  3: required list<CallerCalls> callers,
}

service Introspection {
  /** The state of the process, zkrpc.telemetry.status.AppStatus, as JSON. */
  string status() (zkrpc.idempotent = "true", zkrpc.timeout_ms = "2000"),

  /** Who has called this instance, and what. */
  Callers callers() (zkrpc.idempotent = "true", zkrpc.timeout_ms = "2000"),
}
