"""The image and the wheel, built once for all tests."""

from pathlib import Path

import pytest

from realfleet.cache import MissingServersError
from release.image import build_image
from release.wheel import build_wheel
from tests.release.containers import UnpackedImage
from tests.required import go_without


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build_image(tmp_path_factory.mktemp("image"))
    except MissingServersError as error:
        go_without(str(error))


@pytest.fixture(scope="session")
def image(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> UnpackedImage:
    return UnpackedImage(archive, tmp_path_factory.mktemp("unpacked"))
