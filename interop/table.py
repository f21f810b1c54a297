"""Who takes part in the matrix, in which dialects and which way round, and what each needs. Pure.

What a library has no code for is not in its row. What stands there must be green.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

_PLAIN = ("binary", "compact", "framed", "framed-compact")
_OLD = ("binary-old", "framed-old")
_HEADERS = ("theader", "theader-compact")
_ZLIB = ("zlib", "zlib-compact")
_MULTIPLEXED = ("multiplexed", "framed-multiplexed")
DIALECTS = (*_PLAIN, *_OLD, *_HEADERS, "theader-zlib", *_ZLIB, *_MULTIPLEXED)
"""By the names that the programs know too. ``theader-zlib`` is binary with each message deflated by itself; the two
``zlib`` deflate the whole stream; the two ``multiplexed`` are binary with the service's name before each method's."""
OURS = (*_PLAIN, *_OLD, *_HEADERS, "theader-zlib", *_MULTIPLEXED)
"""What our client speaks to servers that are not zkrpc's."""


CALLS_US, IS_CALLED = "calls us", "is called"
DIRECTIONS = (CALLS_US, IS_CALLED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
    """One library of one language."""

    name: str
    title: str
    client: tuple[str, ...]
    """The dialects in which it calls our server."""
    server: tuple[str, ...]
    """The dialects in which our client calls it."""
    needs: tuple[tuple[str, str], ...] = ()
    """What must be here, a program or a file, and the package of Debian that brings it."""
    hangs_up: bool = False
    """Whether its server ends the connection after an exception that is not declared."""

    def dialects(self, direction: str) -> tuple[str, ...]:
        """Those of one direction."""
        return self.client if direction == CALLS_US else self.server


class Known(NamedTuple):
    """A fault of a peer's own library: these cases must fail there, and nothing else may."""

    peer: str
    direction: str
    dialects: tuple[str, ...]
    cases: tuple[str, ...]
    why: str


_THRIFT = ("thrift", "thrift-compiler")
_JAVA = (("javac", "default-jdk-headless"), ("/usr/share/java/thrift.jar", "libthrift-java"))
_CPP = (
    ("g++", "g++"),
    ("/usr/include/thrift/Thrift.h", "libthrift-dev"),
    ("/usr/include/boost/numeric/conversion/cast.hpp", "libboost-dev"),
)
_GO = (("go", "golang-go"), ("/usr/share/gocode/src/github.com/apache/thrift/lib/go/thrift", "golang-thrift-dev"))
# Its library (0.17) writes past its buffer when it inflates a large THeader message, and dies of it.
_CPP_SPEAKS, _CPP_ANSWERS = (tuple(one for one in row if one != "theader-zlib") for row in (DIALECTS, OURS))
_ROWS = (
    Peer(name="apache", title="Apache, Python", client=DIALECTS, server=OURS),
    Peer(name="apache-c", title="Apache, Python in C", client=_PLAIN, server=_PLAIN),
    Peer(
        name="thriftpy2",
        title="thriftpy2",
        client=(*_PLAIN, *_OLD, *_MULTIPLEXED),
        server=(*_PLAIN, *_OLD, *_MULTIPLEXED),
        hangs_up=True,
    ),
    Peer(
        name="node",
        title="Apache, Node",
        client=(*_PLAIN, *_OLD, *_HEADERS, *_MULTIPLEXED),
        server=(*_PLAIN, *_OLD, *_HEADERS, *_MULTIPLEXED),
        needs=(_THRIFT, ("node", "nodejs"), ("npm", "npm")),
    ),
    Peer(
        name="java",
        title="Apache, Java",
        client=(*_PLAIN, *_OLD, *_ZLIB, *_MULTIPLEXED),
        server=(*_PLAIN, *_OLD, *_MULTIPLEXED),
        needs=(_THRIFT, *_JAVA),
    ),
    Peer(name="cpp", title="Apache, C++", client=_CPP_SPEAKS, server=_CPP_ANSWERS, needs=(_THRIFT, *_CPP)),
    Peer(name="go", title="Apache, Go", client=DIALECTS, server=OURS, needs=(_THRIFT, *_GO)),
)
PEERS = {peer.name: peer for peer in _ROWS}
_COMPACT = tuple(dialect for dialect in DIALECTS if dialect.endswith("compact"))
_NODE_BOOLS = "Node reads every bool in a compact list as false (thrift 0.24.0 on npm)"
_NODE_TYPE = "Node leaves the type out of its answer to an unknown method (thrift 0.24.0 on npm)"
_THRIFTPY2_UNKNOWN = "thriftpy2 hangs up on an unknown method, if services are multiplexed"
KNOWN = (
    Known("node", CALLS_US, _COMPACT, ("struct", "their sample"), _NODE_BOOLS),
    Known("node", IS_CALLED, _COMPACT, ("struct", "our sample"), _NODE_BOOLS),
    Known("node", IS_CALLED, OURS, ("unknown",), _NODE_TYPE),
    Known("thriftpy2", IS_CALLED, _MULTIPLEXED, ("unknown",), _THRIFTPY2_UNKNOWN),
)


def known(peer: str, direction: str, dialect: str) -> dict[str, str]:
    """The cases that must fail in one cell, and why."""
    return {
        case: row.why
        for row in KNOWN
        if (row.peer, row.direction) == (peer, direction) and dialect in row.dialects
        for case in row.cases
    }
