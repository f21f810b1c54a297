"""What the programs of all Python libraries have in common: the words they take and the lines they print."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from interop.cases import ask

SECONDS = 10
"""How long a client waits for one answer."""


class Connected(NamedTuple):
    """A client of some library."""

    client: Any
    types: Any
    failure: type[Exception]
    """The library's class for what is not declared; its ``type`` says which."""
    close: Callable[[], None]


Connect = Callable[[str, int], Connected]
Serve = Callable[[str, socket.socket], Any]


def main(connect: Connect, serve: Serve, words: list[str]) -> None:
    """Calls, or serves; ``serve`` makes a server of a listening socket."""
    logging.disable(logging.CRITICAL)
    if words[0] == "client":
        call_all(connect, (one.split("=") for one in words[1:]))
        return
    for dialect in words[1:]:
        listener = socket.create_server(("127.0.0.1", 0))
        print(dialect, listener.getsockname()[1], sep="\t", flush=True)
        threading.Thread(target=serve(dialect, listener).serve, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


def call_all(connect: Connect, places: Iterable[list[str]]) -> None:
    """Makes all calls in one dialect after another; one that breaks says so and does not keep the next from being
    tried."""
    for dialect, port in places:
        try:
            client, types, failure, close = connect(dialect, int(port))
            for case, told in ask(client, types, failure, lambda error: error.type):
                print(dialect, case, told, sep="\t", flush=True)
            close()
        except Exception as error:
            print(dialect, "connection", f"{type(error).__name__}: {error}", sep="\t", flush=True)
