"""Credentials files of a NATS that knows its users by signed tokens, and who vouches for them, as `nsc` makes them."""

import base64
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nkeys

_FILE = """-----BEGIN NATS USER JWT-----
{token}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""
_UNLIMITED = ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
_OF_STREAMS = ("streams", "consumer", "mem_storage", "disk_storage")


class NatsOperator:
    """Who vouches for one account, and the account for its users. `config` is the server's part of it."""

    def __init__(self) -> None:
        operator, system = _make_key(nkeys.PREFIX_BYTE_OPERATOR), _make_key(nkeys.PREFIX_BYTE_ACCOUNT)
        self._account = _make_key(nkeys.PREFIX_BYTE_ACCOUNT)
        limits: dict[str, Any] = dict.fromkeys(_UNLIMITED, -1) | {"wildcards": True}
        streams = dict.fromkeys(_OF_STREAMS, -1)
        accounts = {system: limits, self._account: limits | streams}
        named = (
            f"{_name(key)}: {_sign(operator, key, {'type': 'account', 'limits': each})}"
            for key, each in accounts.items()
        )
        self.config = "\n".join(
            [
                f"operator: {_sign(operator, operator, {'type': 'operator'})}",
                f"system_account: {_name(system)}",
                "resolver: MEMORY",
                f"resolver_preload: {{ {', '.join(named)} }}",
            ]
        )

    def write_credentials(self, path: Path, seconds: float | None = None) -> Path:
        """A user's file, whose token counts for so long."""
        user = _make_key(nkeys.PREFIX_BYTE_USER)
        expires = {} if seconds is None else {"exp": int(time.time() + seconds)}
        token = _sign(self._account, user, {"type": "user", "subs": -1, "data": -1, "payload": -1}, expires)
        path.write_text(_FILE.format(token=token, seed=bytes(user.seed).decode()))
        return path


def _make_key(kind: int) -> nkeys.KeyPair:
    return nkeys.from_seed(bytearray(nkeys.encode_seed(os.urandom(32), kind)))


def _name(key: nkeys.KeyPair) -> str:
    return str(key.public_key.decode())


def _sign(
    issuer: nkeys.KeyPair, subject: nkeys.KeyPair, nats: Mapping[str, Any], further: Mapping[str, Any] | None = None
) -> str:
    claims = {"iss": _name(issuer), "sub": _name(subject), "name": "test", "iat": int(time.time()), "jti": "test"}
    claims |= {"nats": {"version": 2} | dict(nats), **(further or {})}
    signed = b".".join(_encode(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims))
    return b".".join((signed, _encode(issuer.sign(signed)))).decode()


def _encode(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")
