"""Whole objects as the cache keeps them: the API server's own bytes, compressed, and redacted when they are read back.

Redaction (`fleet.model.redaction`) happens on reading, so that whatever shows a manifest shows the redacted one.
"""

from functools import reduce
from pathlib import Path
from typing import Any, cast

import msgspec
import orjson
import zstandard

from fleet.model.errors import NotFound
from fleet.model.redaction import EnvValues, may_hold, redact
from fleet.model.unreadable import UNREADABLE

TOO_DEEP = "NESTED TOO DEEPLY"
# Every change of every object is compressed, so time counts: two thirds of level 3's, for 200 bytes more of 5,000.
_HOW = zstandard.ZstdCompressionParameters(
    strategy=zstandard.STRATEGY_FAST,
    window_log=16,
    hash_log=14,
    chain_log=12,
    search_log=1,
    min_match=7,
    target_length=2,
    write_checksum=False,
)
_LEVELS_AROUND = 60
"""Of lists and objects that an answer has around a manifest at most; JSON is written to 254 levels."""
_MOST_LEVELS = 180
_MAX_MANIFEST_BYTES = 64 * 1024 * 1024


class ManifestCodec:
    """Compresses single objects. `sample` is text that they will resemble; both sides need the same one.

    A sample that can be read is preferred to a trained dictionary: it is nearly as small, and a review can see what it
    is. Not for threads: zstd contexts are reused from call to call.
    """

    def __init__(self, sample: bytes | None = None) -> None:
        known = None
        if sample is not None:
            known = zstandard.ZstdCompressionDict(sample, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
            known.precompute_compress(compression_params=_HOW)
        self._compressor = zstandard.ZstdCompressor(compression_params=_HOW, dict_data=known)
        self._decompressor = zstandard.ZstdDecompressor(dict_data=known)

    def compress(self, raw: bytes) -> bytes:
        # The compressor's own result keeps a buffer many times its length alive; the copy is exact.
        return bytes(memoryview(self._compressor.compress(raw)))

    def decompress(self, blob: bytes) -> bytes:
        """The JSON again. Raises ValueError for bytes that `compress` did not make."""
        try:
            return self._decompressor.decompress(blob, max_output_size=_MAX_MANIFEST_BYTES)
        except zstandard.ZstdError as error:
            raise ValueError(f"not a compressed manifest: {error}") from error


# A node and a pod with what most of them have, as an API server writes them; what comes last is found best.
_CODEC = ManifestCodec(Path(__file__).with_name("manifest_sample.jsonl").read_bytes())


def compress(raw: bytes) -> bytes:
    """Shrinks one object's JSON for `Pod.manifest` and `Node.manifest`."""
    return _CODEC.compress(raw)


def load_raw_manifest(blob: bytes) -> bytes:
    """The object's JSON, **not redacted**: for decoding into models, never for showing. Raises ValueError."""
    return _CODEC.decompress(blob)


def load_manifest(blob: bytes, env: EnvValues = EnvValues.SHOWN) -> dict[str, Any]:
    """The whole object as JSON values, redacted.

    Raises ValueError for bytes that `compress` did not make, NotFound where only what details are made of is here.
    """
    manifest = load_object(_CODEC.decompress(blob), env)
    if manifest.get("reduced") is True:
        raise NotFound("this replica has no manifest of the object: ask its cluster for it, at /clusters/NAME/api/...")
    return manifest


def redact_to_share(raw: bytes, env: EnvValues) -> bytes:
    """An object's JSON as others may keep it: without what `load_manifest`, and all answers made of it, hide.

    They read the same from it, and it is the same where there is nothing to hide. Raises ValueError, RecursionError.
    """
    if not may_hold(raw, env):
        return raw
    redacted = msgspec.json.encode(redact(msgspec.json.decode(raw, type=dict[str, Any]), env, answerable=True))
    return raw if redacted == raw else redacted


def load_object(raw: bytes, env: EnvValues = EnvValues.SHOWN) -> dict[str, Any]:
    """The same of an object's JSON. Raises ValueError for bytes that are no object."""
    try:
        manifest = msgspec.json.decode(raw, type=dict[str, Any])
    except UNREADABLE as error:
        raise ValueError(f"not an object: {error}") from error
    return as_answer(redact(manifest, env) if may_hold(raw, env) else manifest)


def as_answer(manifest: dict[str, Any]) -> dict[str, Any]:
    """The object as an answer may hold it: one that is nested too deeply, or has longer numbers, would take it away."""
    try:
        orjson.dumps(reduce(lambda inner, _: [inner], range(_LEVELS_AROUND), cast("Any", manifest)))
    except TypeError:
        return {name: _shorten(part, _MOST_LEVELS) for name, part in manifest.items()}
    return manifest


def _shorten(value: Any, levels: int) -> Any:
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value) if abs(value) < 10**308 else str(value)
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return TOO_DEEP
    if isinstance(value, list):
        return [_shorten(part, levels - 1) for part in value]
    return {name: _shorten(part, levels - 1) for name, part in value.items()}
