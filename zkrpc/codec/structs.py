"""One struct to bytes and back, by the C module with as little Python around it as safety allows.

Everything here is on the path of every call. Unusual constructions are measured: one protocol object is kept for all
decodings, because the C module only reads four attributes of it, and reads them before anything else can run.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, NoReturn

from thrift.protocol import fastbinary
from thrift.protocol.TProtocol import TProtocolException

from zkrpc.codec import budget, visitors
from zkrpc.codec.compiled import SHAPES
from zkrpc.codec.fast_path import LONG, Bulk
from zkrpc.codec.plain import Plain
from zkrpc.codec.shape import ApacheSpecs, ApacheTypes, Field, bare_of, fields_of, has_negative_ids, holds_uuids
from zkrpc.errors import RemoteProtocolError


class Payload(enum.Enum):
    """How a struct is laid out in bytes."""

    BINARY = "binary"
    COMPACT = "compact"


BINARY, COMPACT = Payload.BINARY, Payload.COMPACT

encode_binary: Callable[[Any, Any], bytes] = fastbinary.encode_binary
encode_compact: Callable[[Any, Any], bytes] = fastbinary.encode_compact
_decode_binary: Callable[[Any, Any, Any], Any] = fastbinary.decode_binary
_decode_compact: Callable[[Any, Any, Any], Any] = fastbinary.decode_compact

SPECS = ApacheSpecs()
STRICT_SPECS = ApacheSpecs(strict_text=True)


class _Transport:
    """What the C module reads bytes from: it takes the BytesIO and asks for more when that is empty."""

    __slots__ = ("cstringio_buf",)

    def __init__(self) -> None:
        self.cstringio_buf = BytesIO()

    def cstringio_refill(self, _rest: bytes, _wanted: int) -> NoReturn:
        """Raises EOFError: there is nothing behind the body."""
        raise EOFError


class _Protocol:
    """The attributes of a protocol that the C module reads before it decodes."""

    __slots__ = ("container_length_limit", "string_length_limit", "trans")

    def __init__(self, trans: _Transport) -> None:
        self.trans = trans
        self.string_length_limit = self.container_length_limit = 0


_transport = _Transport()
_protocol = _Protocol(_transport)
_NOTHING = BytesIO()
_SHORT = 4 * 1024
"""Bytes up to which it is cheaper to test whether a whole body is ASCII than to look at each of its strings. What
precedes the body in the buffer is not tested: a THeader's magic is not ASCII."""
_KEPT = 64 * 1024
"""Bytes of a decoded body that may stay referenced until the next one comes."""


