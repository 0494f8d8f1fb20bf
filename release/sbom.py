"""The image's bill of materials in CycloneDX: packages of Debian and Python, and those that GraphiQL is made of.

What is installed is read from the image itself, so that it is said whatever put it there.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_string
from email.message import Message
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from release.oci import iter_files, read_layers
from release.versions import ROOT, read_version
from release.wheel import find_epoch

_DEBIAN = "var/lib/dpkg/status.d/*"
_PYTHON = "*.dist-info/METADATA"


def write_bill(archive: Path) -> Path:
    """Writes it beside the archive: `NAME.sbom.cdx.json`."""
    bom = Bom(serial_number=uuid5(NAMESPACE_OID, " ".join(read_layers(archive))))
    bom.metadata.timestamp = datetime.fromtimestamp(int(find_epoch()), UTC)
    image = Component(name="openmcp-apiserver", version=read_version(), type=ComponentType.CONTAINER, bom_ref="image")
    bom.metadata.component = image
    parts = {str(part.purl): part for part in (*_iter_installed(archive), *_iter_page())}
    bom.components.update(parts.values())
    bom.register_dependency(image, parts.values())
    bill = archive.with_name(archive.name.removesuffix(".oci.tar") + ".sbom.cdx.json")
    bill.write_text(JsonV1Dot6(bom).output_as_string(indent=1) + "\n")
    return bill


def _iter_installed(archive: Path) -> Iterator[Component]:
    for path, text in iter_files(archive, (_DEBIAN, _PYTHON)):
        about = message_from_string(text)
        if Path(path).match(_DEBIAN):
            qualifiers = {"arch": about["Architecture"], "distro": "debian-12"}
            yield _build_part(PackageURL("deb", "debian", about["Package"], about["Version"], qualifiers), None)
        else:
            yield _build_part(PackageURL("pypi", None, about["Name"], about["Version"]), _find_licence(about))


def _iter_page() -> Iterator[Component]:
    """Of the lock that the page is built by; what only builds it is not in it."""
    lock = json.loads((ROOT / "graph" / "graphiql" / "package-lock.json").read_text())
    for path, about in lock["packages"].items():
        if path and not about.get("dev"):
            scope, _, name = path.rpartition("node_modules/")[2].rpartition("/")
            yield _build_part(PackageURL("npm", scope or None, name, about["version"]), about.get("license"))


def _build_part(url: PackageURL, licence: str | None) -> Component:
    return Component(
        name=url.name,
        group=url.namespace if url.type == "npm" else None,
        version=url.version,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=str(url),
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
    )


def _find_licence(about: Message) -> str | None:
    """The expression, else the classifier's words, else a name of one line."""
    classified = [text for text in about.get_all("Classifier", []) if text.startswith("License :: ")]
    if expression := about["License-Expression"]:
        return str(expression)
    if classified:
        return str(classified[0]).rpartition(" :: ")[2]
    return str(about["License"]).partition("\n")[0] if about["License"] else None
