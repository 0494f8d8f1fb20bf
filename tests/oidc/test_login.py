"""`openmcp-apiserver login`: in a browser at a real issuer, by password, kept, and renewed without asking."""

import asyncio
import json
import re
import stat
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import jwt
import pytest
import yaml

from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from realfleet.pki import build_cluster_files
from tests.clients.serving import SIGNING_KEY, open_quiet_server
from tests.fakes.waiting import PATIENCE
from tests.oidc.browser import build_browser
from tests.oidc.issuer import RunningIssuer, open_issuer
from tests.processes import COMMAND, RunningServer

NO_BROWSER = {"BROWSER": "false"}


@dataclass(frozen=True)
class Person:
    """Somebody with a home of their own."""

    server: RunningServer
    issuer: RunningIssuer
    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            COMMAND,
            *arguments,
            "--server",
            self.server.url,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home), **self.environment, **environment},
        )

    async def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        process = await self.start(*arguments, **environment)
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
        return process.returncode or 0, output.decode(), errors.decode()

    async def login(self, *arguments: str, **environment: str) -> str:
        """The token of the credential that is printed."""
        code, output, errors = await self.run("login", *arguments, **environment)
        assert code == 0, errors
        printed = json.loads(output)
        assert (printed["apiVersion"], printed["kind"]) == ("client.authentication.k8s.io/v1", "ExecCredential")
        token = str(printed["status"]["token"])
        expires_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claims_of(token)["exp"]))
        assert printed["status"]["expirationTimestamp"] == expires_at
        return token

    def browser(self, login: str) -> dict[str, str]:
        return {"BROWSER": build_browser(self.issuer, login, path=self.home / "browser")}

    @property
    def kept(self) -> Path:
        (found,) = (self.home / ".cache" / "openmcp-apiserver" / "login").glob("*.yaml")
        return found

    def change(self, **changed: str) -> None:
        self.kept.write_text(yaml.safe_dump(yaml.safe_load(self.kept.read_text()) | changed))


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def age() -> str:
    """A token that says of itself to be in the second half of its life; whose signature is nobody's concern here."""
    now = int(time.time())
    return jwt.encode({"iat": now - 300, "exp": now + 200}, "k" * 32, algorithm="HS256")


@pytest.fixture(scope="module")
async def server(
    lasting_issuer: RunningIssuer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningServer]:
    folder = tmp_path_factory.mktemp("login")
    save_users(folder / "users", [User("readers", "", Scope(Role.VIEW), is_group=True)])
    settings = {
        "OPENMCP_OIDC_ISSUER": lasting_issuer.url,
        "OPENMCP_OIDC_AUDIENCE": "openmcp",
        "OPENMCP_USERS_FILE": str(folder / "users"),
    }
    async with open_quiet_server(folder, **settings) as running:
        yield running


@pytest.fixture
def person(server: RunningServer, issuer: RunningIssuer, tmp_path: Path) -> Person:
    return Person(server, issuer, tmp_path)


