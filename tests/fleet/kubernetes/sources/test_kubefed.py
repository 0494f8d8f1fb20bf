"""The source `kubefed`, against a small host API on loopback."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.kubernetes.sources.kubefed import HostAccess, open_kubefed_source
from fleet.kubernetes.sources.kubefed_member import MemberProblemError, build_access, offline_message
from fleet.kubernetes.sources.kubefed_objects import KubeFedCluster, Secret
from fleet.model.errors import ClusterUnreachable
from fleet.model.objects import ClusterRole, PlatformInfo
from fleet.model.told import detail_of
from fleet.ports import Call, MemberSource
from tests.fleet.kubernetes.certificates import Authority
from tests.fleet.kubernetes.sources.following import Follower
from tests.fleet.kubernetes.sources.host_api import CLUSTERS, PLATFORM, SECRETS, HostApi, open_host_api


def host_file(folder: Path, url: str) -> Path:
    path = folder / "config"
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "h",
                "clusters": [{"name": "h", "cluster": {"server": url}}],
                "contexts": [{"name": "h", "context": {"cluster": "h"}}],
            }
        )
    )
    return path


@asynccontextmanager
async def open_source(folder: Path) -> AsyncIterator[tuple[HostApi, MemberSource, Follower]]:
    async with open_host_api() as (api, url):
        await api.join("one")
        await api.join("two")
        async with open_kubefed_source(HostAccess((host_file(folder, url),))) as source:
            yield api, source, Follower(source)


async def test_the_host_and_all_members_come_at_once(tmp_path: Path) -> None:
    async with open_source(tmp_path) as (_, source, follower):
        picture = await follower.until()
        assert {name: spec.role for name, spec in picture.items()} == {
            "openmcp": ClusterRole.HOST,
            "one": ClusterRole.MEMBER,
            "two": ClusterRole.MEMBER,
        }
        assert [spec.problem for spec in picture.values()] == [None, None, None]
        credential = picture["one"].credential
        assert credential is not None
        assert credential.endpoint == "https://127.0.0.1:1"
        connection = await source.open_connection(picture["openmcp"])
        assert (await connection.request(Call("GET", SECRETS, timeout=5))).status == 200
        await connection.close()


async def test_changes_leave_other_members_equal(tmp_path: Path) -> None:
    async with open_source(tmp_path) as (api, source, follower):
        first = await follower.until()
        await api.join("three")
        added = await follower.until(lambda picture: "three" in picture and picture["three"].problem is None)
        await api.put(SECRETS, "one", data={"token": base64.b64encode(b"other").decode()})
        rotated = await follower.until(lambda picture: picture["one"] != first["one"])
        await api.delete(CLUSTERS, "three")
        removed = await follower.until(lambda picture: "three" not in picture)
        assert rotated["one"].credential != first["one"].credential
        assert first["two"] == added["two"] == rotated["two"] == removed["two"]
        with pytest.raises(ClusterUnreachable, match="no more"):
            await source.open_connection(added["three"])


async def test_labels_come_with_the_members_and_change_with_them(tmp_path: Path) -> None:
    async with open_source(tmp_path) as (api, _, follower):
        first = await follower.until()
        assert first["one"].labels == ()
        cluster = api.objects[CLUSTERS]["one"]
        labelled = {"name": "one", "labels": {"tier": "1", "env": "prod"}}
        await api.put(CLUSTERS, "one", spec=cluster["spec"], status={}, metadata=labelled)
        changed = await follower.until(lambda picture: picture["one"] != first["one"])
        assert changed["one"].labels == (("env", "prod"), ("tier", "1"))
        assert (changed["one"].credential, changed["two"]) == (first["one"].credential, first["two"])


async def test_offline_and_back(tmp_path: Path) -> None:
    spec = {"apiEndpoint": "127.0.0.1:1", "secretRef": {"name": "one"}}
    said = [{"type": "Offline", "status": "True", "message": "it is gone"}]
    async with open_source(tmp_path) as (api, _, follower):
        before = await follower.until()
        await api.put(CLUSTERS, "one", spec=spec, status={"conditions": said})
        ill = await follower.until(lambda picture: picture["one"].offline == "it is gone")
        assert ill["one"].credential == before["one"].credential
        await api.put(CLUSTERS, "one", spec=spec, status={"conditions": [{"type": "Offline", "status": "False"}]})
        assert (await follower.until(lambda picture: picture["one"].offline is None)) == before


async def test_platform_info_of_both_objects(tmp_path: Path) -> None:
    async with open_source(tmp_path) as (api, _, follower):
        place = {"region": "KR", "zone": "Seoul, Busan"}
        stated = {"clusterPlatformType": "GKE", "joinStatus": "JOIN", "nodeInfo": place, "kubeconfigInfo": "secret"}
        await api.put(PLATFORM, "one", spec=stated)
        await api.put(PLATFORM, "openmcp", spec={"nodeInfo": {"region": "DE"}})
        spec = api.objects[CLUSTERS]["two"]["spec"]
        await api.put(CLUSTERS, "two", spec=spec, status={"region": "JP", "zones": ["Tokyo"]})
        picture = await follower.until(lambda picture: picture["two"].info.region is not None)
        assert picture["one"].info == PlatformInfo("GKE", "KR", ("Seoul", "Busan"), "JOIN")
        assert picture["two"].info == PlatformInfo(None, "JP", ("Tokyo",))
        assert picture["openmcp"].info == PlatformInfo(None, "DE")


async def test_without_the_platform_kind_members_are_there(tmp_path: Path) -> None:
    async with open_host_api() as (api, url):
        api.refused[PLATFORM] = 404
        await api.join("one")
        async with open_kubefed_source(HostAccess((host_file(tmp_path, url),))) as source:
            picture = await Follower(source).until()
    assert (picture["one"].info, picture["one"].problem) == (PlatformInfo(), None)


async def test_forbidden_secrets_are_said_of_each_member(tmp_path: Path) -> None:
    async with open_host_api() as (api, url):
        api.refused[SECRETS] = 403
        await api.join("one")
        async with open_kubefed_source(HostAccess((host_file(tmp_path, url),))) as source:
            follower = Follower(source)
            picture = await follower.until()
            assert "Secrets of namespace kube-federation-system can't be read" in (picture["one"].problem or "")
            api.refused.clear()
            await follower.until(lambda picture: picture["one"].problem is None)


async def test_expired_watches_list_again(tmp_path: Path) -> None:
    async with open_source(tmp_path) as (api, _, follower):
        await follower.until()
        listed = api.lists
        api.objects[CLUSTERS].pop("two")
        await api.expire()
        await follower.until(lambda picture: "two" not in picture)
        assert api.lists > listed


async def test_a_host_that_does_not_answer_is_alone_until_it_does(tmp_path: Path) -> None:
    path = host_file(tmp_path, "http://127.0.0.1:1")
    async with open_kubefed_source(HostAccess((path,))) as source:
        follower = Follower(source)
        alone = await follower.until()
        assert list(alone) == ["openmcp"]
        assert alone["openmcp"].problem is None
        async with open_host_api() as (api, url):
            await api.join("one")
            host_file(tmp_path, url)
            await follower.until(lambda picture: "one" in picture)


async def test_a_host_whose_file_is_wrong_is_ill_until_it_is_mended(tmp_path: Path) -> None:
    path = host_file(tmp_path, "ftp://nowhere")
    async with open_host_api() as (api, url), open_kubefed_source(HostAccess((path,))) as source:
        await api.join("one")
        follower = Follower(source)
        ill = await follower.until()
        assert "server 'ftp://nowhere' must be https://" in (ill["openmcp"].problem or "")
        with pytest.raises(ClusterUnreachable) as refused:
            await source.open_connection(ill["openmcp"])
        assert "ftp://nowhere" in detail_of(refused.value)
        host_file(tmp_path, url)
        await follower.until(lambda picture: "one" in picture)


async def test_outside_a_pod_the_host_says_what_to_do(tmp_path: Path) -> None:
    async with open_kubefed_source(HostAccess(service_account=tmp_path)) as source:
        picture = await Follower(source).until()
    assert "runs in no pod" in (picture["openmcp"].problem or "")


async def test_in_a_pod_its_service_account_is_used(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(Authority().pem)
    (tmp_path / "token").write_text("abc")
    async with (
        open_host_api() as (_, url),
        open_kubefed_source(HostAccess(endpoint=url, service_account=tmp_path)) as source,
    ):
        picture = await Follower(source).until()
    credential = picture["openmcp"].credential
    assert credential is not None
    assert credential.endpoint == url


SPEC: dict[str, Any] = {"apiEndpoint": "https://a:1", "secretRef": {"name": "s"}}
SECRET = {"s": Secret("s", {"token": "YWJj"})}
WRONG: dict[str, tuple[dict[str, Any], dict[str, Secret], str]] = {
    "no endpoint": ({"apiEndpoint": None}, SECRET, r"KubeFedCluster ns/m: spec\.apiEndpoint is missing"),
    "empty endpoint": ({"apiEndpoint": ""}, SECRET, r"spec\.apiEndpoint is empty"),
    "odd endpoint": ({"apiEndpoint": "https://a b"}, SECRET, r"spec\.apiEndpoint .* must be https"),
    "odd port": ({"apiEndpoint": "a:99999"}, SECRET, r"spec\.apiEndpoint .* must be https"),
    "number": ({"apiEndpoint": 5}, SECRET, r"spec\.apiEndpoint must be a text"),
    "user in it": ({"apiEndpoint": "https://u:p@a"}, SECRET, r"spec\.apiEndpoint .* without user"),
    "no reference": ({"secretRef": None}, SECRET, r"spec\.secretRef\.name is missing"),
    "no secret": ({}, {}, r"spec\.secretRef names Secret ns/s, which does not exist"),
    "no token": ({}, {"s": Secret("s", {})}, "Secret ns/s of KubeFedCluster ns/m has no key 'token'"),
    "odd token": ({}, {"s": Secret("s", {"token": "?"})}, "key 'token' is not a token"),
    "two tokens": ({}, {"s": Secret("s", {"token": "YSBi"})}, "key 'token' is not a token"),
    "odd bundle": ({"caBundle": "?"}, SECRET, r"spec\.caBundle is not base64"),
    "no pem": ({"caBundle": "YWJj"}, SECRET, r"spec\.caBundle holds no PEM"),
    "odd validations": ({"disabledTLSValidations": ["All"]}, SECRET, r"spec\.disabledTLSValidations must be"),
    "odd proxy": ({"proxyURL": "socks4://x"}, SECRET, r"spec\.proxyURL the value must be http"),
}


def test_base64_may_be_in_lines() -> None:
    authority = Authority("any").pem
    spec = {**SPEC, "caBundle": base64.encodebytes(authority).decode()}
    secrets = {"s": Secret("s", {"token": "YWJj\r\nZGVm\n"})}
    access = build_access(KubeFedCluster("m", spec, {}), "ns", secrets, None)
    assert (access.tls.ca, access.token) == (authority, "abcdef")


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_member_is_named(case: str) -> None:
    change, secrets, words = WRONG[case]
    with pytest.raises(MemberProblemError, match=words):
        build_access(KubeFedCluster("m", {**SPEC, **change}, {}), "ns", secrets, None)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("a", "https://a"), ("a:6443", "https://a:6443"), ("https://a:1/", "https://a:1"), ("[::1]:1", "https://[::1]:1")],
)
def test_endpoints_may_lack_their_scheme(written: str, meant: str) -> None:
    spec = {**SPEC, "apiEndpoint": written, "caBundle": "?", "disabledTLSValidations": ["*"]}
    assert build_access(KubeFedCluster("m", spec, {}), "ns", SECRET, None).endpoint == meant


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({}, None),
        ({"conditions": "odd"}, None),
        ({"conditions": [{"type": "Offline", "status": "False", "message": "m"}]}, None),
        ({"conditions": [{"type": "Ready", "status": "True"}]}, None),
        (
            {"conditions": [{"type": "Offline", "status": "True", "reason": "ClusterNotReachable"}]},
            "ClusterNotReachable",
        ),
        ({"conditions": [{"type": "Offline", "status": "True"}]}, "KubeFed says that the cluster is offline"),
    ],
)
def test_offline_is_what_is_true(status: dict[str, Any], message: str | None) -> None:
    assert offline_message(KubeFedCluster("m", {}, status)) == message
