"""One end of a TLS connection, without a socket: bytes from the network in, bytes for it and for the application out.

=============  ==============================================================  =====================================
state          means                                                           left by
=============  ==============================================================  =====================================
HANDSHAKING    no byte of the application has been sent or received            ``handshake`` ends: OPEN, or CLOSED
OPEN           both directions are used                                        the peer's end, bytes that cannot be
                                                                               decrypted, or ``close``: CLOSED
CLOSED         nothing more is read; ``failure`` says why, empty for an end
               in order
=============  ==============================================================  =====================================

What a peer sends never raises; it ends in CLOSED. After each input there may be bytes for the network, those of an
alert among them. A plain end of the stream counts as an end in order: messages tell where they end, so that nothing is
taken for whole because of it, and many peers never send the alert that would be due.

A caller must know which of its bytes cannot have reached the peer, as it sends those again elsewhere. A record of TLS
is of no use to the peer until it is whole, so the bytes in it count as sent when its last byte has left.
"""

from __future__ import annotations

import enum
import ssl
from collections.abc import Mapping
from typing import Any

LARGEST_RECORD = 16 * 1024
"""Bytes of the application in one record."""
MOST_UNSENT = 64 * 1024
"""Bytes for the network that may wait beside those of a record: a peer that asks for new keys and reads nothing makes
us write without end."""


class TlsState(enum.Enum):
    """See the module's table."""

    HANDSHAKING = "handshaking"
    OPEN = "open"
    CLOSED = "closed"


class TlsLayer:
    """One end. ``server_name`` is the host's name that a client expects; None at a server. Raises ValueError for a text
    that can be no host's."""

    __slots__ = (
        "_incoming",
        "_object",
        "_outgoing",
        "_owed",
        "_pending",
        "_was_heard",
        "distrusts",
        "failure",
        "refused",
        "state",
    )

    def __init__(self, context: ssl.SSLContext, server_name: str | None = None) -> None:
        self.state = TlsState.HANDSHAKING
        self.failure = ""
        """Why it has ended, in a few words."""
        self.distrusts = False
        """True if we do not accept the peer's certificate, or that it shows none."""
        self.refused = False
        """True if a server's handshake failed for our certificate although ours was over, as it may be since TLS 1.3:
        it has acted on nothing that was sent."""
        self._was_heard = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )
        self._pending = b""
        self._owed = 0

    def __repr__(self) -> str:
        """State and version."""
        return f"<TlsLayer {self.state.value} {self.version or 'no version yet'} unsent={len(self._pending)}>"

    @property
    def version(self) -> str:
        """The version in use, such as ``TLSv1.3``; empty before the handshake is over."""
        return self._object.version() or ""

    @property
    def has_input(self) -> bool:
        """Whether ``read`` may find something without further bytes from the network; the end is something, too."""
        return bool(self._incoming.pending or self._object.pending()) or self.state is TlsState.CLOSED

    @property
    def owes(self) -> bool:
        """Whether a record of the application is on its way, which is not whole yet."""
        return self._owed > 0

    def certificate(self) -> Mapping[str, Any] | None:
        """The peer's certificate as ``ssl.SSLSocket.getpeercert`` gives it; None if it has shown none, empty if it was
        not verified."""
        return self._object.getpeercert()

    @property
    def certificate_bytes(self) -> bytes:
        """The same in DER, whether or not it was verified; empty if it has shown none."""
        return self._object.getpeercert(binary_form=True) or b""

    # -- from the network

    def receive_data(self, data: bytes) -> None:
        """Bytes came; none mean the end of the stream."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
            if self.state is not TlsState.HANDSHAKING and not self.has_input:
                self._become_closed("")

    def handshake(self) -> TlsState:
        """Goes on with the handshake, as far as the bytes that came allow."""
        if self.state is TlsState.HANDSHAKING:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.distrusts = isinstance(error, ssl.SSLCertVerificationError) or error.reason == _NONE_SHOWN
                self._become_closed(explain(error))
            else:
                self.state = TlsState.OPEN
        return self.state

    def read(self, size: int) -> bytes | None:
        """Up to ``size`` decrypted bytes; None if more has to come first; b"" at the end."""
        if self.state is TlsState.CLOSED:
            return b""
        if not self.has_input:
            return None
        chunk = self._read(size)
        if not chunk or len(chunk) == size or not self.has_input:
            return chunk
        chunks, left = [chunk], size - len(chunk)
        while left and self.has_input:
            chunk = self._read(left)
            if not chunk:
                break
            chunks.append(chunk)
            left -= len(chunk)
        return b"".join(chunks)

    def _read(self, size: int) -> bytes | None:
        try:
            chunk = self._object.read(size)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            chunk = b""
        except ssl.SSLError as error:
            # An alert is authentic. With no byte of the application before it, it is the end of a handshake.
            self.refused = not self._was_heard and error.reason in _REFUSALS
            self._become_closed(explain(error))
            return b""
        if chunk:
            self._was_heard = True
        else:
            self._become_closed("")
        return chunk

    # -- to the network

    def data_to_send(self) -> bytes:
        """All bytes that the network has not taken; ``sent`` tells how many it takes."""
        if self._outgoing.pending:
            self._pending += self._outgoing.read()
            if len(self._pending) > LARGEST_RECORD + MOST_UNSENT:
                self._become_closed("it lets us write and reads nothing")
        return self._pending

    def sent(self, count: int) -> int:
        """The network took ``count`` bytes; returns how many bytes of the application have left whole with them."""
        self._pending = self._pending[count:]
        if self._pending:
            return 0
        owed, self._owed = self._owed, 0
        return owed

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Encrypts the beginning of ``chunk``, a record at most, if everything before it has left."""
        if not self._pending and self.state is TlsState.OPEN:
            try:
                self._owed = self._object.write(chunk[:LARGEST_RECORD] if len(chunk) > LARGEST_RECORD else chunk)
            except ssl.SSLError as error:
                self._become_closed(explain(error))

    def close(self) -> None:
        """Says goodbye, unless a record is on its way, after which nobody could read that."""
        if self.state is TlsState.OPEN and not self._pending:
            try:
                self._object.unwrap()
            except ssl.SSLError:  # the peer has not said it yet, and nobody waits for that
                pass
        self._become_closed(self.failure)

    def _become_closed(self, failure: str) -> None:
        if self.state is not TlsState.CLOSED:
            self.state = TlsState.CLOSED
            self.failure = failure


_NONE_SHOWN = "PEER_DID_NOT_RETURN_A_CERTIFICATE"
_REFUSALS = frozenset(
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
"""Alerts that speak of our certificate, which only a handshake looks at."""

_EXPLAINED = {
    "WRONG_VERSION_NUMBER": "it speaks no TLS",
    "HTTP_REQUEST": "it speaks HTTP, and no TLS",
    "UNSUPPORTED_PROTOCOL": "it offers no version of TLS from 1.2 on",
    "NO_SHARED_CIPHER": "it offers no cipher that is accepted",
    _NONE_SHOWN: "it shows no certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate, and was shown none",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not accept the certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept the certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it does not accept the certificate, which has expired",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it does not accept the certificate, which is for another purpose",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not accept the certificate, whose authority it does not know",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks no TLS, or none of the versions from 1.2 on",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refuses the handshake: no certificate, or no cipher in common",
}


def explain(error: ssl.SSLError) -> str:
    """What an error of OpenSSL means, said of the peer."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message.rstrip('.')}"
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "it closed the connection in the handshake"
    reason = error.reason or str(error)
    return _EXPLAINED.get(reason, reason.replace("_", " ").lower())
