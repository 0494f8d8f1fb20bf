"""Sources and credentials against real API servers."""

import asyncio
import base64
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.kubernetes.sources.kubefed import HostAccess, open_kubefed_source
from fleet.model.errors import ClusterUnauthorized, ClusterUnreachable
from fleet.ports import Call, MemberSource, MemberSpec
from realfleet.fleet import Fleet
from realfleet.kubeconfig import Access
from realfleet.membership import (
    KUBEFED_PATH,
    SECRETS_PATH,
    Place,
    register_member,
    secret_name,
    unregister_member,
)
from tests.fleet.kubernetes.auth.plugin import VERSION
from tests.fleet.kubernetes.sources.following import Follower

pytestmark = pytest.mark.real

ASK = "/api/v1/nodes"


async def ask(source: MemberSource, spec: MemberSpec) -> int:
    connection = await source.open_connection(spec)
    try:
        return (await connection.request(Call("GET", ASK, query="limit=1", timeout=10))).status
    finally:
        await connection.close()


def write_config(path: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    document = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def ways_to_sign_in(fleet: Fleet, folder: Path) -> dict[str, dict[str, Any]]:
    api = fleet.members[0].api
    (folder / "token").write_text(api.tokens.admin)
    plugin = str(Path(__file__).with_name("auth") / "plugin.py")
    arguments = [plugin, "env", str(folder / "runs")]
    return {
        "token": {"token": api.tokens.admin},
        "tokenFile": {"tokenFile": "token"},
        "exec": {
            "exec": {
                "command": sys.executable,
                "args": arguments,
                "apiVersion": VERSION,
                "env": [{"name": "GIVEN", "value": api.tokens.admin}],
            }
        },
        "client certificate files": {
            "client-certificate": str(api.files.client_certificate),
            "client-key": str(api.files.client_key),
        },
        "client certificate data": {
            "client-certificate-data": base64.b64encode(api.files.client_certificate.read_bytes()).decode(),
            "client-key-data": base64.b64encode(api.files.client_key.read_bytes()).decode(),
        },
    }


async def test_each_way_to_sign_in_is_accepted(real_fleet: Fleet, tmp_path: Path) -> None:
    member = real_fleet.members[0]
    for name, user in ways_to_sign_in(real_fleet, tmp_path).items():
        path = write_config(
            tmp_path / "config", {"server": member.url, "certificate-authority": str(member.ca_file)}, user
        )
        async with open_kubeconfig_source((path,)) as source:
            picture = await Follower(source).until()
            assert await ask(source, picture["one"]) == 200, name


async def test_a_wrong_token_is_unauthorized(real_fleet: Fleet, tmp_path: Path) -> None:
    member = real_fleet.members[0]
    cluster = {"server": member.url, "certificate-authority": str(member.ca_file)}
    path = write_config(tmp_path / "config", cluster, {"token": "wrong"})
    async with open_kubeconfig_source((path,)) as source:
        picture = await Follower(source).until()
        with pytest.raises(ClusterUnauthorized):
            await ask(source, picture["one"])


async def test_authority_and_server_name_are_verified(real_fleet: Fleet, tmp_path: Path) -> None:
    first, second = real_fleet.members
    user = {"token": first.token}
    data = {"certificate-authority-data": base64.b64encode(first.ca_pem).decode()}
    cases: list[tuple[dict[str, Any], str | None]] = [
        (data, None),
        ({**data, "tls-server-name": "kubernetes.default.svc"}, None),
        ({"insecure-skip-tls-verify": True}, None),
        ({**data, "tls-server-name": "elsewhere.example"}, "TLS verification .* another host name"),
        ({"certificate-authority": str(second.ca_file)}, "TLS verification .* CA bundle"),
        ({}, "TLS verification .* CA bundle"),
    ]
    for more, refusal in cases:
        path = write_config(tmp_path / "config", {"server": first.url, **more}, user)
        async with open_kubeconfig_source((path,)) as source:
            picture = await Follower(source).until()
            if refusal is None:
                assert await ask(source, picture["one"]) == 200
            else:
                with pytest.raises(ClusterUnreachable, match=refusal):
                    await ask(source, picture["one"])


async def test_the_fleets_kubeconfig_is_a_federation(real_fleet: Fleet) -> None:
    async with open_kubeconfig_source((real_fleet.kubeconfig,)) as source:
        picture = await Follower(source).until()
        for name in ("openmcp", "cluster1", "cluster2"):
            assert await ask(source, picture[name]) == 200


async def test_members_come_go_and_change_within_five_seconds(real_fleet: Fleet) -> None:
    host, member = real_fleet.host.client, real_fleet.members[0]
    access = Access("cluster9", member.url, member.ca_pem, member.token)
    async with open_kubefed_source(HostAccess((real_fleet.kubeconfig,), "openmcp")) as source:
        follower = Follower(source)
        first = await follower.until()
        assert {"openmcp", "cluster1", "cluster2"} <= first.keys()
        assert first["cluster1"].info.region == member.place.region
        await asyncio.to_thread(register_member, host, access, Place("GKE", "JP", ("Tokyo", "Osaka")))
        try:
            added = await follower.until(
                lambda picture: "cluster9" in picture and picture["cluster9"].info.platform == "GKE"
            )
            assert added["cluster9"].info.zones == ("Tokyo", "Osaka")
            assert await ask(source, added["cluster9"]) == 200

            secret = f"{SECRETS_PATH}/{secret_name('cluster9')}"
            await asyncio.to_thread(host.merge, secret, {"stringData": {"token": "wrong"}})
            broken = await follower.until(lambda picture: picture["cluster9"] != added["cluster9"])
            with pytest.raises(ClusterUnauthorized):
                await ask(source, broken["cluster9"])
            await asyncio.to_thread(host.merge, secret, {"stringData": {"token": member.api.tokens.spare}})
            rotated = await follower.until(lambda picture: picture["cluster9"] != broken["cluster9"])
            assert await ask(source, rotated["cluster9"]) == 200

            conditions = [{"type": "Offline", "status": "True", "message": "not reachable"}]
            await asyncio.to_thread(
                host.merge, f"{KUBEFED_PATH}/cluster9/status", {"status": {"conditions": conditions}}
            )
            await follower.until(lambda picture: picture["cluster9"].offline == "not reachable")
            await asyncio.to_thread(host.merge, f"{KUBEFED_PATH}/cluster9", {"spec": {"apiEndpoint": ""}})
            ill = await follower.until(lambda picture: picture["cluster9"].problem is not None)
            assert "spec.apiEndpoint is empty" in (ill["cluster9"].problem or "")
        finally:
            await asyncio.to_thread(unregister_member, host, "cluster9")
        last = await follower.until(lambda picture: "cluster9" not in picture)
        assert {name: last[name] for name in first} == dict(first)


async def test_a_host_that_restarts_is_followed_again(real_fleet: Fleet) -> None:
    host, member = real_fleet.host, real_fleet.members[0]
    async with open_kubefed_source(HostAccess((real_fleet.kubeconfig,), "openmcp")) as source:
        follower = Follower(source)
        first = await follower.until()
        with host.stopped():
            pass
        access = Access("cluster8", member.url, member.ca_pem, member.token)
        await asyncio.to_thread(register_member, host.client, access, Place("GKE", "JP", ("Tokyo",)))
        try:
            found = await follower.until(lambda picture: "cluster8" in picture)
            assert found["cluster1"] == first["cluster1"]
        finally:
            await asyncio.to_thread(unregister_member, host.client, "cluster8")