async def test_one_signs_in_once_and_is_renewed(person: Person) -> None:
    first = await person.login(**person.browser("bob"))

    assert claims_of(first)["sub"] == "bob"
    assert "errors" not in await person.server.ask(first, "{ clusters { name } }")
    assert stat.S_IMODE(person.kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(person.kept.parent.stat().st_mode) == 0o700
    assert await person.login(**NO_BROWSER) == first

    refresh_token = yaml.safe_load(person.kept.read_text())["refresh_token"]
    person.change(token=age())
    second = await person.login(**NO_BROWSER)
    assert claims_of(second)["sub"] == "bob"
    assert yaml.safe_load(person.kept.read_text())["refresh_token"] != refresh_token
    assert await person.login(**NO_BROWSER) == second


async def test_who_runs_it_twice_at_once_is_renewed_once(person: Person) -> None:
    await person.login(**person.browser("bob"))
    person.change(token=age())

    tokens = await asyncio.gather(*(person.login(**NO_BROWSER) for _ in range(3)))

    assert len(set(tokens)) == 1
    assert "errors" not in await person.server.ask(tokens[0], "{ clusters { name } }")


async def test_a_refresh_token_that_counts_no_more_leads_to_the_browser(person: Person) -> None:
    await person.login(**person.browser("bob"))
    person.change(token=age(), refresh_token="gone")

    assert claims_of(await person.login(**person.browser("ann")))["sub"] == "ann"


async def test_a_token_that_is_not_renewed_does_until_its_end(person: Person) -> None:
    await person.login(**person.browser("bob"))
    kept = age()
    person.kept.write_text(f"token: {kept}")

    assert await person.login(**NO_BROWSER) == kept


async def test_a_kept_token_does_while_the_issuer_is_down(person: Person) -> None:
    await person.login(**person.browser("bob"))
    kept = age()
    person.change(token=kept)
    await person.issuer.order(mode="error")

    assert await person.login(**NO_BROWSER) == kept
    person.change(token=jwt.encode({"iat": 1, "exp": 2}, "k" * 32))
    code, _, errors = await person.run("login", **NO_BROWSER)
    assert code == 2
    assert "answers 500, must answer 200" in errors


async def test_what_is_kept_is_removed(person: Person) -> None:
    await person.login(**person.browser("bob"))
    assert (await person.run("login", "--forget"))[0] == 0
    assert claims_of(await person.login(**person.browser("ann")))["sub"] == "ann"


async def test_a_broken_file_is_as_none(person: Person) -> None:
    await person.login(**person.browser("bob"))
    for text in ("[]", "token: 7", "token: a.b.c", "token: {"):
        person.kept.write_text(text)
        await person.login(**person.browser("bob"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "access_denied", "error_description": "not you"}, "not you"),
        ({"code": "guessed"}, "refuses the sign-in: grant request is invalid"),
        ({"code": "guessed", "iss": "https://other.example.org"}, "is of 'https://other.example.org'"),
        ({}, "gave no code"),
    ],
)
async def test_only_an_answer_to_the_sign_in_counts(person: Person, answer: dict[str, str], words: str) -> None:
    process = await person.start("login", "--no-browser")
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), PATIENCE)).decode()
    url = re.search(r"http\S+$", line.strip())
    assert url is not None, line
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url[0]).query).items()}
    assert asked["code_challenge_method"] == "S256"
    async with aiohttp.ClientSession() as session:
        for wrong in ({"code": "x"}, {"code": "x", "state": "guessed"}):
            async with session.get(asked["redirect_uri"], params=wrong) as response:
                assert response.status == 200
        async with session.get(asked["redirect_uri"].replace("callback", "other")) as response:
            assert response.status == 404
        async with session.get(asked["redirect_uri"], params=answer | {"state": asked["state"]}) as response:
            assert "code" not in await response.text()

    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 2
    assert words in errors.decode()


async def test_by_password_one_signs_in_once_and_is_renewed(person: Person) -> None:
    who = ("--user", "openmcp")
    first = await person.login(*who, OPENMCP_PASSWORD="keti")
    assert await person.login(*who) == first

    now = int(time.time())
    old = {"user": "openmcp", "iat": now - 3000, "exp": now + 600}
    person.change(token=jwt.encode(old, SIGNING_KEY, algorithm="HS256"))
    renewed = await person.login(*who)
    assert claims_of(renewed)["exp"] > now + 3000

    person.change(token=jwt.encode(old | {"exp": now - 1}, SIGNING_KEY, algorithm="HS256"))
    code, _, errors = await person.run("login", *who)
    assert code == 2
    assert "no password was given" in errors


async def test_kubectl_that_reads_its_input_is_told_to_sign_in_first(person: Person) -> None:
    info = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "spec": {"interactive": False}}
    code, _, errors = await person.run("login", "--user", "openmcp", KUBERNETES_EXEC_INFO=json.dumps(info))

    assert code == 2
    assert f"sign in first: {COMMAND} login" in errors


async def test_options_that_do_not_go_together_are_said(person: Person, tmp_path: Path) -> None:
    code, _, errors = await person.run("login", "--user", "a", "--issuer", person.issuer.url)
    assert (code, "name one of them" in errors) == (2, True)
    code, _, errors = await person.run("login", "--issuer", "https://other.example.org")
    assert (code, "the server's issuers are: none" in errors) == (2, True)
    code, _, errors = await person.run("login", "--issuer", "http://10.0.0.1", "--client-id", "a")
    assert (code, "must be an https URL" in errors) == (2, True)


async def test_an_issuer_with_a_certificate_of_its_own_authority(
    person: Person, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tls")
    files = await asyncio.to_thread(build_cluster_files, folder / "pki", "server")
    certificate = {"CERTIFICATE": str(files.serving_certificate), "KEY": str(files.serving_key)}
    async with open_issuer(folder / "issuer", files.ca, **certificate) as issuer:
        secure = Person(person.server, issuer, person.home)
        where = ("--issuer", issuer.url, "--client-id", "openmcp")
        code, _, errors = await secure.run("login", *where)
        assert (code, "certificate verify failed" in errors) == (2, True)
        token = await secure.login(*where, "--issuer-ca-file", str(files.ca), **secure.browser("bob"))

    assert claims_of(token)["iss"] == issuer.url
