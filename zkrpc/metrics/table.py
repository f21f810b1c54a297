"""Every metric: its name, its kind, its labels, and what it says. Pure values.

``docs/metrics.md`` is this table for readers; a test holds the two together.
"""

from __future__ import annotations

import dataclasses
import enum

SYSTEM = "apache_thrift"
"""The value of ``rpc_system_name``, as OpenTelemetry's Java agent has it."""


class Kind(enum.Enum):
    """What Prometheus makes of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclasses.dataclass(frozen=True, slots=True)
class Family:
    """One metric, with all its series. Two with the same name are the same."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    says: str
    merge: str = "sum"
    """What becomes of a gauge that two objects of the process have the same labels for: ``sum``, ``max`` or ``min``."""

    def __hash__(self) -> int:
        """By its name."""
        return hash(self.name)


def _counter(name: str, labels: str, says: str) -> Family:
    return Family(name, Kind.COUNTER, tuple(labels.split()), says)


def _gauge(name: str, labels: str, says: str, merge: str = "sum") -> Family:
    return Family(name, Kind.GAUGE, tuple(labels.split()), says, merge)


def _histogram(name: str, labels: str, says: str) -> Family:
    return Family(name, Kind.HISTOGRAM, tuple(labels.split()), says)


# -- calls of clients

CLIENT_CALLS = _histogram(
    "rpc_client_call_duration_seconds",
    "rpc_system_name rpc_method server_address rpc_status_code error_type",
    "Duration of calls made, each with all its attempts and pauses.",
)
CLIENT_FAILURES = _counter(
    "zkrpc_client_call_failures_total",
    "rpc_method server_address error_type executed",
    "Calls that failed, by whether the handler ran (no, maybe, yes). Declared exceptions are answers and not counted.",
)
CLIENT_ATTEMPTS = _counter(
    "zkrpc_client_attempts_total",
    "rpc_method server_address",
    "Attempts of calls, with second copies of hedged calls and attempts that found no instance.",
)
CLIENT_RETRIES = _counter(
    "zkrpc_client_retries_total",
    "rpc_method server_address error_type",
    "Attempts that failed and were followed by another one.",
)
CLIENT_HEDGES = _counter(
    "zkrpc_client_hedges_total", "rpc_method server_address", "Second copies of calls that were not answered soon."
)
CLIENT_BUDGET_EXHAUSTED = _counter(
    "zkrpc_client_retry_budget_exhausted_total",
    "server_address",
    "Calls that were not sent again, or not hedged, because the retry budget was used up.",
)
CLIENT_BUDGET = _gauge(
    "zkrpc_client_retry_budget_tokens", "server_address", "Retries and hedges that the retry budget allows now.", "min"
)
CLIENT_IN_FLIGHT = _gauge("zkrpc_client_calls_in_flight", "server_address", "Calls that wait for an answer.")

# -- the instances that a client knows

MEMBERS = _gauge(
    "zkrpc_client_members",
    "server_address connectivity",
    "Instances that a client knows, by the state of the way to them.",
)
MEMBERS_DOWN = _gauge("zkrpc_client_members_down", "server_address", "Instances that take no calls.")
MEMBERS_PICKED = _gauge("zkrpc_client_members_picked", "server_address", "Instances that calls are spread over now.")
MEMBERS_KEPT = _gauge(
    "zkrpc_client_members_kept",
    "server_address",
    "Instances in limbo: the registry no longer lists them, and the client keeps them because they answer.",
)
MEMBERS_JOINED = _counter("zkrpc_client_members_joined_total", "server_address", "Instances that a client learnt of.")
MEMBERS_LEFT = _counter("zkrpc_client_members_left_total", "server_address", "Instances that a client dropped.")
BREAKERS_OPEN = _gauge(
    "zkrpc_client_breakers_open", "server_address", "Instances that are avoided now because calls to them failed."
)
BREAKERS_OPENED = _counter(
    "zkrpc_client_breakers_opened_total",
    "server_address",
    "Times that an instance was ejected because too many calls to it had failed.",
)
MEMBERS_SPARED = _counter(
    "zkrpc_client_members_spared_total",
    "server_address",
    "Times that an instance was avoided because it had answered that it is overloaded.",
)
CLIENT_CONNECTIONS = _gauge("zkrpc_client_connections", "server_address", "Open connections to instances.")
CLIENT_CONNECTIONS_OPENED = _counter(
    "zkrpc_client_connections_opened_total", "server_address", "Connections that were opened."
)
CLIENT_CONNECTIONS_FAILED = _counter(
    "zkrpc_client_connections_failed_total", "server_address", "Connections that could not be opened."
)
CLIENT_CONNECTIONS_CLOSED = _counter(
    "zkrpc_client_connections_closed_total",
    "server_address reason",
    "Connections that ended: draining, silent (no sign of life), or closed.",
)

