"""What is in an OCI archive (the image-spec's "image layout", in a tar)."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_layers(archive: Path) -> list[str]:
    """The digests of the layers, lowest first, as they are before compression."""
    with tarfile.open(archive) as tar:
        layers: list[str] = _read_blob(tar, _read_manifest(tar)["config"])["rootfs"]["diff_ids"]
        return layers


def iter_files(archive: Path, patterns: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Paths that match one of the patterns of `Path.match`, with their text, layer by layer."""
    with tarfile.open(archive) as tar:
        for layer in _read_manifest(tar)["layers"]:
            with tarfile.open(fileobj=tar.extractfile(_blob_of(layer))) as files:
                for member in files:
                    path = Path(member.name)
                    if member.isfile() and any(path.match(pattern) for pattern in patterns):
                        content = files.extractfile(member)
                        assert content is not None  # noqa: S101 - a regular file has content
                        yield member.name, content.read().decode()


def _read_manifest(tar: tarfile.TarFile) -> dict[str, Any]:
    return _read_blob(tar, _read_json(tar, "index.json")["manifests"][0])


def _read_blob(tar: tarfile.TarFile, descriptor: dict[str, Any]) -> dict[str, Any]:
    return _read_json(tar, _blob_of(descriptor))


def _blob_of(descriptor: dict[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _read_json(tar: tarfile.TarFile, name: str) -> dict[str, Any]:
    content = tar.extractfile(name)
    if content is None:
        raise ValueError(f"this is no OCI archive: {name} is no file in it")
    read: dict[str, Any] = json.load(content)
    return read
