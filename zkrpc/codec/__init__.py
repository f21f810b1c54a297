"""Structs to bytes and back: in C of our own where it was compiled, else on the C module of Apache Thrift. Theory of
operation.

Two paths do the same. *The compiled one* (``_compiled.c``, to which :mod:`zkrpc.codec.compiled` describes each struct,
and the arguments and results of each method) goes once over the values or the bytes, and checks everything on the way:
types and ranges, UTF-8, required fields, unions, what it may cost. It is tried first, and only ever says yes. Whatever
does not fit, and what is too rare for it, goes through *the Python one* again, which is the rest of this page: it words
all errors, and is all there is where nothing could be compiled.

Two libraries meet here. thriftpy2 parsed the IDL and made the struct classes; Apache's ``thrift.protocol.fastbinary``
turns objects into bytes. A struct class is recognised by its ``thrift_spec``, which :mod:`zkrpc.codec.shape` converts
once into the tuples that the C module wants; after that the C module reads and sets plain attributes, and it does not
matter to it which library made the classes. thriftpy2's own decoder is not used: in 0.7.1 it returns memory of other
requests when a string claims to be longer than its frame (measured).

The C module is fast and memory-safe, but checks little. What it lets pass is caught around it, by functions that are
generated per struct (:mod:`zkrpc.codec.visitors`) and that contain only the checks this struct needs; a struct that
needs none has no such function and pays nothing:

=============  ==================================================================  ==================================
visitor        catches                                                              runs
=============  ==================================================================  ==================================
``fits``       bytes for a string, "no" for a bool, a struct of another class, a    before encoding
               str for a list, a missing required field, a union with not one
               member. Numbers are left to the C module, which checks them
``explain``    the same and numbers                                                 after the C module refused, to say
                                                                                    which field it was
``complete``   a required field that did not arrive, a union with two members       after decoding
``text``       U+FFFD, which the C module writes where a string is not UTF-8        after decoding a non-ASCII body
=============  ==================================================================  ==================================

U+FFFD may also have been sent as such. So when ``text`` finds it, the body is decoded again with every string left as
bytes, and each of them is decoded strictly. That is exact, and only bodies that hold U+FFFD or are not UTF-8 pay for
it.

What a hostile body can cost is bounded: nesting by the C module (64 structs), lengths by the bytes that are left, and
the number of values by :mod:`zkrpc.codec.budget`, a walk over the body that runs only when the body is long enough to
exceed the budget.

Two kinds of values do not go through the C module, because Python is faster (:mod:`zkrpc.codec.fast_path`): structs
whose only field is a string or ``binary``, and long strings and bytes, which it copies byte by byte.

Everything that is wrong with a peer's bytes is a :class:`~zkrpc.errors.RemoteProtocolError`; everything wrong with our
own values is a :class:`TypeError` that names the field. Sets arrive as sets, enums as plain ints that may be unknown to
this IDL, ``binary`` as bytes.
"""

from __future__ import annotations

from zkrpc.codec.budget import MAX_ELEMENTS
from zkrpc.codec.calls import ArgumentsCodec, ResultCodec
from zkrpc.codec.failure import FailureKind, decode_failure, encode_failure
from zkrpc.codec.structs import Payload, StructCodec

__all__ = [
    "MAX_ELEMENTS",
    "ArgumentsCodec",
    "FailureKind",
    "Payload",
    "ResultCodec",
    "StructCodec",
    "decode_failure",
    "encode_failure",
]
