"""The metadata keys that client and server agree on. All other keys in a THeader block belong to the application.

Keys are compared exactly, case included, as Apache's implementations do.
"""

from __future__ import annotations

from zkrpc import deadline

DEADLINE_BUDGET = deadline.DEADLINE_BUDGET
"""Time the caller still waits: relative, so that clocks need not agree."""
TRACEPARENT = "traceparent"
"""W3C Trace Context, passed on as it is."""
TRACES = "zkrpc-traces"
"""On a client's hello: it traces, and a call of its without ``traceparent`` belongs to a trace that is not recorded."""
EPOCH = "zkrpc-epoch"
"""Call: the lowest epoch the caller accepts. Reply: the epoch of the primary that answered. On NotPrimary: the newest
epoch this instance knows of; on StaleEpoch: its own."""
SEEN = "zkrpc-seen"
"""On StaleEpoch: the epoch that the caller had seen."""
ATTEMPT = "zkrpc-attempt"
"""Which attempt this is; 1, the first, is not sent."""
EXECUTED = "zkrpc-executed"
"""On an exception: whether the handler ran, as a value of :class:`zkrpc.errors.Executed`."""
ERROR = "zkrpc-error"
"""On an exception: the name of the error class to raise, such as ``Overloaded``."""
PRIMARY = "zkrpc-primary"
"""On NotPrimary: the ``host:port`` of the primary, as far as this instance knows."""
GROUP = "zkrpc-group"
"""On NotPrimary: the group whose primary the call needs."""
MAX_FRAME = "zkrpc-max-frame"
"""On hello: the largest frame in bytes that the sender accepts."""
MAX_HEADER = "zkrpc-max-header"
"""On hello: the largest THeader block in bytes that the sender accepts."""
MAX_ENTRIES = "zkrpc-max-header-entries"
"""On hello: the most key/value pairs that the sender accepts."""
CALLER = "zkrpc-caller"
"""The name of the program that calls, as :mod:`zkrpc.caller` has it: on hello, or on the first call to a server that is
sent none."""
CALLER_VERSION = "zkrpc-caller-version"
"""Its version."""
RETRY_AFTER = "zkrpc-retry-after-ms"
"""On Overloaded: for how many whole milliseconds to send no calls to this instance."""
