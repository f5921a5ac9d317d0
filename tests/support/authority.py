"""A certificate authority for one test: good certificates, and such as must be refused."""

import datetime as dt
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


class Authority:
    """Writes PEM files into one folder: ``ca.crt``, ``ca.crl``, and ``NAME.crt`` with ``NAME.key``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("test authority")
        own = self._builder(self._name, self._key.public_key(), age=DAY, life=365 * DAY)
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        signed = (
            own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._write("ca.crt", signed.public_bytes(serialization.Encoding.PEM))
        self.revoke()

    def issue(
        self, file: str, name: str, *, hosts: tuple[str, ...] = ("127.0.0.1",), expired: bool = False
    ) -> x509.Certificate:
        """A certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        age, life = (30 * DAY, -DAY) if expired else (DAY, 30 * DAY)
        names = x509.SubjectAlternativeName(
            [x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts]
        )
        signed = (
            self._builder(_name(name), key.public_key(), age=age, life=life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self._write(f"{file}.crt", signed.public_bytes(serialization.Encoding.PEM))
        self._write(
            f"{file}.key",
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        return signed

    def revoke(self, *certificates: x509.Certificate) -> None:
        """Write the revocation list anew."""
        now = dt.datetime.now(dt.UTC)
        revoked = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        revoked = revoked.last_update(now - DAY).next_update(now + 30 * DAY)
        for certificate in certificates:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            revoked = revoked.add_revoked_certificate(entry.revocation_date(now - DAY).build())
        signed = revoked.sign(self._key, hashes.SHA256())
        self._write("ca.crl", signed.public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, *, age: dt.timedelta, life: dt.timedelta
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - age)
            .not_valid_after(now + life)
        )

    def _write(self, file: str, text: bytes) -> None:
        (self.folder / file).write_bytes(text)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
