"""Continue tokens, as the real server makes them. Source: apiserver `pkg/storage/continue.go`."""

import base64
import binascii

import orjson
from msgspec import Struct

from demo.simulator.status import build_bad_request
from demo.simulator.store import Place

NEWEST = -1
"""The version of a token that goes on from the newest state, given out with a 410."""


class ContinueToken(Struct, frozen=True):
    """Where a list goes on: at the first place after `after`, in the state of `version`."""

    version: int
    after: Place

    def encode(self) -> str:
        """The opaque text. Clients must not read it."""
        start = f"{self.after[0]}/{self.after[1]}\0"
        text = orjson.dumps({"v": "meta.k8s.io/v1", "rv": self.version, "start": start})
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def parse_continue(text: str) -> ContinueToken:
    """Reads a token. Raises ApiError 400 for anything this server did not make."""
    try:
        padded = text + "=" * (-len(text) % 4)
        loaded = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        namespace, _, name = loaded["start"].removesuffix("\0").partition("/")
        return ContinueToken(int(loaded["rv"]), (namespace, name))
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise build_bad_request(f"continue key is not valid: {error}") from error
