"""A loaded IDL, as the rest of zkrpc sees it: names to look up, interfaces, and methods with everything compiled.

A :class:`Method` is built once and then used for every call; its functions are the codec's own, so that nothing
stands between a call and the C module. This module does not know how a method is called.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Collection, Mapping
from types import GenericAlias, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Generic, NoReturn

from zkrpc.codec import ArgumentsCodec, ResultCodec
from zkrpc.codec.shape import Field, FieldType, fields_of
from zkrpc.errors import IdlError
from zkrpc.idl.outline import FunctionOutline
from zkrpc.idl.policy import MethodPolicy, is_masked

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    # The protocols of a stub; Any for an interface of which no stub tells.
    ClientT = TypeVar("ClientT", default=Any)
    HandlerT = TypeVar("HandlerT", default=Any)
    ThreadsT = TypeVar("ThreadsT", default=Any)
    AioT = TypeVar("AioT", default=Any)
else:
    from typing import TypeVar

    ClientT = TypeVar("ClientT")
    HandlerT = TypeVar("HandlerT")
    ThreadsT = TypeVar("ThreadsT")
    AioT = TypeVar("AioT")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a method."""

    name: str
    type: str
    """The type as an IDL writes it, with typedefs resolved."""
    required: bool
    """True if it is declared ``required``: then it may not be None."""
    default: Any = None
    """The value that is used if nothing, or None, is given."""


class Method:
    """One method of an interface.

    Attributes:
        place: ``file:line`` of its declaration.
        arguments: its parameters with their types, in the order of the IDL.
        masked: the names of the parameters that the IDL masks.
        result: the type of its value; None for void.
        bind: ``bind(args, kwargs)`` gives the checked arguments. TypeError if they do not fit.
        pack: ``pack(args, kwargs)`` gives the same, and the bytes in binary, if checking has made them, else None.
        encode_arguments: ``(bound, payload=BINARY)`` gives their bytes. TypeError if a number inside does not fit.
        decode_arguments: ``(buffer, offset, payload=BINARY, max_elements=…)`` gives a tuple in the order of the
            parameters. RemoteProtocolError if they cannot be read, or hold more elements.
        encode_result: ``(value, payload=BINARY)`` gives the reply's bytes. TypeError if the value does not fit.
        encode_exception: ``(exc, payload=BINARY)`` gives the reply's bytes, or None if no class of it is declared.
        read_result: ``(buffer, offset, payload=BINARY, max_elements=…)`` returns the value or raises the declared
            exception. RemoteProtocolError if the reply cannot be read, or holds more elements.
        attempt_arguments: ``(buffer, offset, is_compact, max_elements)`` decodes them as long as all fits, else gives
            None; it is None itself where nothing is compiled.
        attempt_pack: ``attempt_pack(args)`` does what ``pack`` does with a tuple of all arguments, in the same way.
        attempt_read: ``(buffer, offset, is_compact, max_elements)`` does what ``read_result`` does in the same way;
            None for void, too.
        attempt_result: ``(0, value, is_compact)`` encodes a result in the same way; None for void, too.
        refusal: the IdlError that says why it cannot be called, as Python cannot hold a parameter or its result; None
            if it can. All of the above raise it.
    """

    __slots__ = (
        "arguments",
        "attempt_arguments",
        "attempt_pack",
        "attempt_read",
        "attempt_result",
        "bind",
        "decode_arguments",
        "encode_arguments",
        "encode_exception",
        "encode_result",
        "interface",
        "masked",
        "name",
        "oneway",
        "pack",
        "parameters",
        "place",
        "policy",
        "read_result",
        "refusal",
        "result",
        "returns",
        "throws",
        "void",
        "wire_name",
    )

    def __init__(
        self, interface: str, function: FunctionOutline, service: type, policy: MethodPolicy, *, file: str
    ) -> None:
        self.name = function.name
        self.wire_name = function.name.encode()
        self.interface = interface
        self.place = f"{file}:{function.line}"
        self.oneway = function.oneway
        self.masked = frozenset(one.name for one in function.parameters if is_masked(one.annotations, file))
        self.void = function.returns is None
        self.policy = policy
        self.refusal: IdlError | None = None
        self.arguments: tuple[Field, ...] = ()
        self.result: FieldType | None = None
        arguments, results = (getattr(service, f"{function.name}_{part}") for part in ("args", "result"))
        try:
            self._compile(f"{interface}.{function.name}", arguments, results)
        except IdlError as refusal:
            self._refuse(function, refusal)

    def _compile(self, owner: str, arguments: Any, results: Any) -> None:
        outcomes = fields_of(results)
        success = next((field.type for field in outcomes if field.name == "success" and field.id == 0), None)
        thrown = [field for field in outcomes if field.id]
        self.arguments = fields_of(arguments)
        self.result = success
        self.returns = "void" if success is None else str(success)
        self.throws: tuple[type, ...] = tuple(field.type.cls for field in thrown if field.type.cls)
        self.parameters = _parameters(arguments)
        codec = ArgumentsCodec(owner, self.arguments, dict(arguments.default_spec))
        self.bind: Callable[[tuple[Any, ...], Mapping[str, Any]], Any] = codec.bind
        self.pack: Callable[[tuple[Any, ...], Mapping[str, Any]], tuple[Any, bytes | None]] = codec.pack
        self.attempt_pack: Callable[[tuple[Any, ...]], tuple[Any, bytes] | None] | None = codec.attempt_pack
        self.encode_arguments: Callable[..., bytes] = codec.encode
        self.decode_arguments: Callable[..., tuple[Any, ...]] = codec.decode
        self.attempt_arguments: Callable[..., tuple[Any, ...] | None] | None = codec.attempt
        answers = ResultCodec(owner, success, thrown)
        self.encode_result: Callable[..., bytes] = answers.encode_value
        self.attempt_result: Callable[..., bytes | None] | None = answers.attempt
        self.encode_exception: Callable[..., bytes | None] = answers.encode_exception
        self.read_result: Callable[..., Any] = answers.read
        self.attempt_read: Callable[..., Any] | None = answers.attempt_read

    def _refuse(self, function: FunctionOutline, refusal: IdlError) -> None:
        """Replaces the functions by ones that raise the error that says why it cannot be called."""

        def refused(*_args: Any, **_kwargs: Any) -> NoReturn:
            raise refusal.with_traceback(None)

        self.refusal = refusal
        self.returns = str(function.returns or "void")
        self.throws = ()
        self.parameters = tuple(
            Parameter(name=field.name, type=str(field.type), required=field.required) for field in function.parameters
        )
        self.bind = self.pack = self.encode_arguments = self.decode_arguments = refused
        self.encode_result = self.encode_exception = self.read_result = refused
        self.attempt_arguments = self.attempt_pack = self.attempt_read = self.attempt_result = None

    def renamed(self, wire_name: str) -> Method:
        """The same method under another name on the wire."""
        renamed = copy.copy(self)
        renamed.wire_name = wire_name.encode()
        return renamed

    @property
    def declaration(self) -> str:
        """The method as the IDL writes it, with the exceptions that it throws and what its callers must know."""
        parameters = ", ".join(f"{one.type} {one.name}" for one in self.parameters)
        throws = f" throws ({', '.join(one.__name__ for one in self.throws)})" if self.throws else ""
        repeatable = " Idempotent." if self.policy.idempotent else ""
        return f"``{'oneway ' if self.oneway else ''}{self.returns} {self.name}({parameters}){throws}``{repeatable}"

    def __repr__(self) -> str:
        """The method as the IDL writes it."""
        parameters = ", ".join(f"{some.type} {some.name}" for some in self.parameters)
        return f"<Method {'oneway ' if self.oneway else ''}{self.returns} {self.interface}.{self.name}({parameters})>"


