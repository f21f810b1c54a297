"""``foreign.thrift`` for Apache Thrift's own Python library: what its compiler would generate, made from tables."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from thrift.protocol.TBase import TBase, TExceptionBase
from thrift.Thrift import TApplicationException, TMessageType, TProcessor, TType

STRING = (TType.STRING, "UTF8")


def _struct(name: str, fields: dict[int, tuple[str, int, Any]], base: type = TBase) -> Any:
    """A class as the library wants it: a specification with each field at the index of its id."""
    spec: list[Any] = [None] * (max(fields, default=-1) + 1)
    for number, (field, kind, of) in fields.items():
        spec[number] = (number, kind, field, of, None)

    def __init__(self: Any, **values: Any) -> None:
        for field, *_ in fields.values():
            setattr(self, field, values.get(field))

    return type(name, (base,), {"__init__": __init__, "thrift_spec": tuple(spec)})


def _of(struct: Any) -> list[Any]:
    return [struct, struct.thrift_spec]


Point = _struct("Point", {1: ("x", TType.I32, None), 2: ("y", TType.I32, None)})
Rich = _struct(
    "Rich",
    {
        1: ("flag", TType.BOOL, None),
        2: ("tiny", TType.BYTE, None),
        3: ("small", TType.I16, None),
        4: ("medium", TType.I32, None),
        5: ("large", TType.I64, None),
        6: ("ratio", TType.DOUBLE, None),
        7: ("text", *STRING),
        8: ("raw", TType.STRING, "BINARY"),
        9: ("points", TType.LIST, (TType.STRUCT, _of(Point), False)),
        10: ("table", TType.MAP, (*STRING, TType.LIST, (TType.I64, None, False), False)),
        11: ("numbers", TType.SET, (TType.I32, None, False)),
        12: ("colour", TType.I32, None),
        13: ("places", TType.MAP, (TType.I16, None, TType.STRUCT, _of(Point), False)),
        14: ("bits", TType.LIST, (TType.BOOL, None, False)),
    },
)
Oops = _struct("Oops", {1: ("why", *STRING), 2: ("code", TType.I32, None)}, TExceptionBase)
types = SimpleNamespace(Point=Point, Rich=Rich, Oops=Oops)


class _Method:
    def __init__(self, name: str, arguments: Any = (), result: Any = None, throws: Any = None, oneway: bool = False):
        self.oneway = oneway
        self.parameters = [field for field, *_ in arguments]
        self.arguments = _struct(f"{name}_args", dict(enumerate(arguments, start=1)))
        outcomes = {0: ("success", *result)} if result else {}
        if throws:
            outcomes[1] = ("oops", TType.STRUCT, _of(throws))
        self.result = _struct(f"{name}_result", outcomes)
        self.void = result is None


FOREIGN = {
    "ping": _Method("ping"),
    "echo": _Method("echo", [("text", *STRING)], STRING),
    "rich": _Method("rich", [("rich", TType.STRUCT, _of(Rich))], (TType.STRUCT, _of(Rich))),
    "fail": _Method("fail", [("how", *STRING)], throws=Oops),
    "note": _Method("note", [("text", *STRING)], oneway=True),
    "notes": _Method("notes", result=(TType.LIST, (*STRING, False))),
    "slow": _Method("slow", [("text", *STRING), ("milliseconds", TType.I32, None)], STRING),
}
NEWER = {**FOREIGN, "added": _Method("added", result=STRING)}


class Client:
    """Calls as generated clients do: a blocking send, a blocking receive, always with the same sequence id."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def __getattr__(self, name: str) -> Any:
        method = NEWER[name]

        def call(*values: Any) -> Any:
            self.send(name, *values)
            return None if method.oneway else self.receive(name)

        return call

    def send(self, name: str, *values: Any) -> None:
        """The first half of a call."""
        method, out = NEWER[name], self._protocol
        out.writeMessageBegin(name, TMessageType.ONEWAY if method.oneway else TMessageType.CALL, 0)
        method.arguments(**dict(zip(method.parameters, values, strict=True))).write(out)
        out.writeMessageEnd()
        out.trans.flush()

    def receive(self, name: str) -> Any:
        """The second half."""
        method, source = NEWER[name], self._protocol
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
        if getattr(result, "oops", None) is not None:
            raise result.oops
        if method.void:
            return None
        assert result.success is not None
        return result.success

    def close(self) -> None:
        """Frees the socket."""
        self._protocol.trans.close()


class Processor(TProcessor):
    """Serves as generated processors do."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def process(self, source: Any, out: Any) -> None:
        """One call."""
        name, _, seqid = source.readMessageBegin()
        method = FOREIGN.get(name)
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

    def _run(self, name: str, method: _Method, arguments: Any) -> tuple[int, Any]:
        result = method.result()
        try:
            value = getattr(self._handler, name)(*(getattr(arguments, field) for field in method.parameters))
            if not method.void:
                result.success = value
        except Oops as error:
            result.oops = error
        except Exception:
            failure = TApplicationException(TApplicationException.INTERNAL_ERROR, "Internal error")
            return TMessageType.EXCEPTION, failure
        return TMessageType.REPLY, result

    def _answer(self, out: Any, name: str, kind: int, seqid: int, result: Any) -> None:
        out.writeMessageBegin(name, kind, seqid)
        result.write(out)
        out.writeMessageEnd()
        out.trans.flush()
