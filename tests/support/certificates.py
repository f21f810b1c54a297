"""Certificates for tests: an authority, and files of what it issues."""

from __future__ import annotations

import datetime
import functools
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from zkrpc.tls.settings import ClientTls, ServerTls

SERVER_NAMES = ("localhost", "127.0.0.1")


@functools.cache
def authority(name: str) -> trustme.CA:
    """An authority, the same one for each name."""
    return trustme.CA(organization_name=name)


class Files:
    """Files in a folder: ``ca.pem``, and ``NAME.pem`` and ``NAME.key`` of each certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = str(folder / "ca.pem")
        authority("ours").cert_pem.write_to_path(self.ca)

    def issue(
        self, name: str, *names: str, common_name: str | None = None, by: str = "ours", into: str = ""
    ) -> tuple[str, str]:
        """Writes a certificate with its key; the paths of both. ``into`` is the name of the files, if not ``name``."""
        made = authority(by).issue_cert(*names, common_name=common_name)
        where = self.folder / (into or name)
        certificate, key = where.with_suffix(".pem"), where.with_suffix(".key")
        certificate.write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
        key.write_bytes(made.private_key_pem.bytes())
        return str(certificate), str(key)

    def workload(self, spiffe: str) -> ClientTls:
        """A client's settings, with a certificate for a SPIFFE ID."""
        ours, key = authority("ours"), ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(ours.cert_pem.bytes())
        signer = serialization.load_pem_private_key(ours.private_key_pem.bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        made = (
            x509.CertificateBuilder(issuer.subject, x509.Name([]), key.public_key(), x509.random_serial_number())
            .not_valid_before(issuer.not_valid_before_utc)
            .not_valid_after(issuer.not_valid_after_utc)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe)]), critical=True)
            .sign(signer, hashes.SHA256())
        )
        certificate, where = self.folder / "workload.pem", self.folder / "workload.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        where.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return ClientTls(ca=self.ca, certificate=str(certificate), key=str(where))

    def revoke(self, *certificates: str, by: str = "ours", lasts: float = 1.0) -> str:
        """Writes the list of the certificates that an authority has revoked, for so many days; its path."""
        ours, now = authority(by), datetime.datetime.now(datetime.timezone.utc)
        signer = serialization.load_pem_private_key(ours.private_key_pem.bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(x509.load_pem_x509_certificate(ours.cert_pem.bytes()).subject)
            .last_update(now - datetime.timedelta(days=9))
            .next_update(now + datetime.timedelta(days=lasts))
        )
        for path in certificates:
            serial = x509.load_pem_x509_certificate(Path(path).read_bytes()).serial_number
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            made = made.add_revoked_certificate(one.build())
        where = self.folder / f"{by}.crl"
        where.write_bytes(made.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return str(where)

    def server(self, *, clients: str | None = None, **settings: object) -> ServerTls:
        """A server's settings, with a certificate for ``SERVER_NAMES``."""
        certificate, key = self.issue("server", *SERVER_NAMES)
        ca = self.ca if clients not in (None, "none") else ""
        return ServerTls(certificate=certificate, key=key, ca=ca, clients=clients, **settings)  # type: ignore[arg-type]

    def client(self, *names: str, common_name: str | None = None, by: str = "ours", **settings: object) -> ClientTls:
        """A client's settings, with a certificate if there are names."""
        certificate, key = self.issue("client", *names, common_name=common_name, by=by) if names else ("", "")
        return ClientTls(ca=self.ca, certificate=certificate, key=key, **settings)  # type: ignore[arg-type]


def serial_of(certificate: bytes) -> int:
    """The serial number of a certificate in DER, which tells one of a name from another."""
    return x509.load_der_x509_certificate(certificate).serial_number
