"""References of container images: which registry, which tag, as a container runtime reads them.

Source: https://github.com/distribution/reference, `splitDockerDomain` and `TagNameOnly`.
"""

from msgspec import Struct

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"


def registry_of(image: str) -> str:
    """`nginx` -> docker.io, `localhost/app` -> localhost, `registry:5000/app:1` -> registry:5000."""
    first, slash, _ = image.partition("/")
    is_registry = first == "localhost" or "." in first or ":" in first or first != first.lower()
    return first if slash and is_registry and first != "index.docker.io" else DEFAULT_REGISTRY


def tag_of(image: str) -> str | None:
    """`nginx` -> latest, `registry:5000/app` -> latest, `app:1@sha256:00` -> 1; None where only a digest is given."""
    name, digest, _ = image.partition("@")
    _, colon, tag = name[name.rfind("/") + 1 :].partition(":")
    return tag if colon else None if digest else DEFAULT_TAG


class ImageFilter(Struct, frozen=True):
    """All parts given must hold of one image; `contains` is sought in it as the pod writes it."""

    contains: str | None = None
    registry: str | None = None
    tag: str | None = None

    def matches(self, images: tuple[str, ...]) -> bool:
        """Whether one of a pod's images is so."""
        return any(
            (self.contains is None or self.contains in image)
            and (self.registry is None or self.registry == registry_of(image))
            and (self.tag is None or self.tag == tag_of(image))
            for image in images
        )
