"""Stubs: objects with one method for each method of an interface.

The class of a stub has one function per method of the IDL, with the IDL's parameters as its signature. No other
attribute of a stub hides a method of the IDL: methods called ``options`` or ``close`` replace a stub's own, which can
then be reached as ``zkrpc.options(stub, ...)`` and ``zkrpc.close(stub)``. All other attributes begin with ``_zkrpc_``.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import keyword
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Never, NoReturn, Protocol, Self, SupportsIndex, TypeVar

from zkrpc.client.explanation import Explanation
from zkrpc.client.invoking import DEFAULT_OPTIONS, CallOptions
from zkrpc.errors import ConfigError
from zkrpc.idl import Interface, Method
from zkrpc.idl.model import ClientT
from zkrpc.telemetry.status import ClientStatus

StubT = TypeVar("StubT")


class StubClient(Protocol):
    """What a stub needs of its client: the ordinary one, or what stands for it in another thread."""

    def invoke(self, method: Method, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions, /) -> Any:
        """Makes one call, and returns or raises its outcome, or what can be awaited for it."""
        raise NotImplementedError

    def explain(self, methods: Iterable[Method], options: CallOptions, /) -> Explanation:
        """The values in effect, and the instances that are picked."""
        raise NotImplementedError

    def status(self) -> ClientStatus:
        """The state of the client and its members."""
        raise NotImplementedError

    def expect_primary(self) -> None:
        """Follows the primary before the first call."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends all connections."""
        raise NotImplementedError


