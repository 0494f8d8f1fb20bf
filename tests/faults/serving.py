"""A server in front of two members of the real fleet, the line to one of which can be made bad."""

import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from realfleet.kubeconfig import Access, build_kubeconfig
from tests.fakes.faults import Faults
from tests.fakes.http_faults import ANSWERS, HttpFaults
from tests.processes import RunningServer

MEMBER_TIMEOUT = 1.0
ANSWERED_WITHIN = 10.0
"""What portals wait. A test machine is busy: without other work it takes the member's timeout."""

ILL, WELL = "cluster2", "cluster1"
QUERY = "{ pods(first: 10000) { items { cluster { name } } clusters { name state message } } }"


class Certificates:
    """An authority, a certificate of it that counts, one that has expired, and one of another authority."""

    def __init__(self, folder: Path) -> None:
        key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        self.authority = _write(folder / "authority", "authority", key, key, tomorrow)
        self.trusted = _write(folder / "trusted", "member", other, key, tomorrow)
        self.expired = _write(folder / "expired", "member", other, key, tomorrow - timedelta(days=2))
        self.foreign = _write(folder / "foreign", "member", other, other, tomorrow)


def _write(
    path: Path, name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey, ends: datetime
) -> Path:
    """A certificate and its key, signed by the authority's or, where that is its own, by itself."""
    names = {of: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, of)]) for of in (name, "authority")}
    made = (
        x509.CertificateBuilder()
        .subject_name(names[name])
        .issuer_name(names[name if key is issuer else "authority"])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=3))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=name == "authority", path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(issuer, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@dataclass(frozen=True)
class Served:
    """A server in front of two members, and what can be made of the line to one of them."""

    server: RunningServer
    token: str
    line: Faults
    http: HttpFaults
    tls: ssl.SSLContext
    certificates: Certificates
    kubeconfig: Path
    accesses: tuple[Access, Access]

    def begin(self, fault: str) -> None:
        match fault:
            case "refused":
                self.line.refusing = True
            case "black hole":
                self.line.black_hole = True
            case "reset":
                self.line.resetting = True
            case "name that does not resolve":
                self.lead_to("https://member.invalid:6443")
            case "certificate of another authority":
                self.tls.load_cert_chain(self.certificates.foreign)
            case "certificate that has expired":
                self.tls.load_cert_chain(self.certificates.expired)
            case _:
                self.http.answer(ANSWERS[fault])
        self.line.reset()

    def end(self) -> None:
        self.line.refusing = self.line.black_hole = self.line.resetting = False
        self.tls.load_cert_chain(self.certificates.trusted)
        self.http.answer(None)
        self.lead_to(self.accesses[1].url)
        self.line.reset()

    def lead_to(self, url: str) -> None:
        written = self.kubeconfig.with_name("new")
        written.write_text(build_kubeconfig([self.accesses[0], self.accesses[1]._replace(url=url)]))
        written.replace(self.kubeconfig)

    async def ask(self) -> tuple[dict[str, str], set[str], str]:
        """The state of each cluster, the clusters that pods are of, and what is said of the ill one."""
        began = time.monotonic()
        body: Any = await self.server.ask(self.token, QUERY)
        assert time.monotonic() - began < ANSWERED_WITHIN
        assert "errors" not in body, body
        found = body["data"]["pods"]
        said = {outcome["name"]: outcome for outcome in found["clusters"]}
        states = {name: outcome["state"] for name, outcome in said.items()}
        return states, {pod["cluster"]["name"] for pod in found["items"]}, said[ILL]["message"] or ""

    async def pass_on(self, cluster: str) -> tuple[int, str]:
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        url = f"{self.server.url}/api/v1/namespaces/shop/pods?clustername={cluster}&limit=1"
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            text = (await answer.content.read(4096)).decode(errors="replace")  # some have no end
        assert time.monotonic() - began < ANSWERED_WITHIN
        return answer.status, text
