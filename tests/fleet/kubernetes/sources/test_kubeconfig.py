"""The source `kubeconfig`, against real files and small servers on loopback."""

import base64
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.model.errors import ClusterUnreachable
from fleet.model.objects import ClusterRole
from fleet.model.told import detail_of
from fleet.ports import Call, MemberSource, MemberSpec
from tests.fleet.kubernetes.auth.plugin import VERSION
from tests.fleet.kubernetes.certificates import Authority, server_context
from tests.fleet.kubernetes.servers import open_http_server
from tests.fleet.kubernetes.sources.following import Follower

SCRIPT = Path(__file__).parents[1] / "auth" / "plugin.py"
POLL = 0.05


def config(**contexts: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    """A kubeconfig with a cluster and a user of its own for each context."""
    return {
        "clusters": [{"name": f"{name}-c", "cluster": cluster} for name, (cluster, _) in contexts.items()],
        "users": [{"name": f"{name}-u", "user": user} for name, (_, user) in contexts.items()],
        "contexts": [{"name": name, "context": {"cluster": f"{name}-c", "user": f"{name}-u"}} for name in contexts],
    }


def write(path: Path, document: Any) -> Path:
    path.write_text(yaml.safe_dump(document))
    return path


async def show_credential(request: web.BaseRequest) -> web.Response:
    return web.Response(text=request.headers.get("Authorization", "none"))


async def ask(source: MemberSource, spec: MemberSpec) -> str:
    connection = await source.open_connection(spec)
    try:
        return (await connection.request(Call("GET", "/", timeout=10))).body.decode()
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({}, "none"),
        ({"token": "abc"}, "Bearer abc"),
        ({"tokenFile": "the-token"}, "Bearer from-a-file"),
        ({"username": "u", "password": "p"}, "Basic " + base64.b64encode(b"u:p").decode()),
        (
            {"exec": {"command": sys.executable, "args": [str(SCRIPT), "long", "{runs}"], "apiVersion": VERSION}},
            "Bearer token-1",
        ),
        (
            {"auth-provider": {"name": "oidc", "config": {"id-token": "e30.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln"}}},
            "Bearer e30.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln",
        ),
    ],
    ids=["none", "token", "tokenFile", "basic", "exec", "oidc"],
)
async def test_ways_to_sign_in(user: dict[str, Any], expected: str, tmp_path: Path) -> None:
    (tmp_path / "the-token").write_text("from-a-file\n")
    if "exec" in user:
        user["exec"]["args"][2] = str(tmp_path / "runs")
    async with open_http_server(show_credential) as url:
        path = write(tmp_path / "config", config(one=({"server": url}, user)))
        async with open_kubeconfig_source((path,)) as source:
            picture = await Follower(source).until()
            assert await ask(source, picture["one"]) == expected


@pytest.mark.parametrize("inline", [True, False], ids=["data", "files"])
async def test_authority_and_client_certificate(inline: bool, tmp_path: Path) -> None:
    servers, clients = Authority("servers"), Authority("clients")
    client = clients.issue(common_name="client")
    fields = {
        "certificate-authority": servers.pem,
        "client-certificate": client.certificate,
        "client-key": client.key,
    }
    given: dict[str, str] = {}
    for name, content in fields.items():
        (tmp_path / name).write_bytes(content)
        given |= {f"{name}-data": base64.b64encode(content).decode()} if inline else {name: name}
    tls = server_context(servers.issue("api.example"), tmp_path / "server", clients.pem)
    async with open_http_server(show_credential, tls=tls) as url:
        cluster = {"server": url, "tls-server-name": "api.example", **given}
        path = write(tmp_path / "config", config(one=(cluster, given)))
        async with open_kubeconfig_source((path,)) as source:
            picture = await Follower(source).until()
            assert await ask(source, picture["one"]) == "none"


