"""Words of an IDL file, as thriftpy2's own lexer splits them.

Its lexer and no other, so that what is checked here is what will be parsed there. Its list of reserved words, which
refuses names that Thrift's own compiler takes (``delete``, ``next``, ``end``), is put aside while we hold its lock.
Its errors name a line but no file, and are said again with both.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from thriftpy2.parser import lexer, parser
from thriftpy2.parser.exc import ThriftLexerError

from zkrpc.errors import IdlError

# Used below the surface that is typed: a module of rules and a lock, the same in 0.7.x.
_words: Any = lexer
_grammar: Any = parser


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One word: ``kind`` is thriftpy2's name for it, a punctuation mark is its own kind."""

    kind: str
    value: Any
    line: int

    def __str__(self) -> str:
        """As a message quotes it."""
        return "the end of the file" if self.kind == END else repr(self.value)


END = "END"
"""The kind of the token after the last one."""


@contextlib.contextmanager
def thriftpy2_parser() -> Iterator[None]:
    """Holds thriftpy2's parser for ourselves, and admits names it would refuse. Everything is as before afterwards."""
    with _grammar._parse_lock:
        reserved = _words.thrift_reserved_keywords
        _words.thrift_reserved_keywords = ()
        try:
            yield
        finally:
            _words.thrift_reserved_keywords = reserved


def tokens_of(text: str, file: str) -> list[Token]:
    """The words of a file, with one of kind ``END`` after the last. Call it inside :func:`thriftpy2_parser`.

    Raises IdlError for a character or an escape that no word has.
    """
    split = _grammar.lex.lex(module=_words)
    split.input(text)
    try:
        found = [Token(kind=token.type, value=token.value, line=token.lineno) for token in split]
    except ThriftLexerError as exc:
        message = str(exc).partition(" at line ")[0]
        advice = _advice(message, text[split.lexpos : split.lexpos + 1])
        raise IdlError(f"{message}; expected {advice}", file=file, line=split.lineno) from exc
    return [*found, Token(kind=END, value="", line=split.lineno)]


def _advice(message: str, character: str) -> str:
    """What belongs where the lexer gave up."""
    if character == "/":
        return "a comment that is closed and holds no other '/*'"
    if "escaping" in message or character in ("'", '"'):
        return "a string closed on its line, with no escapes but \\t \\r \\n \\\\ \\' \\\""
    return "a name of ASCII letters, digits and '_', a number, a string or punctuation"
