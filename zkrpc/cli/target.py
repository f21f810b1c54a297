"""What ``zkrpc call`` and ``zkrpc bench`` have in common: which method of which interface is called, where, and with
what, as the command line says it.

The interface comes from the registry, where each service publishes its IDL, or from a file; the instances come from the
registry, or are one address. Without the registry nothing asks ZooKeeper.

A built-in service, which the instances of every service answer, is named behind a slash, as in
``users/zkrpc.Health.check``. Its interface is known, and the config of ``users`` does not speak of it.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import gevent
from click.shell_completion import CompletionItem
from gevent import get_hub, getcurrent

from zkrpc.call import Call, Interceptor
from zkrpc.cli.completion import offer
from zkrpc.cli.options import CONNECT_TIMEOUT, SECONDS, security_option, tls_options
from zkrpc.cli.registry import NoSuchName, connected, missing, require_members
from zkrpc.client.client import Client
from zkrpc.client.naming import PLAIN, Naming
from zkrpc.client.resolver import DIALECTS, Resolver, StaticResolver, choose
from zkrpc.client.secured import dialler_of
from zkrpc.config import ClientConfig
from zkrpc.coordination import Registry
from zkrpc.endpoint import Endpoint, Snapshot
from zkrpc.errors import ConfigError, JsonError, RpcError
from zkrpc.idl import BUILT_INS, SCOPE, Interface, Method, built_in, interfaces_of, load
from zkrpc.jsonform import MAX_SIZE, parse, read_arguments
from zkrpc.registry.foreign import is_tree
from zkrpc.registry.published import published_interface
from zkrpc.registry.schema import SERVICES, check_name
from zkrpc.tls.settings import asking

_MOST_COMPLETED = 8
"""Services whose methods are completed: each costs a few requests, and somebody waits."""


class Asked(NamedTuple):
    """What the options say of where a call goes."""

    name: str
    """``SERVICE.METHOD``, ``SERVICE.INTERFACE:METHOD``, or ``SERVICE/BUILT_IN.METHOD``."""
    zookeeper: str | None
    idl: str | None
    instance: str | None
    address: str | None
    dialect: str
    multiplexed: str | None
    connect_timeout: float

    @property
    def scope(self) -> str:
        """All but the method."""
        return self.name.rpartition(".")[0]

    @property
    def service(self) -> str:
        """The service's name in the registry; empty if only an address says whose built-in service is meant."""
        if self.built_in:
            return self.scope.rpartition("/")[0]
        return self.scope

    @property
    def built_in(self) -> str:
        """The built-in service that is meant, such as ``zkrpc.Health``; empty for a service's own interface."""
        if is_tree(self.scope):
            return ""
        _, slash, behind = self.scope.partition("/")
        if slash:
            return behind
        return self.scope if self.address is not None and self.idl is None and self.scope in built_in_names() else ""

    @property
    def method(self) -> str:
        """The method's name."""
        return self.name.rpartition(".")[2]


class Target(NamedTuple):
    """A method, and the instances that it can be called at."""

    service: str
    """With the built-in one, if that is called."""
    method: Method
    interface: Interface
    resolver: Resolver | None
    """None if only the interface was asked for."""
    one: bool
    """Whether only one instance is to be called, which the command line names."""
    instance: str = ""
    """What the registry calls it; empty if the command line has its address."""
    naming: Naming = PLAIN
    """What methods are called there."""

    def id_of(self, endpoint: str) -> str:
        """What the registry calls the instance at this address, for messages; empty if it does not know it."""
        if self.one:
            return self.instance
        snapshot = None if self.resolver is None else self.resolver.snapshot
        found = [one.id for one in snapshot.instances if str(one.endpoint) == endpoint] if snapshot else []
        return found[0] if found else ""

    def client(self, interceptors: Iterable[Interceptor[Call]] = ()) -> Client:
        """A new client of these instances. Where one instance is meant, it is asked once: an answer of the kind "not
        now" is what whoever names it wants to see."""
        assert self.resolver is not None
        config = ClientConfig(max_attempts=1) if self.one else None
        dial = dialler_of(asking())
        made = Client(self.resolver, config=config, interceptors=interceptors, naming=self.naming, dial=dial)
        if self.method.policy.primary:
            made.expect_primary()
        return made


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that :class:`Asked` holds, and the argument SERVICE.METHOD."""
    for option in reversed(
        (
            click.argument(
                "name", metavar="SERVICE[/zkrpc.BUILT_IN].METHOD", callback=_check_target
            ),
            click.option(
                "--zookeeper",
                envvar="ZKRPC_ZOOKEEPER",
                metavar="HOSTS",
                help="host:port,…[/chroot]; not needed with --address and --idl.",
            ),
            security_option,
            click.option("--idl", metavar="FILE[:SERVICE]", help="The interface; else what the service publishes."),
            click.option("--instance", metavar="ID", help="Call this instance, once."),
            click.option("--address", metavar="HOST:PORT", help="Call this address, once, instead."),
            click.option(
                "--dialect", type=click.Choice(DIALECTS), default="zkrpc", show_default=True, help="Of --address."
            ),
            click.option("--multiplexed", metavar="NAME", help="What stands before the method's name: NAME:METHOD."),
            click.option(
                "--connect-timeout",
                type=SECONDS,
                default=CONNECT_TIMEOUT,
                show_default=True,
                help="Seconds to wait for ZooKeeper.",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return tls_options(command)


def complete_methods(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The methods that begin so, by the IDLs that services have published: of the service that is written out, or of
    the first few whose names begin so."""
    service, slash, _ = begun.partition("/")
    service = service if slash else begun.rpartition(".")[0]

    def find(registry: Registry) -> Iterator[str]:
        session = registry.session
        known = sorted(session.znodes.children(SERVICES) or ())
        if slash and service in known:
            yield from (f"{service}/{SCOPE}{one}.{method}" for one in BUILT_INS for method in built_in(one).methods)
        if slash:
            return
        for name in [service] if service else [one for one in known if one.startswith(begun)][:_MOST_COMPLETED]:
            with contextlib.suppress(RpcError):
                yield from (f"{name}.{method}" for method in published_interface(session, name).methods)

    return offer(context, begun, find)