class Reader:
    """Decodes bodies of one shape into an object: a struct, or a bag for arguments or results.

    ``types`` and ``strict_types`` are the C module's type arguments, the latter with every string as bytes; ``make``
    returns the object to fill. ``owner`` names it in messages.
    """

    __slots__ = ("_complete", "_holds_uuids", "_make", "_strict", "_strict_types", "_text", "_types")

    def __init__(self, owner: str, fields: Sequence[Field], make: type, *, struct: bool = False) -> None:
        fields = tuple(fields)
        self._make = bare_of(make)
        self._holds_uuids = holds_uuids(fields)
        self._types = _types(SPECS, make, fields, struct)
        self._strict_types = _types(STRICT_SPECS, make, fields, struct)
        self._complete, self._text, self._strict = (
            some.of_class(make) if struct else some.of_fields(owner, fields)
            for some in (visitors.COMPLETE, visitors.TEXT, visitors.STRICT_TEXT)
        )

    def read(
        self, buffer: bytes, offset: int, payload: Payload = BINARY, max_elements: int = budget.MAX_ELEMENTS
    ) -> Any:
        """The object that fills ``buffer`` from ``offset`` to its end. RemoteProtocolError for anything wrong, and for
        more than ``max_elements`` as :mod:`zkrpc.codec.budget` counts them."""
        size = len(buffer)
        if not 0 <= offset < size:
            # A BytesIO may stand beyond its end; the C module then computes a negative length and kills the process.
            raise RemoteProtocolError("the body ends too early")
        if size > max_elements:  # each element takes a byte at least
            (budget.check_binary if payload is BINARY else budget.check_compact)(buffer, offset, max_elements)
        elif self._holds_uuids:
            # The C module takes 16 bytes for a UUID, whether or not they are there. No byte costs four elements.
            (budget.check_binary if payload is BINARY else budget.check_compact)(buffer, offset, 4 * size)
        source = BytesIO(buffer)
        source.seek(offset)
        it = self._make()
        try:
            _protocol.string_length_limit = _protocol.container_length_limit = size
            _transport.cstringio_buf = source
            # Nothing runs between the line above and the C module's first reads. Were it otherwise, in threads without
            # a global lock, our own source would not stand at its end below: an error, never another body's values.
            (_decode_binary if payload is BINARY else _decode_compact)(it, _protocol, self._types)
            if source.tell() != size:
                raise RemoteProtocolError("bytes are left after the body")
            if self._complete is not None:
                self._complete(it)
            if self._text is not None and not (size <= _SHORT and buffer[offset:].isascii()):
                self._check_text(it, buffer, offset, payload)
        except RemoteProtocolError:
            raise
        except Exception as exc:
            raise RemoteProtocolError(_reason(exc)) from exc
        finally:
            if size > _KEPT:
                _transport.cstringio_buf = _NOTHING
        return it

    def _check_text(self, it: Any, buffer: bytes, offset: int, payload: Payload) -> None:
        """Looks for U+FFFD, which the C module puts in the place of bytes that are not UTF-8; see the package's
        docstring."""
        assert self._text is not None and self._strict is not None
        try:
            self._text(it)
        except visitors.SuspectText:
            again, source = self._make(), BytesIO(buffer)
            source.seek(offset)
            _transport.cstringio_buf = source
            (_decode_binary if payload is BINARY else _decode_compact)(again, _protocol, self._strict_types)
            self._strict(again)


class PlainReader(Reader):
    """The same as :class:`Reader` without the C module, for shapes that the C module cannot read."""

    __slots__ = ("_plain",)

    def __init__(self, owner: str, fields: Sequence[Field], make: type, *, struct: bool = False) -> None:
        super().__init__(owner, fields, make, struct=struct)
        self._plain = Plain(fields)

    def read(
        self, buffer: bytes, offset: int, payload: Payload = BINARY, max_elements: int = budget.MAX_ELEMENTS
    ) -> Any:
        """Walks over the body first, to find out whether lengths, types and depth are sound."""
        if not 0 <= offset < len(buffer):
            raise RemoteProtocolError("the body ends too early")
        (budget.check_binary if payload is BINARY else budget.check_compact)(buffer, offset, max_elements)
        it = self._make()
        try:
            self._plain.read(it, buffer[offset:], compact=payload is not BINARY)
            if self._complete is not None:
                self._complete(it)
        except RemoteProtocolError:
            raise
        except Exception as exc:
            raise RemoteProtocolError(_reason(exc)) from exc
        return it


def make_reader(owner: str, fields: Sequence[Field], make: type, *, struct: bool = False) -> Reader:
    """The reader for bodies of this shape, with the arguments of :class:`Reader`."""
    kind = PlainReader if has_negative_ids(tuple(fields)) else Reader
    return kind(owner, fields, make, struct=struct)


def _types(specs: ApacheSpecs, make: type, fields: tuple[Field, ...], struct: bool) -> ApacheTypes:
    return specs.of_class(make) if struct else [make, specs.specification(fields)]


def _encoder(make: type, fields: tuple[Field, ...]) -> Callable[[Any], bytes]:
    types = [make, SPECS.specification(fields)]
    return lambda it: encode_binary(it, types)


