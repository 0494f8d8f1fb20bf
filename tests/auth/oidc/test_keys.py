"""Which published keys count."""

import asyncio
import base64
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from auth.oidc.errors import IssuerFailed
from auth.oidc.issuer import Issuer
from auth.oidc.keys import MAX_KEYS, IssuerKeys, KeyTimes, import_keys
from fleet.aio.tasks import open_task
from tests.fakes.waiting import until

EC: dict[str, Any] = dict(ECKey.generate_key("P-256", {"kid": "ec"}).as_dict(private=False))
RSA: dict[str, Any] = dict(RSAKey.generate_key(2048, {"kid": "rsa"}).as_dict(private=False))


def rsa_of(bits: int) -> dict[str, Any]:
    number = (1 << (bits - 1)) | 1
    text = base64.urlsafe_b64encode(number.to_bytes(bits // 8, "big")).rstrip(b"=").decode()
    return RSA | {"n": text, "kid": f"{bits} bits"}


def test_keys_are_found_by_their_ids() -> None:
    keys = import_keys([EC, RSA, RSA | {"kid": "other"}, {**EC, "kid": "rsa"}])

    assert {kid: len(found) for kid, found in keys.items()} == {"ec": 1, "rsa": 2, "other": 1}


@pytest.mark.parametrize(
    "entry",
    [
        rsa_of(1024),
        rsa_of(16384),
        RSA | {"use": "enc"},
        RSA | {"n": "!"},
        RSA | {"e": 7},
        EC | {"crv": "P-1"},
        EC | {"x": "YQ"},
        {"kty": "oct", "k": "YQ", "kid": "secret"},
        {"kty": "OKP", "crv": "Ed25519", "x": "YQ"},
        {"kty": ["RSA"]},
        {},
        None,
        "key",
    ],
)
def test_what_is_no_key_to_sign_with_is_left_out(entry: object) -> None:
    assert set(import_keys([entry, EC])) == {"ec"}
    with pytest.raises(IssuerFailed, match="publishes no key"):
        import_keys([entry])


def test_no_more_keys_are_read_than_anybody_has() -> None:
    assert len(import_keys([EC, *[RSA] * MAX_KEYS])["rsa"]) == MAX_KEYS - 1
    with pytest.raises(IssuerFailed):
        import_keys([*[{}] * MAX_KEYS, EC])


async def test_an_issuer_that_hangs_is_said_to_do_so() -> None:
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        keys = IssuerKeys(Issuer(f"http://127.0.0.1:{port}", ("a",)), KeyTimes(answer=0.01))
        async with open_task("keys", keys.run):
            await until(lambda: keys.problem)

    assert keys.problem == f"issuer http://127.0.0.1:{port}: does not answer"