# -- servers

SERVER_CALLS = _histogram(
    "rpc_server_call_duration_seconds",
    "rpc_system_name rpc_method service_name rpc_status_code error_type",
    "Duration of requests from their dispatch to the answer: handler and interceptors.",
)
SERVER_REFUSED = _counter(
    "zkrpc_server_requests_refused_total",
    "rpc_method service_name error_type",
    "Requests that were refused without being run: Overloaded, Draining, DeadlineExceeded, PermissionDenied.",
)
SERVER_STATE = _gauge(
    "zkrpc_server_state", "service_name state", "1 for the state that a server is in, 0 for the others.", "max"
)
SERVER_READY = _gauge("zkrpc_server_ready", "service_name", "1 while callers shall send calls, as /readyz says.", "min")
SERVER_RUNNING = _gauge("zkrpc_server_requests_running", "service_name", "Handlers that run.")
SERVER_LIMIT = _gauge("zkrpc_server_concurrency_limit", "service_name", "Handlers that may run at once now.")
SERVER_MOST = _gauge("zkrpc_server_concurrency_limit_max", "service_name", "Upper bound of the concurrency limit.")
SERVER_QUEUED = _gauge("zkrpc_server_requests_queued", "service_name", "Requests that wait for a place.")
SERVER_QUEUE = _gauge("zkrpc_server_queue_capacity", "service_name", "Requests that may wait for a place.")
SERVER_TASKS = _gauge("zkrpc_server_tasks", "service_name", "Handlers that run on the event loop of asyncio.")
SERVER_OFFLOADED = _gauge("zkrpc_server_offload_running", "service_name", "Handlers that run in threads.")
SERVER_THREADS = _gauge("zkrpc_server_offload_threads", "service_name", "Handlers that may run in threads at once.")
SERVER_OFFLOAD_QUEUED = _gauge("zkrpc_server_offload_queued", "service_name", "Requests that wait for a thread.")
SERVER_OFFLOAD_QUEUE = _gauge(
    "zkrpc_server_offload_queue_capacity", "service_name", "Requests that may wait for a thread."
)
SERVER_BUFFERED = _gauge("zkrpc_server_buffered_bytes", "service_name", "Bytes held for peers.")
SERVER_MOST_BUFFERED = _gauge("zkrpc_server_buffered_bytes_max", "service_name", "Bytes that may be held for peers.")
SERVER_CONNECTIONS = _gauge("zkrpc_server_connections", "service_name", "Open connections of peers.")
SERVER_MOST_CONNECTIONS = _gauge(
    "zkrpc_server_connections_max", "service_name", "Connections that peers may have open."
)
SERVER_CONNECTIONS_OPENED = _counter(
    "zkrpc_server_connections_opened_total", "service_name", "Connections that were accepted."
)
SERVER_CONNECTIONS_REFUSED = _counter(
    "zkrpc_server_connections_refused_total", "service_name", "Connections that were closed at once: too many."
)
SERVER_CONNECTIONS_BROKEN = _counter(
    "zkrpc_server_connections_broken_total", "service_name", "Connections that were closed for what the peer did."
)
HANDSHAKES_FAILED = _counter(
    "zkrpc_server_handshakes_failed_total", "service_name reason", "TLS handshakes that came to nothing."
)
DRAINS = _counter("zkrpc_server_drains_total", "service_name", "Stops that were begun.")
DRAIN_STEP = _gauge(
    "zkrpc_server_drain_step_seconds", "service_name step", "How long each step of the current stop took.", "max"
)
DRAIN_STEP_FAILURES = _counter(
    "zkrpc_server_drain_step_failures_total", "service_name step", "Steps of a stop that failed."
)

# -- ZooKeeper