def _reason(exc: Exception) -> str:
    """What went wrong, in short; the C module's own messages often name its next step instead."""
    match exc:
        case EOFError():
            return "the body ends too early"
        case UnicodeDecodeError():
            return "a string is not UTF-8"
        case TProtocolException() | RecursionError():
            return "nested too deeply"
        case OverflowError() | ValueError() | MemoryError():
            return "a length is negative or beyond the body"
        case _:
            return "the body does not fit the declared types"


class Writer:
    """Encodes objects of one shape; the opposite of :class:`Reader`, with the same arguments."""

    __slots__ = ("_bulk", "_explain", "_fits", "_long", "_types")

    def __init__(self, owner: str, fields: Sequence[Field], make: type, *, struct: bool = False) -> None:
        self._types = _types(SPECS, make, tuple(fields), struct)
        self._bulk = Bulk(fields, lambda some: _encoder(make, some))
        self._long = self._bulk.names
        self._fits, self._explain = (
            some.of_class(make) if struct else some.of_fields(owner, fields)
            for some in (visitors.FITS, visitors.EXPLAIN)
        )

    def check(self, it: Any) -> None:
        """TypeError if the object does not fit its type in a way that the C module would not notice."""
        if self._fits is not None:
            try:
                self._fits(it)
            except (AttributeError, RecursionError, RuntimeError) as exc:
                raise unencodable(exc) from exc

    def write(self, it: Any, payload: Payload = BINARY) -> bytes:
        """The bytes of an object that was checked. TypeError if the C module refuses it."""
        try:
            if payload is not BINARY:
                return encode_compact(it, self._types)
            for name in self._long:
                value = getattr(it, name)
                if value is not None and len(value) >= LONG:
                    return self._bulk.write(it)
            return encode_binary(it, self._types)
        except Exception as exc:
            refuse(self._explain, it, exc)


def refuse(explain: visitors.Visitor | None, it: Any, exc: Exception) -> NoReturn:
    """Raises a TypeError that names, if possible, the field that the C module refused."""
    try:
        if explain is not None:
            explain(it)
    except (AttributeError, RecursionError, RuntimeError):
        pass  # less clear than what the C module said
    except TypeError as clearer:
        raise clearer from exc
    raise unencodable(exc) from exc


def unencodable(exc: Exception) -> TypeError:
    """The TypeError for a value that the C module, or a visitor, could not handle."""
    if isinstance(exc, (TProtocolException, RecursionError)):
        return TypeError("the value is nested too deeply; at most 64 structs may be inside each other")
    return TypeError(f"the value cannot be encoded: {exc}")


class StructCodec:
    """Encodes and decodes one struct class of thriftpy2. Build it once for each class: it compiles everything it needs.

    Raises ValueError if the class is not a struct that can be encoded.
    """

    __slots__ = ("_reader", "_shape", "_struct", "_writer")

    def __init__(self, struct: type) -> None:
        fields = fields_of(struct)
        self._struct = struct
        self._reader = make_reader(struct.__name__, fields, struct, struct=True)
        self._writer = Writer(struct.__name__, fields, struct, struct=True)
        self._shape = SHAPES.of_class(struct)

    def __repr__(self) -> str:
        """Names the struct."""
        return f"<StructCodec {self._struct.__name__}>"

    def encode(self, value: Any, payload: Payload = BINARY) -> bytes:
        """The struct's bytes. TypeError names the field that does not fit."""
        if self._shape is not None:
            body = self._shape.encode(value, payload is not BINARY)
            if body is not None:
                return body
        if not isinstance(value, self._struct):
            raise visitors.misfit("the value", f"a {self._struct.__name__}", value)
        self._writer.check(value)
        return self._writer.write(value, payload)

    def decode(self, buffer: bytes, offset: int = 0, payload: Payload = BINARY) -> Any:
        """The struct that fills ``buffer`` from ``offset`` to its end. RemoteProtocolError if it is not one."""
        if self._shape is not None:
            it = self._shape.decode(buffer, offset, payload is not BINARY, budget.MAX_ELEMENTS)
            if it is not None:
                return it
        return self._reader.read(buffer, offset, payload)
