/**
 * What a server says of itself. Every port that zkrpc serves answers it beside the interface that it is there for: to
 * Thrift clients that multiplex, as the service "zkrpc.Health". It is a part of zkrpc: copy it to where you need it.
 */
namespace * zkrpc

struct HealthStatus {
  /** The service that is served here, by its name in the registry; with "/group" if a group was asked about. */
  1: required string service,
  /** Whether callers shall send their calls here. */
  2: required bool ready,
  /** False only if the process shall be ended, as it will not recover by itself. */
  3: required bool live,
  /** Why it is not ready, or not live, in words; empty otherwise. */
  4: required list<string> reasons,
  /** "starting", "serving", "draining" or "stopped". */
  5: required string state,
  /** Another number whenever anything above is different. */
  6: required i64 version,
}

exception NotServed {
  1: required string message,
}

service Health {
  /**
   * The health of the service: of the only one that is served there, or NotServed if it does not have this name. With
   * "service/group", or "/group": whether this instance is ready and serves as the primary of that group; NotServed if
   * the service elects none for it.
   */
  HealthStatus check(1: string service = "") throws (1: NotServed unknown)
    (zkrpc.idempotent = "true", zkrpc.timeout_ms = "1000"),

  /**
   * The same, once its version is not `seen`: at once, if it is not now, or within `timeout_ms`, of which half a minute
   * is the most. Where many wait already it answers at once.
   */
  HealthStatus watch(1: string service = "", 2: i64 seen = 0, 3: i32 timeout_ms = 10000) throws (1: NotServed unknown)
    (zkrpc.idempotent = "true", zkrpc.timeout_ms = "35000"),
}