def _check_target(context: click.Context, parameter: click.Parameter, name: str) -> str:
    if not all(name.rpartition(".")[::2]):
        raise click.BadParameter(f"{name!r} is not SERVICE.METHOD, as in users.get")
    return name


def built_in_names() -> list[str]:
    """What the built-in services are called."""
    return [f"{SCOPE}{one}" for one in BUILT_INS]


def built_in_interface(name: str) -> Interface:
    """The built-in service of this name. Raises NoSuchName if there is none."""
    if name not in built_in_names():
        where = f"that every port answers, such as {SCOPE}{BUILT_INS[0]}"
        raise missing("built-in service", name, built_in_names(), where=where, nothing="")
    return built_in(name.removeprefix(SCOPE))


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt in the greenlet that runs the block, while it waits. Else it would
    come in whatever greenlet runs at that moment, and be told as a mistake of the program's."""
    here = getcurrent()

    def interrupt() -> None:
        get_hub().loop.run_callback(here.throw, KeyboardInterrupt)

    handlers = [gevent.signal_handler(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for handler in handlers:
            handler.cancel()


@contextlib.contextmanager
def find_target(asked: Asked, *, to_call: bool = True) -> Iterator[Target]:
    """The target, as long as the block lasts. Unless it is ``to_call``, instances are not looked for.

    Raises NoSuchName for a service, method or instance that is not there, IdlError and ConfigError for a wrong file or
    address, CoordinationError if ZooKeeper cannot tell what is needed of it.
    """
    if asked.instance is not None and asked.address is not None:
        raise click.UsageError("--instance and --address exclude each other")
    if asked.multiplexed is not None and asked.built_in:
        raise click.UsageError(f"{asked.built_in} stands before the method's name already: leave --multiplexed out")
    interface = _known_interface(asked)
    method = None if interface is None else _method(interface, asked.method)
    address = None if asked.address is None else Endpoint.parse(asked.address)
    with contextlib.ExitStack() as stack:
        resolver: Resolver | None = None
        if interface is None or (address is None and to_call):
            if asked.zookeeper is None:
                missed = "--idl FILE" if interface is None and address is not None else "--address HOST:PORT"
                raise click.UsageError(
                    f"give --zookeeper HOSTS, or set ZKRPC_ZOOKEEPER; or do without ZooKeeper: {missed}"
                    + (" and --idl FILE" if interface is None and address is None else "")
                )
            registry = stack.enter_context(connected(asked.zookeeper, asked.connect_timeout))
            if require_members(registry, asked.service) is None and interface is None:
                raise click.UsageError("no IDL is published in a tree of another library's; give it with --idl FILE")
            if interface is None:
                interface = published_interface(registry.session, asked.service)
            if to_call and address is None:
                resolver = _members(registry, asked)
        if address is not None:
            resolver = StaticResolver([address], dialect=asked.dialect, service=asked.service)
        elif asked.built_in and resolver is not None:
            resolver = _Members(resolver)
        method = method or _method(interface, asked.method)
        yield Target(
            asked.scope,
            method,
            interface,
            resolver,
            asked.instance is not None or address is not None,
            asked.instance or "",
            PLAIN if asked.built_in else Naming(method.interface, asked.multiplexed),
        )


def _known_interface(asked: Asked) -> Interface | None:
    """The interface that the command line itself tells; None if the registry has to."""
    if not is_tree(asked.scope) and (asked.service or not asked.built_in):
        check_name("service name", asked.service)
    if not asked.built_in:
        return None if asked.idl is None else load_interface(asked.idl, asked.method)
    if asked.idl is not None:
        raise click.UsageError(f"{asked.built_in} is a built-in service, whose interface is known: leave --idl out")
    return built_in_interface(asked.built_in)


class _Members:
    """The members of a service without its config and its primaries: both speak of the service's own methods."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.subscribe = resolver.subscribe
        self.wait_ready = resolver.wait_ready
        self.close = resolver.close

    @property
    def snapshot(self) -> Snapshot | None:
        """The last known list."""
        return self._resolver.snapshot


def _members(registry: Registry, asked: Asked) -> Resolver:
    """The registered instances, or the one that is asked for."""
    resolver = registry.resolver(asked.service)
    found = resolver.wait_ready(asked.connect_timeout).instances
    if asked.instance is None:
        return resolver
    wanted = next((one for one in found if one.id == asked.instance), None)
    if wanted is None:
        where = f"of {asked.service}"
        ids = [one.id for one in found]
        raise missing("instance", asked.instance, ids, where=where, nothing=f"{asked.service} has no instances")
    return StaticResolver([wanted.endpoint], dialect=choose(wanted.protocols), service=asked.service)


def load_interface(text: str, method: str | None = None) -> Interface:
    """The interface that ``--idl FILE[:SERVICE]`` names: without SERVICE the only one, or the only one that has the
    method, or the one that the method's name begins with. IdlError or ConfigError if there is none."""
    file, colon, name = text.rpartition(":")
    if not colon:
        file, name = text, (method or "").rpartition(":")[0]
    found = interfaces_of(load(file))
    fitting = [one for one in found if one == name or (not name and (len(found) == 1 or method in found[one].methods))]
    if len(fitting) != 1:
        raise ConfigError(f"{file} has {', '.join(found) or 'no services'}; say which: --idl {file}:SERVICE")
    return found[fitting[0]]


def _method(interface: Interface, name: str) -> Method:
    return interface.methods[label_in(interface, name)]


def label_in(interface: Interface, name: str) -> str:
    """What a method is called among those of an interface, which may be several as one: ``Users:get`` of the default
    one is ``get``. Raises NoSuchName."""
    own = name.removeprefix(f"{interface.name}:")
    if name not in interface.methods and own not in interface.methods:
        raise no_method(interface, name)
    return name if name in interface.methods else own


def no_method(interface: Interface, name: str) -> NoSuchName:
    """The error for a method that an interface does not have."""
    nothing = f"{interface.name} has no methods"
    return missing("method", name, interface.methods, where=f"in {interface.name}", nothing=nothing)


# -- what is sent


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments of the call, and what goes with them."""
    for option in reversed(
        (
            click.argument("json_text", metavar="[JSON]", required=False),
            click.option("-d", "--data", metavar="JSON|@FILE|@-", help="The arguments; @- reads standard input."),
            click.option("--header", "headers", metavar="NAME=VALUE", multiple=True, help="Metadata; may be repeated."),
            click.option("--timeout", type=SECONDS, help="Seconds for each call.  [default: as for every client]"),
            click.option("--allow-unknown-fields", is_flag=True, help="Leave fields out that the IDL does not have."),
        )
    ):
        command = option(command)
    return command


class BadArguments(click.ClickException):
    """The arguments on the command line are wrong. The command's usage is not shown: the JSON is wrong."""

    exit_code = 2


def arguments_for(target: Target, name: str, json_text: str | None, data: str | None, *, allow_unknown: bool) -> Any:
    """The arguments of the call by name. Raises BadArguments with the place in the JSON that does not fit."""
    if json_text is not None and data is not None:
        raise click.UsageError("give the arguments once: as JSON, or by -d")
    text = json_text if data is None else _read_data(data)
    try:
        return read_arguments(target.method, parse("{}" if text is None else text), allow_unknown=allow_unknown)
    except JsonError as error:
        raise BadArguments(f"{error}; what belongs there shows: zkrpc call {name} --template") from None


def _read_data(data: str) -> str:
    if not data.startswith("@"):
        return data
    place = data[1:]
    try:
        if place == "-":
            return sys.stdin.read(MAX_SIZE + 1)
        with Path(place).open(encoding="utf-8-sig") as file:
            return file.read(MAX_SIZE + 1)
    except OSError as error:
        raise BadArguments(f"{place}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadArguments(f"{'standard input' if place == '-' else place}: not UTF-8") from None


def headers_of(given: Iterable[str]) -> dict[str, str]:
    """The headers that ``--header NAME=VALUE`` name."""
    headers: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadArguments(f"--header {text!r} is not NAME=VALUE")
        if name in headers:
            raise BadArguments(f"--header {name!r} is given twice")
        headers[name] = value
    return headers
