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

struct TappedCall {
  /** When it ended, Unix time. */
  1: required double at,
  2: required string caller,
  /** host:port */
  3: required string peer,
  4: required string method,
  /** Seconds from its last byte until it was dispatched, or refused. */
  5: required double queued,
  /** Seconds in the handler and its interceptors; unset if it was refused before. */
  6: optional double seconds,
  /** The name of the exception that it ended with; empty if there was none. */
  7: required string error,
  /** Whether the IDL declares that exception. */
  8: required bool declared,
  /** "no", "maybe" or "yes", as the caller is told. */
  9: required string executed,
  /** The epoch of the primary that served it. */
  10: optional i64 epoch,
  /**
   * The arguments as JSON by zkrpc's mapping, if they were asked for and the service allows it: their beginning, with
   * "<masked>" in the place of what is masked and "<cut: ...>" in that of what is too large.
   */
  11: optional string arguments,
  /** The result, the same way. */
  12: optional string result,
  /** The exception, if the IDL declares it, the same way: {"type": ..., "value": ...}. */
  13: optional string exception_value,
  /** Whether anything of these is cut. */
  14: optional bool cut,
}

struct TapBatch {
  /** The tap to ask for more. */
  1: required string tap,
  2: required list<TappedCall> calls,
  /** Calls since the tap began, those included that were not sampled. */
  3: required i64 seen,
  /** Sampled calls for which there was no room, as nobody fetched them. */
  4: required i64 dropped,
}

/** Who may call. */
struct AllowList {
  /** The IDL's name, "Audit:log" for a method of another interface than the default one, "zkrpc.Introspection" for a
   * built-in service, or "*" for all that have no list of their own of the same source. */
  1: required string method,
  /** "code", "IDL" or "config". A caller has to be on the list of each source that has one. */
  2: required string source,
  /** Of which one has to match what the caller's certificate proves; none admits nobody. */
  3: required list<string> patterns,
}

exception TapRefused {
  1: required string message,
}

service Introspection {
  /** The state of the process, zkrpc.telemetry.status.AppStatus, as JSON. */
  string status() (zkrpc.idempotent = "true", zkrpc.timeout_ms = "2000"),

  /** Who has called this instance, and what. */
  Callers callers() (zkrpc.idempotent = "true", zkrpc.timeout_ms = "2000"),

  /** All lists of who may call what, as they hold here now. */
  list<AllowList> lists() (zkrpc.idempotent = "true", zkrpc.timeout_ms = "2000"),

  /**
   * A sample of the calls that are served from now on. The first question, without a `tap`, says which method (all, if
   * it is empty), what share of its calls, up to 1, and whether arguments and results are wanted, as far as the service
   * allows to show them; the next ones name the tap of the answer. It answers as soon as there is a call, or after `timeout_ms`, of which ten seconds is the most. A tap
   * ends ten seconds after the last answer, and with the connection of a question that waits.
   */
  TapBatch tap(1: string tap = "", 2: string method = "", 3: double sample = 1.0, 4: i32 timeout_ms = 5000,
    5: bool bodies = false)
    throws (1: TapRefused refused) (zkrpc.timeout_ms = "15000"),
}
