"""`openmcp-apiserver check` on real clusters: what it finds right, what wrong, and that its commands mend that."""

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from realfleet.fleet import Fleet
from tests import credentials
from tests.server.check.checking import check, mend

pytestmark = pytest.mark.real
KEY = "6f1d0b8e5a2c47f39b7e0d1c6a5f48e2"


@pytest.fixture(scope="module")
def namespace(real_fleet: Fleet) -> Iterator[str]:
    """A service account in the first member."""
    member = real_fleet.members[0].name
    real_fleet.kubectl(member, "create", "namespace", "openmcp")
    real_fleet.kubectl(member, "-n", "openmcp", "create", "serviceaccount", "openmcp-apiserver")
    yield "openmcp"
    real_fleet.kubectl(member, "delete", "namespace", "openmcp")


@pytest.fixture
def account(real_fleet: Fleet, namespace: str) -> Iterator[str]:
    """Its token. It may do nothing."""
    member = real_fleet.members[0].name
    token = real_fleet.kubectl(member, "-n", namespace, "create", "token", "openmcp-apiserver").strip()
    credentials.note(token, "the token of a service account")
    yield token
    for kind in ("clusterrolebinding", "clusterrole"):
        real_fleet.kubectl(member, "delete", kind, "openmcp-apiserver-least", "--ignore-not-found")


def write_kubeconfig(fleet: Fleet, folder: Path, *, token: str, ca: bytes | None = None) -> dict[str, str]:
    """The first member alone, by a name of its own for each entry; and the environment of a server in front of it."""
    member = fleet.members[0]
    authority = base64.b64encode(ca or member.ca_pem).decode()
    content: dict[str, Any] = {
        "clusters": [
            {"name": "its-server", "cluster": {"server": member.url, "certificate-authority-data": authority}}
        ],
        "users": [{"name": "its-user", "user": {"token": token}}],
        "contexts": [{"name": member.name, "context": {"cluster": "its-server", "user": "its-user"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **content}))
    file.chmod(0o600)
    users = {"OPENMCP_USER_NAME": "admin", "OPENMCP_USER_PASSWORD": "for this test alone"}
    return {"OPENMCP_KUBECONFIG": str(file), "OPENMCP_SIGNING_KEY": KEY, "OPENMCP_COLLECT_INTERVAL": "0s", **users}


def test_a_fleet_as_it_should_be_has_only_rows_that_are_ok(real_fleet: Fleet, tmp_path: Path) -> None:
    environment = real_fleet.environment() | {"OPENMCP_SIGNING_KEY": KEY, "OPENMCP_PORT": "0", "OPENMCP_OPS_PORT": "0"}
    report = check(environment, "--strict", folder=tmp_path)
    assert (report.status, report.states("warn", "ill")) == (0, {})
    names = [cluster.name for cluster in real_fleet.members]
    assert {f"member {name}" for name in names} | {"rights", "clocks", "certificates", "tokens"} <= report.rows.keys()
    assert report.rows["certificates"]["said"].startswith("verified, the first ends on 20")
    assert KEY not in report.text + report.err
    assert list(tmp_path.iterdir()) == []


def test_rights_that_are_missing_are_named_and_given_by_its_command(
    real_fleet: Fleet, tmp_path: Path, account: str
) -> None:
    environment = write_kubeconfig(real_fleet, tmp_path, token=account)
    what = f"rights of {real_fleet.members[0].name}"

    before = check(environment, folder=tmp_path)
    strict = check(environment, "--strict", folder=tmp_path)
    row = before.rows[what]
    mend(real_fleet, row, environment, tmp_path)
    after = check(environment, folder=tmp_path)

    assert (before.status, strict.status, row["state"], row["member"]) == (0, 1, "ill", True)
    assert row["said"].startswith("system:serviceaccount:openmcp:openmcp-apiserver may not list, watch ")
    assert "get pods/log" in row["said"]
    assert after.rows["rights"]["state"] == "ok", after.rows[what]


def test_a_credential_that_no_cluster_takes_is_1_and_mended_by_its_command(
    real_fleet: Fleet, tmp_path: Path, account: str
) -> None:
    environment = write_kubeconfig(real_fleet, tmp_path, token="of-nobody")
    before = check(environment, folder=tmp_path)
    mend(real_fleet, before.rows["credentials"], environment, tmp_path)
    after = check(environment, folder=tmp_path)
    assert (before.status, before.rows["credentials"]["state"]) == (1, "ill")
    assert after.rows[f"member {real_fleet.members[0].name}"]["state"] == "ok"
    assert "credentials" not in after.rows
    assert "nobody renews it" in next(said for what, said in after.states("warn").items() if what.startswith("token"))
    credentials.note(
        yaml.safe_load(Path(environment["OPENMCP_KUBECONFIG"]).read_text())["users"][0]["user"]["token"], ""
    )


def test_a_certificate_of_another_authority_is_mended_by_its_command(
    real_fleet: Fleet, tmp_path: Path, account: str
) -> None:
    other = tmp_path / "other.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-keyout", "/dev/null"]
    subprocess.run([*command, "-out", other], check=True, capture_output=True, timeout=60)
    environment = write_kubeconfig(real_fleet, tmp_path, token=account, ca=other.read_bytes())
    what = f"member {real_fleet.members[0].name}"
    (tmp_path / "ca.crt").write_bytes(real_fleet.members[0].ca_pem)

    before = check(environment, folder=tmp_path)
    mend(real_fleet, before.rows[what], environment, tmp_path)

    assert "TLS verification of" in before.rows[what]["said"]
    assert check(environment, folder=tmp_path).rows[what]["state"] == "ok"
