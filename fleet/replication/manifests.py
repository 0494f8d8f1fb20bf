"""Manifests as they leave the process: redacted, and whole or reduced to what details are made of."""

from fleet.kubernetes.codec.pods import reduce_manifest
from fleet.model.manifests import compress, load_raw_manifest, redact_to_share
from fleet.model.redaction import EnvValues
from fleet.model.unreadable import UNREADABLE


def share_manifest(blob: bytes, env: EnvValues, *, whole: bool) -> bytes:
    """A record's manifest, without what answers hide with this `env`. Empty where it is none, or can't be redacted."""
    try:
        raw = load_raw_manifest(blob)
        if not whole:
            return compress(reduce_manifest(raw, env))
        redacted = redact_to_share(raw, env)
        return blob if redacted is raw else compress(redacted)
    except UNREADABLE:
        return b""
