"""Stock clients of other libraries call our server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

import zkrpc
from tests.interop.behaviour import ANSWERS, BOTH, IDL, Handler, SecondHandler
from tests.support.processes import output
from zkrpc.config import ServerConfig, WireLimits

idl = zkrpc.load(IDL)
VARIANTS = {
    "apache": (
        "framed binary",
        "framed binary, accelerated",
        "framed compact",
        "framed compact, accelerated",
        "framed binary, multiplexed",
        "framed binary, old",
        "binary",
        "binary, accelerated",
        "binary, old",
        "compact",
        "compact, accelerated",
        "binary in zlib",
        "compact in zlib",
        "framed binary in zlib",
        "THeader binary",
        "THeader binary, deflated",
        "THeader compact",
    ),
    "thriftpy2": (
        "framed binary",
        "framed binary, pure Python",
        "framed compact",
        "framed binary, multiplexed",
        "binary",
        "binary, pure Python",
        "binary, old",
        "binary, multiplexed",
        "compact",
    ),
    "second": ("framed binary", "framed compact", "binary", "compact", "THeader binary"),
    "health": ("framed binary", "framed compact", "THeader binary"),
}


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, Any]]:
    """What every client was told by one server, and the metadata that the server saw."""
    tenants: list[str] = []

    def noting(call: Any, proceed: Any) -> Any:
        tenants.extend(value for key, value in call.headers.items() if key == "tenant")
        return proceed(call)

    config = ServerConfig(wire=WireLimits(accept_zlib=True))
    service = zkrpc.Service(idl.Foreign, Handler(idl, gevent.sleep), config=config, interceptors=[noting])
    handlers = [Handler(idl, gevent.sleep), SecondHandler]
    app, both = zkrpc.serve(service), zkrpc.serve(zkrpc.Service([idl.Foreign, idl.Second], handlers, "both"))
    ports = {name: app.endpoint.port for name in VARIANTS} | {"second": both.endpoint.port}
    runs = {name: gevent.spawn(output, "-m", "tests.interop.callers", name, str(port)) for name, port in ports.items()}
    try:
        gevent.joinall(list(runs.values()))
        yield {**{name: json.loads(run.get()) for name, run in runs.items()}, "tenants": tenants}
    finally:
        gevent.killall(list(runs.values()))
        app.kill()
        both.kill()


@pytest.mark.parametrize(
    ("library", "variant"), [(name, one) for name in ("apache", "thriftpy2") for one in VARIANTS[name]]
)
def test_client_of_another_library_is_served(told: Any, library: str, variant: str) -> None:
    """Every kind of call, what failed included, and the calls after it on the same connection."""
    answers = told[library][variant]
    assert isinstance(answers, dict), answers
    assert answers.pop("in a row") == ["first", "second", "third"], "calls that share one sequence id"
    assert answers == ANSWERS


@pytest.mark.parametrize("variant", VARIANTS["second"])
def test_client_of_another_library_multiplexes_services(told: Any, variant: str) -> None:
    """Two services over one connection, the first one by its plain names as well; whoever asks for a third is told
    which there are, and the connection goes on."""
    answers = told["second"][variant]
    assert isinstance(answers, dict), answers
    assert [answers[one] for one in ("plain", "by name", "by the registry's name", "afterwards")] == [BOTH] * 4
    assert answers["no service"] == [1, "there is no service 'Third' here; there are Foreign, Second, both"]
    assert answers["no method"] == [1, "unknown method 'Second:slow'"]


@pytest.mark.parametrize("variant", VARIANTS["health"])
def test_client_of_another_library_asks_a_built_in_service(told: Any, variant: str) -> None:
    """Multiplexed, as zkrpc.Health; the answer has the bare name of the method, as such clients expect."""
    answer = told["health"][variant]
    assert isinstance(answer, dict), answer
    assert answer["message"] == ["check", 2, 3]
    status = answer["result"]["0"]
    assert status.pop("6") > 0
    assert status == {"1": "foreign", "2": True, "3": True, "4": [], "5": "serving"}


def test_client_of_another_library_was_not_forgotten(told: Any) -> None:
    """The lists of this test and of the process that ran the clients are the same."""
    assert {name: set(VARIANTS[name]) for name in VARIANTS} == {name: set(told[name]) for name in VARIANTS}


def test_client_with_theader_brings_metadata(told: Any) -> None:
    """Apache's library sends it once per transport; interceptors and handlers see it."""
    assert told["tenants"] == ["blue"] * 3
