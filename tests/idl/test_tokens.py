"""The lexer, borrowed and given back."""

from __future__ import annotations

import threading

import pytest
from thriftpy2.parser import lexer
from thriftpy2.parser.parser import _parse_lock

from zkrpc.errors import IdlError
from zkrpc.idl.tokens import END, Token, thriftpy2_parser, tokens_of


def kinds(text: str) -> list[tuple[str, object, int]]:
    """Kind, value and line of each token."""
    with thriftpy2_parser():
        return [(token.kind, token.value, token.line) for token in tokens_of(text, "a.thrift")]


def test_tokens_carry_their_lines() -> None:
    """Across comments of all kinds; the last one is the end."""
    text = "struct A { // one\n# two\n/* three\n*/ 1: i32 x = -5, }\n"
    assert kinds(text) == [
        ("STRUCT", "struct", 1),
        ("IDENTIFIER", "A", 1),
        ("{", "{", 1),
        ("INTCONSTANT", 1, 4),
        (":", ":", 4),
        ("I32", "i32", 4),
        ("IDENTIFIER", "x", 4),
        ("=", "=", 4),
        ("INTCONSTANT", -5, 4),
        (",", ",", 4),
        ("}", "}", 4),
        (END, "", 5),
    ]


def test_names_that_only_thriftpy2_reserves_are_names() -> None:
    """Thrift's own compiler takes them."""
    assert [kind for kind, _, _ in kinds("delete next end self union")] == ["IDENTIFIER"] * 4 + ["UNION", END]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("struct A {\n 1: i32 été }", 2, "Illegal character 'é'; expected a name of ASCII letters"),
        ("\n\n/* never closed", 3, "expected a comment that is closed"),
        ("/* a /* b */ c */\n", 1, "expected a comment that is closed and holds no other"),
        ("const string A = 'open\n'", 1, "expected a string closed on its line"),
        (
            'const string A = "\\u1234"',
            1,
            "Unexpected escaping character: u; expected a string closed on its line, with no escapes but",
        ),
        ("struct A { 1: i32 & x }", 1, "Illegal character '&'"),
    ],
)
def test_word_that_is_none_is_an_error_with_its_line(text: str, line: int, message: str) -> None:
    """thriftpy2 names the line at best; here file and line stand in front, and what was expected behind."""
    with pytest.raises(IdlError, match=message) as caught:
        kinds(text)
    assert str(caught.value).startswith(f"a.thrift:{line}: ")


def test_thriftpy2_is_given_back_as_it_was() -> None:
    """Also after an error; nobody else parses meanwhile."""
    before = lexer.thrift_reserved_keywords
    with pytest.raises(IdlError):
        kinds("\u20ac")
    assert lexer.thrift_reserved_keywords is before and "delete" in before
    taken: list[bool] = []

    def take() -> None:
        taken.append(_parse_lock.acquire(blocking=False))

    with thriftpy2_parser():
        other = threading.Thread(target=take)
        other.start()
        other.join()
    assert taken == [False]


def test_token_reads_as_a_message_quotes_it() -> None:
    """The end has words of its own."""
    assert str(Token(kind="}", value="}", line=1)) == "'}'"
    assert str(Token(kind=END, value="", line=1)) == "the end of the file"
