"""What a token says of itself, unchecked: for its owner, who wants to know from when until when it counts."""

import base64
from typing import Annotated

import msgspec
from msgspec import Struct

from fleet.model.unreadable import UNREADABLE


class Claims(Struct, frozen=True):
    """What of a token matters to its owner. Times are in Unix seconds; `exp` is 0 where it says none."""

    exp: Annotated[float, msgspec.Meta(le=1e11)] = 0.0
    iat: Annotated[float, msgspec.Meta(ge=-1e11)] | None = None
    nonce: object = None


def read_claims(token: str) -> Claims:
    """The claims of a JWT; those of what is none, or can't be read, are empty."""
    part = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=Claims)
    except UNREADABLE:
        return Claims()
