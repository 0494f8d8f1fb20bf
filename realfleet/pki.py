"""Certificates and keys of a fleet: an authority of its own for every API server."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = datetime.timedelta(days=30)
# Clocks of containers lag; a certificate from the future is refused.
_LEEWAY = datetime.timedelta(hours=1)
_ENDED = -_LEEWAY / 2


@dataclass(frozen=True)
class ClusterFiles:
    """One cluster's files in PEM."""

    ca: Path
    ca_pem: bytes
    serving_certificate: Path
    serving_key: Path
    client_certificate: Path
    """A cluster administrator's (`O=system:masters`)."""
    client_key: Path
    ended_certificate: Path
    """The administrator's of before, which has expired."""
    ended_key: Path
    proxy_certificate: Path
    """What the API server shows to those that it passes requests on to (`CN=front-proxy`)."""
    proxy_key: Path
    service_account_key: Path


def build_cluster_files(folder: Path, cluster: str) -> ClusterFiles:
    """Writes an authority, a serving certificate for loopback, an administrator's certificate and a signing key."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _name(f"{cluster} authority", "realfleet")
    ca = (
        _certificate(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    serving_key, serving = _issue(ca, ca_key, _name("localhost", "realfleet"), ExtendedKeyUsageOID.SERVER_AUTH)
    administrator = _name("administrator", "system:masters")
    client_key, client = _issue(ca, ca_key, administrator, ExtendedKeyUsageOID.CLIENT_AUTH)
    ended_key, ended = _issue(ca, ca_key, administrator, ExtendedKeyUsageOID.CLIENT_AUTH, _ENDED)
    proxy_key, proxy = _issue(ca, ca_key, _name("front-proxy", "realfleet"), ExtendedKeyUsageOID.CLIENT_AUTH)
    account_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ca_pem = ca.public_bytes(serialization.Encoding.PEM)
    return ClusterFiles(
        ca=_write(folder / "ca.crt", ca_pem),
        ca_pem=ca_pem,
        serving_certificate=_write(folder / "serving.crt", serving.public_bytes(serialization.Encoding.PEM)),
        serving_key=_write(folder / "serving.key", _key_pem(serving_key)),
        client_certificate=_write(folder / "client.crt", client.public_bytes(serialization.Encoding.PEM)),
        client_key=_write(folder / "client.key", _key_pem(client_key)),
        ended_certificate=_write(folder / "ended.crt", ended.public_bytes(serialization.Encoding.PEM)),
        ended_key=_write(folder / "ended.key", _key_pem(ended_key)),
        proxy_certificate=_write(folder / "proxy.crt", proxy.public_bytes(serialization.Encoding.PEM)),
        proxy_key=_write(folder / "proxy.key", _key_pem(proxy_key)),
        service_account_key=_write(folder / "service-account.key", _key_pem(account_key)),
    )


def _issue(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    usage: x509.ObjectIdentifier,
    lifetime: datetime.timedelta = _LIFETIME,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [
        x509.DNSName("localhost"),
        x509.DNSName("kubernetes.default.svc"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    certificate = (
        _certificate(subject, ca.subject, key.public_key(), lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        # Without it OpenSSL's strict checks, the default from Python 3.13 on, refuse the chain.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return key, certificate


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    lifetime: datetime.timedelta = _LIFETIME,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str, organization: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
        ]
    )


def _key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