def _parameters(arguments: Any) -> tuple[Parameter, ...]:
    defaults = dict(arguments.default_spec)
    return tuple(
        Parameter(name=field.name, type=str(field.type), required=field.required, default=defaults.get(field.name))
        for field in fields_of(arguments)
    )


class Interface(Generic[ClientT, HandlerT, ThreadsT, AioT]):
    """A service of an IDL: its methods, inherited ones included, and the texts that define it.

    To a type checker that has a stub of the IDL it also tells what clients of each kind, and handlers of the service
    look like.

    Attributes:
        digest: the SHA-256 of ``text`` in hex.
        text: the file, or the bundle of the file and all it includes; :func:`zkrpc.idl.load_text` reads it again.
        parents: the services that it extends, the nearest first, with the names of the methods that each of them has.
    """

    __slots__ = ("digest", "file", "methods", "name", "parents", "text")
    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)  # as at run time the types have no defaults, and need not be all

    def __init__(
        self,
        name: str,
        methods: Mapping[str, Method],
        *,
        file: str,
        text: str,
        digest: str,
        parents: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.methods: Mapping[str, Method] = MappingProxyType(dict(methods))
        self.file = file
        self.text = text
        self.digest = digest
        self.parents = parents

    def __repr__(self) -> str:
        """Name, methods, and enough of the digest to compare."""
        return f"<Interface {self.name}({', '.join(self.methods)}) {self.digest[:12]}>"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a loaded file holds, and where it came from."""

    file: str
    """The path it was loaded from."""
    module: ModuleType
    """The module that holds its classes."""
    names: Mapping[str, Any]
    """Everything it defines and includes, by name; an IdlError for what Python cannot hold."""
    text: str
    digest: str


class Idl:
    """A loaded file: structs, unions, exceptions, enums, constants and included files by name, services as interfaces.

    It has no other public attribute, so that no name of a file can hide one; see the functions beside
    :func:`zkrpc.idl.load` for the rest. A name that is a keyword of Python, or an included file with dots in its name,
    is reached by ``getattr``.
    """

    __slots__ = ("__contents",)

    def __init__(self, contents: Contents) -> None:
        self.__contents = contents

    def __getattr__(self, name: str) -> Any:
        """What the file defines or includes under this name. IdlError if Python cannot hold it."""
        names = contents_of(self).names
        if name not in names:
            known = "" if name.startswith("_") else f"; it has {', '.join(sorted(names))}"
            raise AttributeError(f"{type(self).__name__} has no {name!r}{known}")
        if isinstance(names[name], IdlError):
            raise names[name].with_traceback(None)
        return names[name]

    def __dir__(self) -> list[str]:
        """What the file defines and includes."""
        return sorted(contents_of(self).names)

    def __repr__(self) -> str:
        """The file, and enough of the digest to compare."""
        return f"<Idl {contents_of(self).file} {contents_of(self).digest[:12]}>"


def contents_of(idl: Idl) -> Contents:
    """The contents of a loaded file. A function and no attribute, since a file may define any name."""
    contents: Contents = object.__getattribute__(idl, "_Idl__contents")
    return contents
