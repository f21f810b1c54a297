"""Decoding in Python, for structs that the C module cannot read: those with negative field ids.

Old IDLs leave ids out, and Apache's compiler gives such fields -1, -2 and so on. The C module uses the id as an index
and skips such fields. Decoding here is some twenty times slower; only shapes that hold such a field somewhere are
decoded so, after :mod:`zkrpc.codec.budget` has walked over the body and found its lengths, types and depth sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.transport.TTransport import TMemoryBuffer

from zkrpc.codec.shape import Field, FieldType, Kind, bare_of, reachable, wire_number
from zkrpc.errors import RemoteProtocolError

_READ = {
    Kind.BOOL: "readBool",
    Kind.I8: "readByte",
    Kind.I16: "readI16",
    Kind.I32: "readI32",
    Kind.I64: "readI64",
    Kind.DOUBLE: "readDouble",
    Kind.BINARY: "readBinary",
    Kind.UUID: "readUuid",
}


class _Binary(TBinaryProtocol):  # type: ignore[misc]
    """The library's protocol, but what is passed over need not be UTF-8: it may be ``binary``."""

    readString = TBinaryProtocol.readBinary


class _Compact(TCompactProtocol):  # type: ignore[misc]
    """The same."""

    readString = TCompactProtocol.readBinary


class Plain:
    """Reads bodies of one shape."""

    __slots__ = ("_fields", "_structs")

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = {field.id: field for field in fields}
        known = reachable(tuple(fields))
        self._structs = {struct: {field.id: field for field in inner} for struct, inner in known.items()}

    def read(self, it: Any, body: bytes, *, compact: bool) -> None:
        """Sets the fields of an object from a body that was walked over. Any exception if they do not fit."""
        transport = TMemoryBuffer(body)
        protocol = (_Compact if compact else _Binary)(transport)
        self._struct(protocol, it, self._fields)
        if transport.read(1):
            raise RemoteProtocolError("bytes are left after the body")

    def _struct(self, protocol: Any, it: Any, fields: dict[int, Field]) -> None:
        protocol.readStructBegin()
        while (header := protocol.readFieldBegin())[1]:
            field = fields.get(header[2])
            if field is None or wire_number(field.type) != header[1]:
                protocol.skip(header[1])
            else:
                setattr(it, field.name, self._value(protocol, field.type, key=False))
            protocol.readFieldEnd()
        protocol.readStructEnd()

    def _value(self, protocol: Any, of: FieldType, *, key: bool) -> Any:
        if of.kind is Kind.STRING:
            return protocol.readBinary().decode()
        if of.kind in _READ:
            return getattr(protocol, _READ[of.kind])()
        if of.cls is not None:
            it = bare_of(of.cls)()
            self._struct(protocol, it, self._structs[of.cls])
            return it
        if of.kind is Kind.MAP:
            return dict(self._pairs(protocol, of, key))
        items = self._items(protocol, of, key or of.kind is Kind.SET)
        if of.kind is Kind.SET:
            return frozenset(items) if key else set(items)
        return tuple(items) if key else list(items)

    def _items(self, protocol: Any, of: FieldType, key: bool) -> Iterator[Any]:
        begin, end = ("readSetBegin", "readSetEnd") if of.kind is Kind.SET else ("readListBegin", "readListEnd")
        kind, count = getattr(protocol, begin)()
        _expect(of.inner, count, kind)
        for _ in range(count):
            yield self._value(protocol, of.inner[0], key=key)
        getattr(protocol, end)()

    def _pairs(self, protocol: Any, of: FieldType, key: bool) -> Iterator[tuple[Any, Any]]:
        *kinds, count = protocol.readMapBegin()
        _expect(of.inner, count, *kinds)
        for _ in range(count):
            yield self._value(protocol, of.inner[0], key=True), self._value(protocol, of.inner[1], key=key)
        protocol.readMapEnd()


def _expect(inner: Sequence[FieldType], count: int, *kinds: int) -> None:
    if count and any(wire_number(of) != kind for of, kind in zip(inner, kinds)):
        raise RemoteProtocolError("the body does not fit the declared types")
