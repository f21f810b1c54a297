"""Showing a server who we are: the frames of digest and of SASL's DIGEST-MD5."""

from __future__ import annotations

import hashlib
import struct

import pytest

from zkrpc.credentials import NO_SECURITY, ZooKeeperSecurity
from zkrpc.errors import RemoteProtocolError
from zkrpc.zookeeper.authentication import Unauthorized, introduce, respond

SASL = ZooKeeperSecurity(username='so "it" is', password="pässword", mechanism="sasl")
CHALLENGE = b'realm="zk-sasl-md5",nonce="N\\"1",qop="auth,auth-int",charset=utf-8,algorithm=md5-sess'


def answer(token: bytes = b"", error: int = 0) -> bytes:
    """The body of an answer."""
    return struct.pack("!iqi", 1, 0, error) + struct.pack("!i", len(token)) + token


def test_nobody_says_nothing() -> None:
    """Without a username there is no message."""
    assert list(introduce(NO_SECURITY, lambda: "c")) == []


def test_digest_is_one_message() -> None:
    """Scheme and credentials, under the request number that ZooKeeper has for it."""
    introduction = introduce(ZooKeeperSecurity(username="svc", password="x"), lambda: "c")
    assert next(introduction) == struct.pack("!iiii", -4, 100, 0, 6) + b"digest" + struct.pack("!i", 5) + b"svc:x"
    with pytest.raises(StopIteration):
        introduction.send(answer())
    refused = introduce(ZooKeeperSecurity(username="svc", password="x"), lambda: "c")
    next(refused)
    with pytest.raises(Unauthorized, match="does not accept the digest credentials"):
        refused.send(answer(error=-115))


def test_the_hashes_are_those_of_the_rfc() -> None:
    """The example of RFC 2831, section 4."""
    challenge = b'realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,charset=utf-8'
    response, proof = respond(challenge, "chris", "secret", "OA6MHXh6VqTrRk", "imap/elwood.innosoft.com")
    assert b"response=d388dad90d4bbd760a152321f2143af7" in response
    assert proof == "ea40f60335c427b5527b84dbabcdfffd"


@pytest.mark.parametrize(("password", "octets"), [("pässword", "latin-1"), ("密码", "utf-8")])
def test_letters_are_hashed_as_servers_do(password: str, octets: str) -> None:
    """In ISO 8859-1 what can be written so, else in UTF-8; names are quoted."""
    response, _ = respond(b'realm="r",nonce="n"', 'a"b', password, "c")
    secret = hashlib.md5(f'a"b:r:{password}'.encode(octets)).digest() + b":n:c"
    what = hashlib.md5(b"AUTHENTICATE:zookeeper/zk-sasl-md5").hexdigest()
    expected = hashlib.md5(f"{hashlib.md5(secret).hexdigest()}:n:00000001:c:auth:{what}".encode()).hexdigest()
    assert f"response={expected}".encode() in response
    assert rb'username="a\"b"' in response


def test_sasl_asks_answers_and_checks_the_proof() -> None:
    """An empty message asks for the challenge; the answer to ours must have the server's proof."""
    introduction = introduce(SASL, lambda: "c")
    assert next(introduction) == struct.pack("!iii", 1, 102, 0)
    sent = introduction.send(answer(CHALLENGE))
    assert sent[:8] == struct.pack("!ii", 2, 102)
    response, proof = respond(CHALLENGE, SASL.username or "", SASL.password or "", "c")
    assert sent[12:] == response
    with pytest.raises(StopIteration):
        introduction.send(answer(f"rspauth={proof}".encode()))


@pytest.mark.parametrize(
    ("answers", "error", "message"),
    [
        ([answer(error=-115)], Unauthorized, "does not accept the SASL credentials"),
        ([answer(CHALLENGE), answer(error=-115)], Unauthorized, "does not accept the SASL credentials"),
        ([answer(CHALLENGE), answer(b"rspauth=00")], Unauthorized, "has not proved that it knows the password"),
        ([answer(CHALLENGE), answer()], Unauthorized, "has not proved"),
        ([b"short"], RemoteProtocolError, "a ZooKeeper answer of 5 bytes"),
        ([answer()[:18]], RemoteProtocolError, "without a message"),
        ([answer()[:16] + struct.pack("!i", 99)], RemoteProtocolError, "cut off"),
        ([answer(b"\xff")], RemoteProtocolError, "is no text"),
        ([answer(b"???")], RemoteProtocolError, "cannot be read"),
        ([answer(b"a=1," * 40)], RemoteProtocolError, "none of DIGEST-MD5"),
        (
            [answer(b",".join(b"%c%c=1" % (97 + i // 20, 97 + i % 20) for i in range(40)))],
            RemoteProtocolError,
            "cannot",
        ),
        ([answer(b'realm="r",qop="auth"')], RemoteProtocolError, "none of DIGEST-MD5"),
        ([answer(b'nonce="n",qop="auth-conf"')], RemoteProtocolError, "none of DIGEST-MD5"),
    ],
)
def test_other_answers_are_errors(answers: list[bytes], error: type[Exception], message: str) -> None:
    """A refusal says whose credentials were refused; what is no answer is told from that."""
    introduction = introduce(SASL, lambda: "c")
    next(introduction)
    with pytest.raises(error, match=message):
        for one in answers:
            introduction.send(one)
