"""When certificates end, read from their bytes."""

from __future__ import annotations

import datetime
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from tests.support.certificates import authority
from zkrpc.tls.validity import earliest_end, end_of


def issue(until: datetime.datetime) -> tuple[bytes, float]:
    """A certificate in PEM that ends then, and when it does, as cryptography reads it."""
    before = until - datetime.timedelta(days=400)
    made = authority("ours").issue_cert("localhost", not_before=before, not_after=until)
    pem = made.cert_chain_pems[0].bytes()
    return pem, x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


@pytest.mark.parametrize("year", [1971, 1999, 2000, 2026, 2049, 2050, 9999])
def test_end_is_read_as_others_read_it(year: int) -> None:
    """In both forms of a time: those from 2050 on have a year of four digits."""
    pem, end = issue(datetime.datetime(year, 12, 31, 23, 59, 59))
    assert earliest_end(pem) == end_of(ssl.PEM_cert_to_DER_cert(pem.decode())) == end


def test_first_of_a_chain_to_end_counts() -> None:
    """Whoever verifies needs all of them; what else is in the file is none of it."""
    soon, late = (issue(datetime.datetime(year, 1, 1)) for year in (2030, 2040))
    key = b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"
    assert earliest_end(key + late[0] + b"a comment\n" + soon[0]) == soon[1]


def test_certificate_without_a_version_is_read() -> None:
    """The first version of them has none."""
    pem, end = issue(datetime.datetime(2030, 1, 1))
    der = bytearray(ssl.PEM_cert_to_DER_cert(pem.decode()))
    inner = der.index(b"\xa0\x03\x02\x01\x02")
    del der[inner : inner + 5]
    der[2:4] = (int.from_bytes(der[2:4], "big") - 5).to_bytes(2, "big")
    assert end_of(bytes(der)) == end


def test_what_cannot_be_read_has_no_end() -> None:
    """Nothing, a broken armour, something else than a certificate, a time that is none."""
    pem, _ = issue(datetime.datetime(2030, 1, 1))
    der = ssl.PEM_cert_to_DER_cert(pem.decode())
    assert earliest_end(b"") is earliest_end(b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----") is None
    assert end_of(b"\x31" + der[1:]) is end_of(der.replace(b"300101", b"309901")) is None
    late = der.index(b"\x17\x0d300101")
    assert end_of(der[:late] + b"\x13" + der[late + 1 :]) is None
    assert all(end_of(der[:cut]) is None for cut in range(len(der)))


@given(st.binary(max_size=200), st.integers(0, 2000))
def test_no_bytes_break_it(noise: bytes, at: int) -> None:
    """Whatever stands where, it is a time or nothing."""
    der = x509.load_pem_x509_certificate(trustme_pem()).public_bytes(Encoding.DER)
    end = end_of(der[:at] + noise + der[at + len(noise) :])
    assert end is None or isinstance(end, float)


def trustme_pem() -> bytes:
    """The authority's own certificate."""
    ours: trustme.CA = authority("ours")
    return ours.cert_pem.bytes()
