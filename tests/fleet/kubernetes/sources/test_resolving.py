"""Exec plugins that fail, hang, or give what ends: each costs its own member only."""

import asyncio
import json
from pathlib import Path

from fleet.kubernetes.auth.exec_plugin import ExecPlugin
from fleet.kubernetes.auth.kubeconfig import Access
from fleet.kubernetes.auth.tls import TlsMaterial
from fleet.kubernetes.sources.access import Reachable
from fleet.kubernetes.sources.resolving import Resolver
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.certificates import Authority, Pair

API = "client.authentication.k8s.io/v1"
GIVES = f"""echo '{{"apiVersion":"{API}","kind":"ExecCredential","status":{{"token":"abc"}}}}'"""


def way(folder: Path, name: str, *lines: str) -> Access:
    """An access whose plugin notes each run."""
    script = folder / f"{name}.sh"
    script.write_text("\n".join(["#!/bin/sh", f"echo >> {folder / name}", *lines, ""]))
    script.chmod(0o755)
    return Access("https://127.0.0.1:1", TlsMaterial(), plugin=ExecPlugin(str(script), (), (), API))


def runs(folder: Path, name: str) -> int:
    noted = folder / name
    return len(noted.read_text().splitlines()) if noted.exists() else 0


async def test_a_plugin_is_run_once_for_what_is_said_twice(tmp_path: Path) -> None:
    resolver = Resolver(PATIENCE)
    ways = {"one": way(tmp_path, "one", GIVES)}
    await resolver.resolve(ways, PATIENCE)
    await resolver.resolve(ways, PATIENCE)
    assert isinstance(resolver["one"], Reachable)
    assert (runs(tmp_path, "one"), resolver.is_due) == (1, False)
    await resolver.resolve({}, PATIENCE)
    assert resolver["one"] is None


async def test_what_fails_is_tried_again_though_nothing_new_is_said(tmp_path: Path) -> None:
    resolver = Resolver(PATIENCE, retry_seconds=0.01)
    ways = {"one": way(tmp_path, "one", f"test -e {tmp_path / 'mended'} || exit 3", GIVES)}
    await resolver.resolve(ways, PATIENCE)
    assert "one: exec plugin" in str(resolver["one"])
    (tmp_path / "mended").touch()
    await until(lambda: resolver.is_due)
    await resolver.resolve(ways, PATIENCE)
    assert isinstance(resolver["one"], Reachable)


async def test_one_that_hangs_holds_nobody_back(tmp_path: Path) -> None:
    ended = asyncio.Event()
    resolver = Resolver(PATIENCE, ended.set)
    gate = tmp_path / "gate"
    ways: dict[str, Access | str] = {
        "slow": way(tmp_path, "slow", f"until test -e {gate}; do sleep 0.05; done", GIVES),
        "wrong": "no server is given",
        "one": way(tmp_path, "one", GIVES),
    }
    await resolver.resolve(ways, 0.0)
    await until(lambda: isinstance(resolver["one"], Reachable))
    assert (resolver["slow"], resolver["wrong"]) == (None, "no server is given")
    ended.clear()
    gate.touch()
    async with asyncio.timeout(PATIENCE):
        await ended.wait()
    assert isinstance(resolver["slow"], Reachable)


async def test_what_was_known_stands_until_the_newer_is(tmp_path: Path) -> None:
    resolver = Resolver(PATIENCE)
    await resolver.resolve({"one": way(tmp_path, "one", GIVES)}, PATIENCE)
    known = resolver["one"]
    await resolver.resolve({"one": way(tmp_path, "other", "sleep 600")}, 0.0)
    assert resolver["one"] is known
    await resolver.close()


async def test_a_certificate_that_ends_is_fetched_anew(tmp_path: Path) -> None:
    resolver = Resolver(PATIENCE)
    ended, lasting = (describe(Authority().issue(common_name="me"), ends) for ends in ("2026-01-01", "2099-01-01"))
    (tmp_path / "credential").write_text(ended)
    ways = {"one": way(tmp_path, "one", f"cat {tmp_path / 'credential'}")}
    await resolver.resolve(ways, PATIENCE)
    first = resolver["one"]
    assert resolver.is_due
    (tmp_path / "credential").write_text(lasting)
    await resolver.resolve(ways, PATIENCE)
    second = resolver["one"]
    assert isinstance(first, Reachable)
    assert isinstance(second, Reachable)
    assert first.fingerprint != second.fingerprint  # connections are made anew
    assert not resolver.is_due


def describe(pair: Pair, ends: str) -> str:
    """An ExecCredential."""
    status = {
        "clientCertificateData": pair.certificate.decode(),
        "clientKeyData": pair.key.decode(),
        "expirationTimestamp": f"{ends}T00:00:00Z",
    }
    return json.dumps({"apiVersion": API, "kind": "ExecCredential", "status": status})
