"""Apache Thrift's own Python library for any IDL: what its compiler would generate, made of what thriftpy2 reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import thriftpy2
from thrift.protocol.TBase import TBase, TExceptionBase
from thrift.Thrift import TApplicationException, TMessageType, TProcessor, TType


class Library:
    """The classes of one IDL: structs and exceptions are attributes."""

    def __init__(self, idl: Path) -> None:
        self._module = thriftpy2.load(str(idl), module_name=f"{idl.stem}_thrift")
        self._made: dict[type, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return self._struct(getattr(self._module, name))

    def service(self, name: str) -> dict[str, Method]:
        """The methods of a service, inherited ones too."""
        service = getattr(self._module, name)
        return {method: Method(self, service, method) for method in service.thrift_services}

    def _struct(self, cls: Any) -> Any:
        """A class as the library wants it: a specification with each field at the index of its id."""
        if cls not in self._made:
            base = TExceptionBase if issubclass(cls, Exception) else TBase
            spec: list[Any] = [None] * (max(cls.thrift_spec, default=-1) + 1)
            for number, (kind, name, *of, _) in cls.thrift_spec.items():
                kind, of = self._type((kind, *of))
                spec[number] = (number, kind, name, of, None)
            names = [field[2] for field in spec if field]

            def __init__(self: Any, **values: Any) -> None:
                for name in names:
                    setattr(self, name, values.get(name))

            self._made[cls] = type(cls.__name__, (base,), {"__init__": __init__, "thrift_spec": tuple(spec)})
        return self._made[cls]

    def _type(self, of: Any) -> tuple[int, Any]:
        """A type as the library's specifications have it: its number, and what it is made of."""
        kind, *inner = of if isinstance(of, tuple) else (of,)
        match kind:
            case TType.STRING:
                return kind, "UTF8"
            case 18:  # thriftpy2's number for binary, which is a string on the wire
                return TType.STRING, "BINARY"
            case TType.STRUCT:
                struct = self._struct(inner[0])
                return kind, [struct, struct.thrift_spec]
            case TType.LIST | TType.SET:
                return kind, (*self._type(inner[0]), False)
            case TType.MAP:
                return kind, (*self._type(inner[0][0]), *self._type(inner[0][1]), False)
        return kind, None


class Method:
    """One method: its name's arguments and results, and its exceptions."""

    def __init__(self, library: Library, service: Any, name: str) -> None:
        arguments, result = getattr(service, f"{name}_args"), getattr(service, f"{name}_result")
        self.oneway = result.oneway
        self.parameters = [field for _, field, *_ in arguments.thrift_spec.values()]
        self.arguments = library._struct(arguments)
        self.result = library._struct(result)
        self.void = 0 not in result.thrift_spec
        self.raises = {
            field: library._struct(of[0]) for number, (_, field, *of, _) in result.thrift_spec.items() if number
        }


class Client:
    """Calls as generated clients do: a blocking send, a blocking receive, always with the same sequence id."""

    def __init__(self, protocol: Any, methods: dict[str, Method]) -> None:
        self._protocol = protocol
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        method = self._methods[name]

        def call(*values: Any) -> Any:
            self.send(name, *values)
            return None if method.oneway else self.receive(name)

        return call

    def send(self, name: str, *values: Any) -> None:
        """The first half of a call."""
        method, out = self._methods[name], self._protocol
        out.writeMessageBegin(name, TMessageType.ONEWAY if method.oneway else TMessageType.CALL, 0)
        method.arguments(**dict(zip(method.parameters, values, strict=True))).write(out)
        out.writeMessageEnd()
        out.trans.flush()

    def receive(self, name: str) -> Any:
        """The second half."""
        method, source = self._methods[name], self._protocol
        answered, kind, seqid = source.readMessageBegin()
        assert (answered, seqid) == (name, 0)
        if kind == TMessageType.EXCEPTION:
            failure = TApplicationException()
            failure.read(source)
            source.readMessageEnd()
            raise failure
        result = method.result()
        result.read(source)
        source.readMessageEnd()
        for field in method.raises:
            if getattr(result, field) is not None:
                raise getattr(result, field)
        if method.void:
            return None
        assert result.success is not None
        return result.success

    def close(self) -> None:
        """Frees the socket."""
        self._protocol.trans.close()


class Processor(TProcessor):
    """Serves as generated processors do."""

    def __init__(self, handler: Any, methods: dict[str, Method]) -> None:
        self._handler = handler
        self._methods = methods

    def process(self, source: Any, out: Any) -> None:
        """One call."""
        name, _, seqid = source.readMessageBegin()
        method = self._methods.get(name)
        if method is None:
            source.skip(TType.STRUCT)
            source.readMessageEnd()
            unknown = TApplicationException(TApplicationException.UNKNOWN_METHOD, f"Unknown function {name}")
            self._answer(out, name, TMessageType.EXCEPTION, seqid, unknown)
            return
        arguments = method.arguments()
        arguments.read(source)
        source.readMessageEnd()
        kind, result = self._run(name, method, arguments)
        if not method.oneway:
            self._answer(out, name, kind, seqid, result)

    def _run(self, name: str, method: Method, arguments: Any) -> tuple[int, Any]:
        result = method.result()
        try:
            value = getattr(self._handler, name)(*(getattr(arguments, field) for field in method.parameters))
            if not method.void:
                result.success = value
        except Exception as error:
            for field, kind in method.raises.items():
                if isinstance(error, kind):
                    setattr(result, field, error)
                    return TMessageType.REPLY, result
            failure = TApplicationException(TApplicationException.INTERNAL_ERROR, "Internal error")
            return TMessageType.EXCEPTION, failure
        return TMessageType.REPLY, result

    def _answer(self, out: Any, name: str, kind: int, seqid: int, result: Any) -> None:
        out.writeMessageBegin(name, kind, seqid)
        result.write(out)
        out.writeMessageEnd()
        out.trans.flush()
