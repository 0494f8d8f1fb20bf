"""The command line: what it does to the users file, and one clear line for what a person gets wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from auth.users import load_users
from fleet.model.visibility import Role, Scope
from server.commands.kubeconfig import Client, ServerRefused, Trust, build_kubeconfig, parse_server
from server.commands.main import main
from tests.server.serving import open_serving

PASSWORD = "a long password"


def run(*arguments: str, **environ: str | None) -> Result:
    return CliRunner().invoke(main, arguments, env={"OPENMCP_PASSWORD": PASSWORD, **environ})


def test_users_are_added_listed_changed_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    limits = ("--cluster", "c*", "--namespace", "a", "--namespace", "b-*", "--group", "dev", "--write", "w.acme.io")

    added = run("user", "add", "alice", "--role", "edit", *limits, "--file", str(path))
    first = load_users(path)["alice"]
    changed = run("user", "passwd", "alice", OPENMCP_USERS_FILE=str(path))
    listed = run("user", "list", "--file", str(path))

    assert [result.exit_code for result in (added, changed, listed)] == [0, 0, 0]
    assert first.scope == Scope(Role.EDIT, ("c*",), ("a", "b-*"))
    assert load_users(path)["alice"].writes == ("w.acme.io",)
    assert load_users(path)["alice"].password_hash != first.password_hash
    assert "alice  edit  c*        a,b-*       dev     w.acme.io" in listed.output
    assert not any("argon2" in result.output for result in (added, changed, listed))

    assert run("user", "remove", "alice", "--file", str(path)).exit_code == 0
    assert load_users(path) == {}


def test_users_and_groups_of_elsewhere_have_no_password(tmp_path: Path) -> None:
    path = ("--file", str(tmp_path / "users.yaml"))

    added = run("user", "add", "bob@a", "--role", "edit", "--elsewhere", *path, OPENMCP_PASSWORD=None)
    group = run("user", "add", "devs", "--role", "view", "--as-group", *path, OPENMCP_PASSWORD=None)

    assert [added.exit_code, group.exit_code] == [0, 0]
    assert [(user.label, user.password_hash) for user in load_users(Path(path[1])).values()] == [
        ("bob@a", ""),
        ("group devs", ""),
    ]
    assert "group devs" in run("user", "list", *path).output
    for command in ("passwd", "logout"):
        assert "is a group" in run("user", command, "group devs", *path).output
    assert "is there already" in run("user", "add", "devs", "--role", "view", "--as-group", *path).output
    assert run("user", "remove", "group devs", *path).exit_code == 0
    assert list(load_users(Path(path[1]))) == ["bob@a"]


def test_a_user_is_not_added_twice(tmp_path: Path) -> None:
    path = str(tmp_path / "users.yaml")
    run("user", "add", "alice", "--role", "view", "--file", path)

    again = run("user", "add", "alice", "--role", "admin", "--file", path)

    assert again.exit_code == 2
    assert "is there already" in again.output
    assert load_users(Path(path))["alice"].scope.role is Role.VIEW


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (("user", "add", "a", "--role", "root", "--file", "users"), {}, "Invalid value for '--role'"),
        (("user", "add", "a", "--role", "view"), {}, "Missing option '--file'"),
        (("user", "add", "a", "--role", "view", "--file", "users"), {"OPENMCP_PASSWORD": "short"}, "8 to 1024"),
        (
            ("user", "add", "a", "--role", "view", "--file", "users"),
            {"OPENMCP_PASSWORD": None},
            "no password was given",
        ),
        (("user", "list", "--file", "nowhere"), {}, "users file nowhere: No such file"),
        (("user", "remove", "bob", "--file", "empty"), {}, "there is no user 'bob' in empty"),
        (("serve", "--config", "nowhere"), {}, "File 'nowhere' does not exist"),
        (("serve",), {"API_APP_KEY": None, "OPENMCP_SIGNING_KEY": None}, "OPENMCP_SIGNING_KEY (or API_APP_KEY) is not"),
        (
            ("serve",),
            {"OPENMCP_SIGNING_KEY": "0123456789abcdef", "OPENMCP_TLS_CLIENT_CA_FILE": "empty"},
            "OPENMCP_TLS_CLIENT_CA_FILE is set without OPENMCP_TLS_CERT_FILE",
        ),
        (("serve", "--port", "99999"), {}, "OPENMCP_PORT is '99999', must be a port"),
        (("kubeconfig", "--server", "ftp://x", "--user", "a"), {}, "must be an http or https URL"),
        (("kubeconfig", "--server", "http://127.0.0.1:9", "--user", "a"), {}, "can't be reached"),
        (("check", "--config", "empty"), {"OPENMCP_PORT": "x"}, "OPENMCP_PORT is 'x'"),
        (("demo", "--clusters", "0"), {}, "0 is not in the range"),
        (("dance",), {}, "No such command 'dance'"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    environ: dict[str, str | None],
    said: str,
) -> None:
    (tmp_path / "empty").write_text("")
    monkeypatch.chdir(tmp_path)

    result = run(*arguments, **environ)

    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert said in result.output
    assert "Traceback" not in result.output


def test_check_says_what_works_and_what_does_not(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(json.dumps(build_dead_kubeconfig()))
    environ = {
        "OPENMCP_KUBECONFIG": str(config),
        "OPENMCP_SIGNING_KEY": "0123456789abcdef",
        "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage.sqlite"),
        "OPENMCP_MEMBER_TIMEOUT": "1s",
    }

    proxied = {"https_proxy": "http://u:secret@proxy.example:3128"}
    result, strict = run("check", **environ, **proxied), run("check", "--strict", **environ)

    assert (result.exit_code, strict.exit_code, strict.stdout) == (0, 1, result.stdout)
    assert "1 of the clusters can't be used now; `serve` goes on without them" in result.stderr
    assert "warning: https_proxy leads to no cluster: name a cluster's proxy by its proxy-url" in result.stderr
    assert "secret" not in result.output
    assert "leads to no cluster" not in strict.stderr
    lines = {line.split("  ")[0]: line for line in result.stdout.splitlines()}
    assert "warn" in lines["users"]
    assert "but nobody can sign in: set API_USER_NAME" in lines["users"]
    assert "nobody" not in run("check", **environ, API_USER_NAME="a", API_USER_PW=PASSWORD).stdout
    assert "ok" in lines["metric store embedded"]
    assert "ILL" in lines["member dead"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"OPENMCP_KUBECONFIG": "nowhere"}, "clusters by kubeconfig  ILL  none found, nowhere is not there"),
        ({"OPENMCP_KUBECONFIG": "empty"}, "clusters by kubeconfig  ILL  none found"),
        ({"OPENMCP_SIGNING_KEY": ""}, "signing key             ILL  OPENMCP_SIGNING_KEY (or API_APP_KEY) is not set"),
        ({"OPENMCP_EMBEDDED_FILE": "/proc/self/status/x"}, "metric store embedded   ILL  OPENMCP_EMBEDDED_FILE is"),
        ({"OPENMCP_CLUSTER_SOURCE": "kubefed"}, "host openmcp           ILL  cluster openmcp: no connection"),
    ],
)
def test_check_fails_where_the_configuration_has_to_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text("")
    (tmp_path / "kubeconfig").write_text(json.dumps({**build_dead_kubeconfig(), "current-context": "dead"}))
    environ = {
        "OPENMCP_KUBECONFIG": "kubeconfig",
        "OPENMCP_SIGNING_KEY": "0123456789abcdef",
        "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage.sqlite"),
        "OPENMCP_MEMBER_TIMEOUT": "1s",
    }

    result = run("check", **(environ | changes))

    assert (result.exit_code, said in result.stdout) == (1, True), result.output


def test_check_has_a_row_for_each_source(tmp_path: Path) -> None:
    content = {**build_dead_kubeconfig(), "current-context": "dead"}
    (tmp_path / "kubeconfig").write_text(json.dumps(content))
    environ = {
        "OPENMCP_CLUSTER_SOURCE": "kubefed,kubeconfig",
        "OPENMCP_KUBECONFIG": str(tmp_path / "kubeconfig"),
        "OPENMCP_SIGNING_KEY": "0123456789abcdef",
        "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage.sqlite"),
        "OPENMCP_MEMBER_TIMEOUT": "1s",
    }
    result = run("check", **environ)
    assert result.exit_code == 1
    rows = [line.split(maxsplit=3) for line in result.stdout.splitlines()]
    host, kubeconfig = (row[3] for row in rows if row[1] == "by")
    assert host.startswith("ILL  1 found, cluster openmcp: no connection")
    assert kubeconfig == "ok   1 found, but cluster dead is openmcp of kubefed, at the same server: that one is listed"


def test_check_says_which_pattern_of_a_user_matches_no_cluster(tmp_path: Path) -> None:
    config, users = tmp_path / "kubeconfig", str(tmp_path / "users.yaml")
    config.write_text(json.dumps(build_dead_kubeconfig()))
    run("user", "add", "kim", "--role", "view", "--cluster", "clster*", "--cluster", "d*", "--file", users)
    environ = {
        "OPENMCP_KUBECONFIG": str(config),
        "OPENMCP_SIGNING_KEY": "0123456789abcdef",
        "OPENMCP_USERS_FILE": users,
        "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage.sqlite"),
    }

    (row,) = (line for line in run("check", **environ).stdout.splitlines() if line.startswith("users"))

    assert row.endswith("1 can be used, but user 'kim': the pattern 'clster*' matches no cluster; there are dead")


@pytest.mark.parametrize(
    ("text", "said"),
    [("{ viewer { name } }", "ok   1 can be asked"), ("{ nope }", "ILL  not of this schema (any more): me")],
)
def test_check_tries_trusted_documents_against_the_schema(tmp_path: Path, text: str, said: str) -> None:
    config, manifest = tmp_path / "kubeconfig", tmp_path / "manifest.json"
    config.write_text(json.dumps(build_dead_kubeconfig()))
    manifest.write_text(json.dumps({"me": text}))
    environ = {
        "OPENMCP_KUBECONFIG": str(config),
        "OPENMCP_SIGNING_KEY": "0123456789abcdef",
        "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage.sqlite"),
        "OPENMCP_MEMBER_TIMEOUT": "1s",
        "OPENMCP_TRUSTED_DOCUMENTS": str(manifest),
    }
    lines = {line.split("  ")[0]: line for line in run("check", **environ).stdout.splitlines()}
    assert said in lines["trusted documents"]


def build_dead_kubeconfig() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "dead", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "dead", "context": {"cluster": "dead", "user": "u"}}],
    }


def test_a_kubeconfig_has_a_context_a_member() -> None:
    text = build_kubeconfig("https://x:8080", "alice", {"token": "t"}, ["openmcp", "a b"], Trust(insecure=True))

    content = yaml.safe_load(text)
    assert [context["name"] for context in content["contexts"]] == ["openmcp", "a b"]
    assert content["clusters"][1]["cluster"] == {
        "server": "https://x:8080/clusters/a%20b",
        "insecure-skip-tls-verify": True,
    }
    assert content["users"] == [{"name": "alice", "user": {"token": "t"}}]


@pytest.mark.parametrize("url", ["x", "ftp://x", "http://", "http://a:b@x", "http://x?y", "http://x#y"])
def test_a_server_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be an http or https URL"):
        parse_server(url)


@asynccontextmanager
async def open_impostor(answer: Response) -> AsyncIterator[str]:
    async def give(_request: Request) -> Response:
        return answer

    async with open_serving(Starlette(routes=[Route("/token", give, methods=["POST"])])) as url:
        yield url


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (JSONResponse({"error": "invalid_credentials"}, 401), "answers 401: invalid_credentials"),
        (RedirectResponse("http://127.0.0.1:9/token", 307), "answers 307"),
        (Response("<html>"), "does not answer JSON"),
        (JSONResponse([]), "does not answer an object"),
        (JSONResponse({"token": 1}), "gave no token"),
    ],
)
async def test_a_server_that_is_not_this_one_is_said_to_be_so(answer: Response, said: str) -> None:
    async with open_impostor(answer) as url:
        with pytest.raises(ServerRefused, match=said):
            await asyncio.to_thread(Client(url, Trust()).load_token, "alice", PASSWORD)


async def test_the_client_signs_in_and_lists_clusters() -> None:
    async def token(request: Request) -> Response:
        given = await request.json()
        return JSONResponse({"token": f"token of {given['username']}"})

    async def graphql(request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer token of alice"
        return JSONResponse({"data": {"viewer": {"name": "alice"}, "clusters": [{"name": "openmcp"}]}})

    routes = [Route("/token", token, methods=["POST"]), Route("/graphql", graphql, methods=["POST"])]
    async with open_serving(Starlette(routes=routes)) as url:
        client = Client(url, Trust())
        signed = await asyncio.to_thread(client.load_token, "alice", PASSWORD)

        assert await asyncio.to_thread(client.load_reach, signed) == ("alice", ["openmcp"])
