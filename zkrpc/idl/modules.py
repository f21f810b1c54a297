"""A loaded file as a Python module: the names by which it is imported, and what the module holds.

Type checkers and editors follow imports, and nothing else: what ``load`` returns can have no types. So an IDL can have
a module beside it, ``users_thrift.py`` beside ``users.thrift``, that loads it when it is imported, and a stub,
``users_thrift.pyi``, that says what it holds (:mod:`zkrpc.idl.stubs`). A module holds everything that the file defines
and Python can hold, under the same names, and for each service two protocols, which are there to be named in
annotations.
"""

from __future__ import annotations

import functools
import keyword
import re
import types
from collections.abc import Iterable
from typing import Any, NoReturn, Protocol

from zkrpc.errors import IdlError
from zkrpc.idl.build import is_special
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


def protocol_names(services: Iterable[str], taken: Iterable[str]) -> dict[str, tuple[str, str]]:
    """For each service the names of its client's protocol and its handlers': ``UsersClient`` and ``UsersHandler``. One
    that the file defines itself, or that would be another service's, gets underscores at its end."""
    used, found = set(taken), {}
    for service in services:
        names = []
        for role in ("Client", "Handler"):
            name = service + role
            while name in used:
                name += "_"
            used.add(name)
            names.append(name)
        found[service] = (names[0], names[1])
    return found


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
    for service, (client, handler) in protocol_names(services, names).items():
        held[client] = _protocol(client, f"What can be called at {service}; zkrpc.connect returns one.")
        held[handler] = _protocol(handler, f"What serves {service}.")
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