class Stub:
    """The base class of all stubs: holds the client and the options of calls."""

    __slots__ = ("_zkrpc_client", "_zkrpc_options")
    _zkrpc_interface: Interface
    _zkrpc_connect = "zkrpc.connect"
    """The function that gives stubs of this kind."""

    def __init__(self, client: StubClient, call_options: CallOptions) -> None:
        self._zkrpc_client = client
        self._zkrpc_options = call_options

    def __repr__(self) -> str:
        """Interface and client."""
        return f"<Stub of {self._zkrpc_interface.name} {self._zkrpc_client!r}>"

    def __enter__(self: StubT) -> StubT:
        """The stub itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the client; see :func:`close`."""
        close(self)

    @staticmethod
    def _zkrpc_function(method: Method) -> Callable[..., Any]:
        """The function of one method."""

        def call(self: Stub, /, *args: Any, **kwargs: Any) -> Any:
            return self._zkrpc_client.invoke(method, args, kwargs, self._zkrpc_options)

        return call

    def __copy__(self) -> Stub:
        """Another stub over the same client, with the same options."""
        return type(self)(self._zkrpc_client, self._zkrpc_options)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Raises TypeError, as connections belong to one process."""
        name = self._zkrpc_interface.name
        raise TypeError(f"a stub of {name} cannot be pickled; call {self._zkrpc_connect}() where it is used")


class _TypedOptions(Protocol):
    """What typed stubs have in common."""

    def options(
        self,
        *,
        timeout: float | None = None,
        idempotent: bool | None = None,
        headers: Mapping[str, str] | None = None,
        min_epoch: int | None = None,
    ) -> Self:
        """As :func:`options`."""
        raise NotImplementedError


class TypedStub(_TypedOptions, Protocol):
    """What a stub has beside the methods of its interface, as type checkers see it; :mod:`zkrpc.idl.stubs` derives the
    types of clients from it."""

    def close(self) -> None:
        """As :func:`close`."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """The stub itself."""
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        """Closes the client."""
        raise NotImplementedError


class TypedAioStub(_TypedOptions, Protocol):
    """As :class:`TypedStub`, of stubs of :mod:`zkrpc.aio`."""

    async def close(self) -> None:
        """As :func:`zkrpc.aio.close`."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """The stub itself."""
        raise NotImplementedError

    async def __aexit__(self, *_: object) -> None:
        """Closes the client."""
        raise NotImplementedError


def options(
    stub: StubT,
    *,
    timeout: float | None = None,
    idempotent: bool | None = None,
    headers: Mapping[str, str] | None = None,
    min_epoch: int | None = None,
    **unknown: Never,
) -> StubT:
    """Returns a new stub over the same client whose calls have these options. Raises ConfigError for a bad value or
    name.

    Args:
        stub: a stub from ``zkrpc.connect``.
        timeout: seconds for a call with all its attempts.
        idempotent: whether a call may be sent again when it is not known whether it ran.
        headers: metadata, added to the stub's headers.
        min_epoch: the lowest epoch of a primary that may serve the call; a primary of a lower epoch answers StaleEpoch.
    """
    it = _stub(stub)
    for name in unknown:
        raise ConfigError(_no_option(name))
    changed = it._zkrpc_options.but(timeout=timeout, idempotent=idempotent, headers=headers, min_epoch=min_epoch)
    new: Any = type(it)(it._zkrpc_client, changed)
    return new  # type: ignore[no-any-return]  # the caller's static type of a stub is not Stub


def _no_option(name: str) -> str:
    known = [field.name for field in dataclasses.fields(CallOptions) if field.init]
    near = difflib.get_close_matches(name, known, 1)
    return f"there is no option {name!r}; {f'did you mean {near[0]}?' if near else 'there are ' + ', '.join(known)}"


def close(stub: object) -> None:
    """Closes the client of a stub, and with it all stubs that share the client."""
    _stub(stub)._zkrpc_client.close()


def explain(stub: object) -> Explanation:
    """The values in effect for calls of a stub, with their sources, and the instances that its client picks now."""
    it = _stub(stub)
    return it._zkrpc_client.explain(it._zkrpc_interface.methods.values(), it._zkrpc_options)


def status(stub: object) -> ClientStatus:
    """The state of a stub's client and of its instances at this moment, as values for programs; ``explain`` is for
    people."""
    return _stub(stub)._zkrpc_client.status()


def make_stub(interface: Interface[ClientT, Any], client: StubClient, kind: type[Stub] = Stub) -> ClientT:
    """Makes a stub of an interface over a client; closing the stub closes the client. ``kind`` says how its methods
    call."""
    if any(method.policy.primary for method in interface.methods.values()):
        client.expect_primary()
    made: Any = stub_class(interface, kind)(client, DEFAULT_OPTIONS)
    return made  # type: ignore[no-any-return]  # its methods are known at run time only


def stub_class(interface: Interface, kind: type[StubT]) -> type[StubT]:
    """The class of the stubs of an interface that are of this kind, a subclass of :class:`Stub`."""
    namespace: dict[str, Any] = {"__slots__": (), "__doc__": f"Calls {interface.name}.", "_zkrpc_interface": interface}
    namespace["options"] = options
    if not hasattr(kind, "close"):
        namespace["close"] = close
    base: Any = kind
    for method in interface.methods.values():
        namespace[method.name] = _named(base._zkrpc_function(method), interface, method)
    return type(f"{interface.name}{kind.__name__}", (kind,), namespace)


def _stub(stub: object) -> Stub:
    if not isinstance(stub, Stub):
        raise TypeError(f"expected a stub, as zkrpc.connect gives it, got {stub!r}")
    return stub


def _named(call: Callable[..., Any], interface: Interface, method: Method) -> Callable[..., Any]:
    """The function of a method, with its names, its signature and its declaration."""
    call.__name__ = method.name
    call.__qualname__ = f"{interface.name}Stub.{method.name}"
    call.__doc__ = method.declaration
    if not any(one.name == "self" or keyword.iskeyword(one.name) for one in method.parameters):
        call.__signature__ = _signature(method)  # type: ignore[attr-defined]  # functions may carry one, see inspect
    return call


def _signature(method: Method) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    for one in method.parameters:
        # Thrift lets a parameter without default follow one with a default; Python's signatures do not.
        follows_default = parameters[-1].default is not inspect.Parameter.empty
        has_default = one.default is not None or follows_default
        default = one.default if has_default else inspect.Parameter.empty
        parameters.append(inspect.Parameter(one.name, kind, default=default, annotation=one.type))
    return inspect.Signature(parameters, return_annotation=None if method.void else method.returns)
