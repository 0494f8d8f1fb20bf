"""TLS towards a member: which certificate authority is trusted, what is checked, which client certificate is shown."""

import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

# KubeFed's names, spec.disabledTLSValidations of core.kubefed.io/v1beta1 KubeFedCluster.
EVERYTHING = "*"
SUBJECT_NAME = "SubjectName"
VALIDITY_PERIOD = "ValidityPeriod"
TLS_VALIDATIONS = frozenset({EVERYTHING, SUBJECT_NAME, VALIDITY_PERIOD})

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h; the ssl module has no name for it.
_NO_CHECK_TIME = 0x200000


class TlsMaterialError(ValueError):
    """A certificate, key or CA bundle can't be used; the message says which and never shows it."""


@dataclass(frozen=True)
class TlsMaterial:
    """PEM texts and what is not to be checked. Without `ca` the system's authorities are trusted."""

    ca: bytes | None = None
    client_certificate: bytes | None = None
    client_key: bytes | None = field(default=None, repr=False)
    disabled: frozenset[str] = frozenset()


def build_ssl_context(material: TlsMaterial) -> ssl.SSLContext:
    """The context for one member. Raises TlsMaterialError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if EVERYTHING in material.disabled:
        context.check_hostname = False  # nosemgrep: tls-is-verified - KubeFed or the kubeconfig says so
        context.verify_mode = ssl.CERT_NONE  # nosemgrep: tls-is-verified - likewise
    else:
        _trust(context, material)
    if material.client_certificate is not None and material.client_key is not None:
        _load_client_certificate(context, material.client_certificate, material.client_key)
    return context


def _trust(context: ssl.SSLContext, material: TlsMaterial) -> None:
    # As Go does, and members' certificates are made for: a CA bundle may hold an intermediate or the server's own
    # certificate, and key identifiers may be absent.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if SUBJECT_NAME in material.disabled:
        context.check_hostname = False  # nosemgrep: tls-is-verified - KubeFed says so
    if VALIDITY_PERIOD in material.disabled:
        context.verify_flags |= _NO_CHECK_TIME
    if material.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return
    try:
        context.load_verify_locations(cadata=material.ca.decode("ascii"))
    except (ValueError, ssl.SSLError) as error:
        raise TlsMaterialError("the CA bundle holds no PEM certificate") from error


def _load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # The ssl module reads a client certificate from a file only. mkstemp makes it readable to this user alone.
    try:
        descriptor, name = tempfile.mkstemp(suffix=".pem")
    except OSError as error:
        raise TlsMaterialError(
            "a client certificate needs a temporary file: set TMPDIR to a folder of yours"
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate + b"\n" + key)
        # The empty password keeps OpenSSL from asking on the terminal for an encrypted key's.
        context.load_cert_chain(name, password="")  # nosec B106 - as said
    except (ssl.SSLError, ValueError) as error:
        raise TlsMaterialError("the client certificate and its key do not fit or are not PEM") from error
    finally:
        Path(name).unlink(missing_ok=True)