SESSION_STATE = _gauge(
    "zkrpc_zookeeper_session_state", "zookeeper state", "1 for the state that a session is in, 0 for the others.", "max"
)
SESSION_CONTACT = _gauge(
    "zkrpc_zookeeper_last_contact_age_seconds",
    "zookeeper",
    "Seconds since the newest message that ZooKeeper has acknowledged was sent.",
    "max",
)
SESSION_TIMEOUT = _gauge(
    "zkrpc_zookeeper_session_timeout_seconds",
    "zookeeper",
    "Seconds of silence after which ZooKeeper ends the session, as granted.",
    "min",
)
SESSION_EXPIRATIONS = _counter("zkrpc_zookeeper_session_expirations_total", "zookeeper", "Sessions that were lost.")
SESSION_SUSPENSIONS = _counter(
    "zkrpc_zookeeper_session_suspensions_total", "zookeeper", "Times that a session lost its connection."
)
HISTORIES = _gauge(
    "zkrpc_zookeeper_foreign_histories",
    "zookeeper",
    "Times that ZooKeeper's transactions were not those known: another ensemble, or lost data.",
    "max",
)
ZOOKEEPER_REQUESTS = _histogram(
    "zkrpc_zookeeper_request_duration_seconds",
    "zookeeper operation outcome",
    "Duration of requests to ZooKeeper; outcome is ok, the error, or OutcomeUnknown if no answer came.",
)
REGISTERED = _gauge("zkrpc_registered", "service_name", "1 while the registry lists the instance.", "min")
REGISTRATIONS = _counter("zkrpc_registrations_total", "", "Times that the registry began to list an instance.")
REGISTRATION_CONFLICTS = _counter(
    "zkrpc_registration_conflicts_total", "", "Times that another process held an instance's node."
)
REGISTRATION_FAILURES = _counter(
    "zkrpc_registration_failures_total", "error_type", "Steps of a registration that failed and were tried again."
)

# -- elections

IS_PRIMARY = _gauge("zkrpc_election_is_primary", "service_name group", "1 while this instance serves as primary.")
HAS_PRIMARY = _gauge(
    "zkrpc_election_has_primary", "service_name group", "1 while this instance knows of a primary.", "max"
)
EPOCH = _gauge("zkrpc_election_epoch", "service_name group", "The epoch of the primary, as known here.", "max")
LEASE_LEFT = _gauge(
    "zkrpc_election_lease_left_seconds",
    "service_name group",
    "Seconds that this instance may go on as primary without hearing from ZooKeeper; 0 if it is not the primary.",
    "max",
)
PRIMARY_CALLS = _gauge("zkrpc_election_calls_running", "service_name group", "Calls for the primary that run here.")
ELECTED = _counter("zkrpc_election_elected_total", "service_name group", "Elections that this instance won.")
DEPOSED = _counter(
    "zkrpc_election_deposed_total",
    "service_name group voluntary",
    "Times that this instance ceased to lead; voluntary is true if it left on purpose.",
)
SYNCHRONISATION = _histogram(
    "zkrpc_election_synchronisation_duration_seconds",
    "service_name group",
    "Time from an election to its primary serving calls: on_elected, and the lease.",
)
GAP = _histogram(
    "zkrpc_election_gap_duration_seconds",
    "service_name group",
    "Time without a primary between two primaries, as an instance saw it.",
)

# -- the process

CERTIFICATES_RELOADED = _counter(
    "zkrpc_tls_certificates_reloaded_total",
    "service_name side",
    "Changes of a certificate's files that were taken in; side is server or client.",
)
CERTIFICATES_REJECTED = _counter(
    "zkrpc_tls_certificates_rejected_total",
    "service_name side",
    "Changes of a certificate's files that could not be used: the earlier ones still are.",
)
CERTIFICATE_EXPIRES = _gauge(
    "zkrpc_tls_certificate_not_after_timestamp_seconds",
    "service_name side",
    "When the certificate ends that is shown by a server, or by a client, Unix time: the first of its chain.",
    "min",
)
HUB_BLOCKED = _histogram(
    "zkrpc_hub_blocked_duration_seconds", "", "Times that the event loop was blocked for longer than 0.2 s."
)
BUILD = _gauge("zkrpc_build_info", "version", "1; the label has the version of zkrpc.", "max")
SPANS = _gauge(
    "zkrpc_trace_spans",
    "outcome",
    "Spans that were recorded: sent to be exported, dropped before, or lost by it.",
    "max",
)

TABLE: tuple[Family, ...] = tuple(one for one in list(globals().values()) if isinstance(one, Family))
"""All of them, in this order."""
