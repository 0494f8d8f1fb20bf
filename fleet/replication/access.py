"""What NATS is reached with: certificates, and the credentials file of a user."""

import base64
import binascii
import re
import ssl
from pathlib import Path

import nkeys

from fleet.aio.files import read_bytes
from fleet.replication.options import NatsOptions

_CREDENTIALS_BYTES = 64 * 1024
_PART = re.compile(r"-----BEGIN (NATS USER JWT|USER NKEY SEED)-----\s+([\w.-]+)\s")


class AccessInvalid(Exception):
    """A file of the options can't be used; the message names it."""


class Access:
    """What the files of the options hold now. Reads files; raises AccessInvalid."""

    def __init__(self, options: NatsOptions) -> None:
        files = options.ca_file, options.cert_file
        self.encrypted = any(files) or any(url.startswith("tls://") for url in options.servers)
        self.context = _build_context(options) if self.encrypted else None
        self.token, self._seed = _read_credentials(options.credentials_file) if options.credentials_file else ("", "")

    def tell_token(self) -> bytearray:
        return bytearray(self.token.encode())

    def sign(self, nonce: str) -> bytes:
        key = nkeys.from_seed(bytearray(self._seed.encode()))
        try:
            return base64.b64encode(key.sign(nonce.encode()))
        finally:
            key.wipe()


def _build_context(options: NatsOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
    except (OSError, ValueError) as error:
        raise AccessInvalid(f"the CA file {options.ca_file} can't be used: {error}") from error
    if options.cert_file is not None:
        try:
            context.load_cert_chain(options.cert_file, options.key_file)
        except (OSError, ValueError) as error:
            raise AccessInvalid(
                f"the certificate {options.cert_file} with the key {options.key_file} can't be used: {error}"
            ) from error
    return context


def _read_credentials(path: Path) -> tuple[str, str]:
    """The token and the seed of a credentials file, as `nsc` writes it."""
    try:
        parts = dict(_PART.findall(read_bytes(path, _CREDENTIALS_BYTES).decode()))
        token, seed = parts["NATS USER JWT"], parts["USER NKEY SEED"]
        nkeys.from_seed(bytearray(seed.encode())).wipe()
    except OSError as error:
        raise AccessInvalid(f"the credentials file {path} can't be read: {error}") from error
    except (KeyError, ValueError, binascii.Error, nkeys.NkeysError) as error:
        raise AccessInvalid(
            f"the credentials file {path} must hold a NATS USER JWT and a USER NKEY SEED, as `nsc` writes it"
        ) from error
    return token, seed
