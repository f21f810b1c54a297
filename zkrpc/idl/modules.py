"""A loaded file as a Python module: the names by which it is imported, and what the module holds.

Type checkers and editors follow imports, and nothing else: what ``load`` returns can have no types. So an IDL can have
a module beside it, ``users_thrift.py`` beside ``users.thrift``, that loads it when it is imported, and a stub,
``users_thrift.pyi``, that says what it holds (:mod:`zkrpc.idl.stubs`). A module holds everything that the file defines
and Python can hold, under the same names, and for each service some protocols, which are there to be named in
annotations.
"""

from __future__ import annotations

import functools
import keyword
import re
import types
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn, Protocol

from zkrpc.errors import IdlError
from zkrpc.idl.classes import is_special
from zkrpc.idl.model import Idl, Interface, contents_of


def module_stem(stem: str) -> str:
    """The name of the module of a file, given the file's name without ``.thrift``: ``users_thrift`` for ``users``, as
    thriftpy2's import hook has it. What a name in Python cannot hold becomes ``_``."""
    plain = re.sub(r"\W", "_", stem, flags=re.ASCII)
    return f"{'_' if plain[:1].isdigit() else ''}{plain}_thrift"


def is_speakable(name: str) -> bool:
    """Whether Python's grammar has room for this name everywhere. A name that begins with two underscores is none: in a
    class it is private, and as a parameter it can only be given by place."""
    return not keyword.iskeyword(name) and not name.startswith("__") and "." not in name


class Protocols(NamedTuple):
    """The names of a service's protocols."""

    client: str
    """Of stubs of ``zkrpc.connect``."""
    handler: str
    threads: str
    """Of stubs of ``zkrpc.threads.connect``."""
    futures: str
    """Of what is their ``submit``."""
    aio: str
    """Of stubs of ``zkrpc.aio.connect``."""


_ENDINGS = Protocols(client="Client", handler="Handler", threads="ThreadsClient", futures="Futures", aio="AioClient")
_TOLD = Protocols(
    client="What can be called at {}; zkrpc.connect returns one.",
    handler="What serves {}.",
    threads="What threads can call at {}; zkrpc.threads.connect returns one.",
    futures="What begins calls at {}; it is the submit of what zkrpc.threads.connect returns.",
    aio="What can be awaited of {}; zkrpc.aio.connect gives one.",
)


def protocol_names(services: Iterable[str], taken: Iterable[str]) -> dict[str, Protocols]:
    """For each service the names of its protocols: ``UsersClient``, ``UsersHandler`` and so on. One that the file
    defines itself, or that would be another service's, gets underscores at its end."""
    services, used = list(services), set(taken)

    def free(name: str) -> str:
        while name in used:
            name += "_"
        used.add(name)
        return name

    plain = {service: (free(service + _ENDINGS.client), free(service + _ENDINGS.handler)) for service in services}
    # Behind all of those, which programs have known for longer.
    return {
        service: Protocols(*names, *(free(service + ending) for ending in _ENDINGS[2:]))
        for service, names in plain.items()
    }


def fill(namespace: dict[str, Any], idl: Idl) -> None:
    """Puts into a module's namespace what the module of a file holds."""
    held, refused = _members(idl)

    def __getattr__(name: str) -> NoReturn:
        """Raises the IdlError of a name that Python cannot hold, AttributeError for any other."""
        if name in refused:
            raise refused[name].with_traceback(None)
        raise AttributeError(f"module {namespace.get('__name__')!r} has no attribute {name!r}")

    namespace.update(held, __all__=sorted(filter(is_speakable, held)), __getattr__=__getattr__)


@functools.cache
def _members(idl: Idl) -> tuple[dict[str, Any], dict[str, IdlError]]:
    """What the module of a file holds, and the errors of what it cannot hold; the same objects each time."""
    names = {name: some for name, some in contents_of(idl).names.items() if not is_special(name)}
    refused = {name: some for name, some in names.items() if isinstance(some, IdlError)}
    held = {
        name: _module(some, name) if isinstance(some, Idl) else some
        for name, some in names.items()
        if name not in refused
    }
    services = [name for name, some in held.items() if isinstance(some, Interface)]
    for service, protocols in protocol_names(services, names).items():
        for name, told in zip(protocols, _TOLD, strict=True):
            held[name] = _protocol(name, told.format(service))
    return held, refused


@functools.cache
def _module(idl: Idl, name: str) -> types.ModuleType:
    """A module for an included file."""
    made = types.ModuleType(module_stem(name))
    fill(vars(made), idl)
    return made


def _protocol(name: str, told: str) -> Any:
    """A protocol without members: they are in the stub. What derives from it is checked by zkrpc as any handler is."""
    return types.new_class(name, (Protocol,), exec_body=lambda body: body.update(__doc__=told, __slots__=()))