@pytest.mark.parametrize("named", [False, True], ids=["none named", "another named"])
async def test_authorities_of_the_environment_count_where_a_cluster_names_none(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority("roots")
    (tmp_path / "roots").write_bytes(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots"))
    given = {"certificate-authority-data": base64.b64encode(Authority("other").pem).decode()} if named else {}
    async with open_http_server(
        show_credential, tls=server_context(authority.issue("127.0.0.1"), tmp_path / "server")
    ) as url:
        path = write(tmp_path / "config", config(one=({"server": url, **given}, {})))
        async with open_kubeconfig_source((path,)) as source:
            asking = ask(source, (await Follower(source).until())["one"])
            if named:
                with pytest.raises(ClusterUnreachable, match="certificate"):
                    await asking
            else:
                assert await asking == "none"


@pytest.mark.parametrize("inline", [True, False], ids=["data", "a file"])
async def test_a_plugin_is_told_of_its_cluster(inline: bool, tmp_path: Path) -> None:
    authority = Authority().pem
    data = base64.b64encode(authority).decode()
    (tmp_path / "ca").write_bytes(authority)
    said = {
        "server": "https://127.0.0.1:1",
        "tls-server-name": "api.example",
        "proxy-url": "http://127.0.0.1:2",
        "disable-compression": True,
    }
    config_of_plugin = {"audience": "a", "deep": [1, None]}
    cluster = {
        **said,
        **({"certificate-authority-data": data} if inline else {"certificate-authority": "ca"}),
        "extensions": [
            {"name": "other", "extension": {"x": 1}},
            {"name": "client.authentication.k8s.io/exec", "extension": config_of_plugin},
        ],
    }
    line = f'printf %s "$KUBERNETES_EXEC_INFO" > {tmp_path}/told; exit 1'
    plugin = {"command": "sh", "args": ["-c", line], "apiVersion": VERSION, "provideClusterInfo": True}
    async with open_kubeconfig_source((write(tmp_path / "config", config(one=(cluster, {"exec": plugin}))),)) as source:
        await Follower(source).until()
    told = json.loads((tmp_path / "told").read_text())["spec"]
    assert told == {
        "interactive": False,
        "cluster": {**said, "certificate-authority-data": data, "config": config_of_plugin},
    }


async def test_switched_off_verification_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tls = server_context(Authority().issue("elsewhere"), tmp_path)
    async with open_http_server(show_credential, tls=tls) as url:
        path = write(tmp_path / "config", config(one=({"server": url, "insecure-skip-tls-verify": True}, {})))
        with caplog.at_level(logging.WARNING):
            async with open_kubeconfig_source((path,), poll_seconds=POLL) as source:
                follower = Follower(source)
                assert await ask(source, (await follower.until())["one"]) == "none"
                write(path, config(one=({"server": url, "insecure-skip-tls-verify": True}, {}), two=({}, {})))
                await follower.until(lambda picture: "two" in picture)
    warnings = [record.getMessage() for record in caplog.records if "switched off" in record.getMessage()]
    assert warnings == ["context one: TLS validation is switched off: all (*)"]


SERVER = {"server": "https://127.0.0.1:1"}
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no such user": ({**config(one=(SERVER, {})), "users": []}, "user 'one-u' is not under users"),
    "no such cluster": ({**config(one=(SERVER, {})), "clusters": []}, "cluster 'one-c' is not under clusters"),
    "no server": (config(one=({}, {})), "server is empty"),
    "odd server": (config(one=({"server": "ftp://x"}, {})), "server 'ftp://x' must be https://"),
    "a blank before": (config(one=({"server": " https://x"}, {})), "server ' https://x' must be"),
    "a line break after": (config(one=({"server": "https://x\n"}, {})), "in ASCII and without spaces"),
    "a blank for a server": (config(one=({"server": " "}, {})), "server ' ' must be"),
    "a blank around a proxy": (
        config(one=({**SERVER, "proxy-url": "http://p:1 "}, {})),
        "proxy-url the value is no URL",
    ),
    "no ca file": (config(one=({**SERVER, "certificate-authority": "nowhere"}, {})), "certificate-authority: the file"),
    "odd ca": (config(one=({**SERVER, "certificate-authority-data": "eA=="}, {})), "CA bundle holds no PEM"),
    "odd base64": (config(one=({**SERVER, "certificate-authority-data": "?"}, {})), "is not base64"),
    "half a certificate": (config(one=(SERVER, {"client-certificate-data": "eA=="})), "client-key must both be given"),
    "no token file": (config(one=(SERVER, {"tokenFile": "nowhere"})), "token file .*nowhere can't be read"),
    "odd token": (config(one=(SERVER, {"token": "a b"})), "token holds spaces"),
    "socks": (config(one=({**SERVER, "proxy-url": "socks4://u:secret@p:1"}, {})), "proxy-url the value must be http"),
    "proxy over TLS": (config(one=({**SERVER, "proxy-url": "https://p:1"}, {})), "must be http://HOST:PORT or socks5"),
    "impersonation": (config(one=(SERVER, {"as": "root"})), "impersonation"),
    "no plugin": (
        config(one=(SERVER, {"exec": {"command": "./no-such-plugin", "apiVersion": VERSION}})),
        "no-such-plugin can't be started",
    ),
    "failing plugin": (
        config(one=(SERVER, {"exec": {"command": "false", "apiVersion": VERSION}})),
        "exec plugin false ended with 1",
    ),
    "odd oidc": (
        config(one=(SERVER, {"auth-provider": {"name": "oidc", "config": {}}})),
        "auth-provider gives no token",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_context_is_an_ill_member(case: str, tmp_path: Path) -> None:
    broken, words = BROKEN[case]
    whole = config(good=(SERVER, {"token": "abc"}))
    document = {key: [*broken[key], *whole[key]] for key in whole}
    async with open_kubeconfig_source((write(tmp_path / "config", document),)) as source:
        picture = await Follower(source).until()
        ill = picture["one"]
        assert (ill.credential, picture["good"].problem) == (None, None)
        with pytest.raises(ClusterUnreachable, match="its configuration is not right") as refused:
            await source.open_connection(ill)
        assert re.search(words, detail_of(refused.value))
        assert ill.problem is not None
        assert "secret" not in ill.problem


async def test_roles_and_merging(tmp_path: Path) -> None:
    first = write(tmp_path / "a", config(openmcp=(SERVER, {}), one=({"server": "https://first:1"}, {})))
    second = write(tmp_path / "b", config(one=({"server": "https://second:1"}, {}), two=(SERVER, {"token": "two"})))
    async with open_kubeconfig_source((first, tmp_path / "missing", second)) as source:
        picture = await Follower(source).until()
    assert {name: spec.role for name, spec in picture.items()} == {
        "openmcp": ClusterRole.HOST,
        "one": ClusterRole.MEMBER,
        "two": ClusterRole.MEMBER,
    }
    credential = picture["one"].credential
    assert credential is not None
    assert credential.endpoint == "https://first:1"
    async with open_kubeconfig_source((first,), host_context="one") as source:
        assert (await Follower(source).until())["one"].role is ClusterRole.HOST


ONE = {"token": "one"}
SHARED = config(
    first=({**SERVER, "tls-server-name": "x"}, ONE),
    a=(SERVER, ONE),
    other=(SERVER, {"token": "other"}),
    b=({"server": "HTTPS://127.0.0.1:1/"}, ONE),
    c=(SERVER, ONE),
)


@pytest.mark.parametrize(
    ("host", "contexts", "expected"),
    [
        (None, (), {"first": (), "a": ("b", "c"), "other": ()}),
        ("c", (), {"first": (), "c": ("a", "b"), "other": ()}),
        (None, ("c", "b", "first"), {"c": ("b",), "first": ()}),
        (None, ("other",), {"other": ()}),
    ],
    ids=["the first", "the host's", "in the order named", "one of them"],
)
async def test_contexts_of_one_server_and_user_are_one_member(
    host: str | None,
    contexts: tuple[str, ...],
    expected: dict[str, tuple[str, ...]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write(tmp_path / "config", SHARED)
    async with open_kubeconfig_source((path,), contexts=contexts, host_context=host) as source:
        picture = await Follower(source).until()
    assert {name: spec.other_names for name, spec in picture.items()} == expected
    for others in filter(None, expected.values()):
        assert f"are other names of it: {', '.join(others)}" in caplog.text


async def test_a_name_that_kubectl_cleans_away_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lost = {"..": "a", "a//b": "b", "a/./b": "c", "ends/": "d"}
    kept = {"a/b": "e", "...": "f", "x//y": "g", "x": "g"}
    document = config(**{name: (SERVER, {"token": token}) for name, token in (lost | kept).items()})
    async with open_kubeconfig_source((write(tmp_path / "config", document),)) as source:
        await Follower(source).until()
    told = [record.getMessage() for record in caplog.records if "can't be led" in record.getMessage()]
    assert [line.split(":")[0] for line in told] == [f"cluster {name!r}" for name in sorted(lost)]
    assert all("rename-context" in line for line in told)


async def test_a_context_that_is_wanted_and_nowhere_is_an_ill_member(tmp_path: Path) -> None:
    path = write(tmp_path / "config", SHARED)
    async with open_kubeconfig_source((path,), contexts=("a", "nowhere")) as source:
        picture = await Follower(source).until()
    assert picture["a"].problem is None
    assert "no context 'nowhere'; contexts: first, a" in (picture["nowhere"].problem or "")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"current-context": 5}, "current-context must be text, not a number"),
        ({"preferences": "x"}, "preferences must be a mapping, not text"),
        ({"preferences": {"colors": "yes"}}, "preferences.colors must be true or false, not text"),
        ({"extensions": {}}, "extensions must be a list, not a mapping"),
    ],
)
async def test_a_file_that_kubectl_does_not_read_is_told(
    more: dict[str, Any], words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ill = write(tmp_path / "ill", {**config(ill=(SERVER, {})), **more})
    well = write(tmp_path / "well", config(well=(SERVER, {})))
    async with open_kubeconfig_source((ill, well)) as source:
        picture = await Follower(source).until()
    assert [*picture] == ["well"]
    assert f"kubeconfig {ill} can't be read: {words}" in caplog.text


async def test_an_entry_of_another_type_costs_its_context_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    document = config(good=(SERVER, {}), ill=({**SERVER, "insecure-skip-tls-verify": "yes"}, {}))
    document["users"].append("a text")
    async with open_kubeconfig_source((write(tmp_path / "config", document),)) as source:
        picture = await Follower(source).until()
    assert picture["good"].problem is None
    assert "insecure-skip-tls-verify must be true or false, not text" in (picture["ill"].problem or "")
    assert "users entry 3 must be a mapping" in caplog.text


async def test_changes_are_picked_up_and_others_stay_equal(tmp_path: Path) -> None:
    kept = (SERVER, {"token": "kept"})
    path = write(tmp_path / "config", config(kept=kept, one=(SERVER, {"token": "old"})))
    async with open_kubeconfig_source((path,), poll_seconds=POLL) as source:
        follower = Follower(source)
        before = await follower.until()
        write(path, config(kept=kept, one=(SERVER, {"token": "new"})))
        rotated = await follower.until(lambda picture: picture["one"] != before["one"])
        write(path, config(kept=kept, two=(SERVER, {})))
        swapped = await follower.until(lambda picture: "one" not in picture and "two" in picture)
        assert before["kept"] == rotated["kept"] == swapped["kept"]
        with pytest.raises(ClusterUnreachable, match="no kubeconfig any more"):
            await source.open_connection(before["one"])


def labelled(labels: Any, **cluster: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    others = [{"name": "context_info", "extension": {"provider": "minikube"}}, None]
    extensions = [*others, {"name": "openmcp.k8s.io/labels", "extension": labels}]
    return {"server": "http://127.0.0.1:1", "extensions": extensions} | cluster, {}


async def test_an_extension_gives_a_cluster_labels_and_changes_nothing_else(tmp_path: Path) -> None:
    lost = {"certificate-authority": "nowhere", "server": "https://127.0.0.1:1"}
    first = config(one=labelled({"region": "eu", "env": "production"}), ill=labelled({"env": "test"}, **lost))
    path = write(tmp_path / "config", first)
    async with open_kubeconfig_source((path,), poll_seconds=POLL) as source:
        follower = Follower(source)
        picture = await follower.until()
        assert picture["one"].labels == (("env", "production"), ("region", "eu"))
        assert (picture["ill"].labels, picture["ill"].problem is None) == ((("env", "test"),), False)
        write(path, config(one=labelled({"env": "staging"}), ill=labelled(None, **lost)))
        changed = await follower.until(lambda picture: picture["one"].labels == (("env", "staging"),))
        assert changed["one"].credential == picture["one"].credential


@pytest.mark.parametrize("labels", [["env"], {"env": 1}, {"env": None}, "env=production"])
async def test_labels_that_are_none_are_told(tmp_path: Path, labels: Any) -> None:
    path = write(tmp_path / "config", config(one=labelled(labels), two=labelled({})))
    async with open_kubeconfig_source((path,)) as source:
        picture = await Follower(source).until()
    assert "openmcp.k8s.io/labels must be names with texts, as `env: production`" in (picture["one"].problem or "")
    assert (picture["one"].labels, picture["two"].problem) == ((), None)


async def test_a_replaced_certificate_file_makes_a_new_credential(tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_bytes(Authority("one").pem)
    path = write(tmp_path / "config", config(one=({**SERVER, "certificate-authority": "ca.crt"}, {})))
    async with open_kubeconfig_source((path,), poll_seconds=POLL) as source:
        follower = Follower(source)
        before = await follower.until()
        authority.write_bytes(Authority("two").pem)
        await follower.until(lambda picture: picture["one"].credential != before["one"].credential)


async def test_a_file_that_can_not_be_read_for_a_while_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "config", config(one=(SERVER, {})))
    async with open_kubeconfig_source((path,), poll_seconds=POLL) as source:
        follower = Follower(source)
        await follower.until()
        path.write_text("token: [secret")
        write(tmp_path / "other", {})
        path.write_text(yaml.safe_dump(config(one=(SERVER, {}), two=(SERVER, {"token": "two"}))))
        picture = await follower.until(lambda picture: picture.keys() != {"one"})
    assert picture.keys() == {"one", "two"}
    assert "secret" not in caplog.text


async def test_no_file_at_all_is_an_empty_federation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_kubeconfig_source((tmp_path / "missing",)) as source:
        assert await Follower(source).until() == {}
    assert "no contexts in the kubeconfig files" in caplog.text
