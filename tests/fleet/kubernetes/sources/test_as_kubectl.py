"""Kubeconfigs as the real kubectl reads them and as we do, against a real API server: a table, a file a line.

To add a line: `Row(name, changes, kubectl)`, where `changes` puts fields into the cluster, the user, the context or the
whole file of a kubeconfig that works, or a function makes another text of it; `kubectl` is whether kubectl then gets an
answer. `ours` is what we say where we refuse. Where we differ, the row's name says why.
"""

import asyncio
import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.model.errors import ClusterError
from fleet.model.told import detail_of
from fleet.ports import Call
from realfleet.cluster import Cluster
from realfleet.fleet import Fleet
from tests.fakes.waiting import PATIENCE
from tests.fleet.kubernetes.socks import open_socks
from tests.fleet.kubernetes.sources.following import Follower

pytestmark = pytest.mark.real

PATH = "/api/v1/namespaces"
V1 = "client.authentication.k8s.io/v1"
OIDC = {"name": "oidc", "config": {"id-token": "e30.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln"}}
NO_TOKEN = {"token": None}
EXEC = {"command": "sh", "args": ["-c", "cat {folder}/credential"], "apiVersion": V1, "interactiveMode": "Never"}
FAILING = {"command": "false", "apiVersion": V1, "interactiveMode": "Never"}
CERTIFICATE = {"client-certificate-data": "{certificate}", "client-key-data": "{key}"}
LINES = {"client-certificate-data": "{certificate_lf}", "client-key-data": "{key_crlf}"}
# Where several rows would say it again.
TYPES = {
    "number": 5,
    "decimal": 1.5,
    "boolean": True,
    "list": ["x"],
    "mapping": {"a": "b"},
    "null": None,
    "empty": "",
    "text": "x",
}


@dataclass(frozen=True)
class Row:
    """One file. `ours` is of our error's words, where we refuse it, which may be where kubectl does not."""

    name: str
    changes: Mapping[str, Any] | Callable[[str], str | bytes]
    kubectl: bool
    ours: str = ""
    takes: bool = False
    """That we take what kubectl does not."""


def cluster(name: str, kubectl: bool, ours: str = "", **fields: Any) -> Row:
    return Row(f"cluster: {name}", {"cluster": _kebab(fields)}, kubectl, ours)


def user(name: str, fields: dict[str, Any], kubectl: bool, ours: str = "", takes: bool = False) -> Row:
    return Row(f"user: {name}", {"user": fields}, kubectl, ours, takes)


def text(name: str, change: Callable[[str], str | bytes], kubectl: bool, ours: str = "", takes: bool = False) -> Row:
    return Row(f"file: {name}", change, kubectl, ours, takes)


def _kebab(fields: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): value for name, value in fields.items()}


def _with(field: str, value: str) -> Callable[[str], str]:
    return lambda whole: yaml.safe_dump({**yaml.safe_load(whole), field: yaml.safe_load(value)})


def _ended_by(line: str) -> Callable[[str], str]:
    return lambda whole: f"{whole}{line}\n"


def _replaced_by(plain: str) -> Callable[[str], str]:
    return lambda whole: _token(whole, lambda _token: plain)


def typed(section: str, field: str, right: str, more: Mapping[str, Any] | None = None) -> list[Row]:
    """A row for each type that a field is not of; null is as if it were left out."""
    kinds = {"text": ("empty", "text"), "true or false": ("boolean",), "a list": ("list",), "a mapping": ("mapping",)}
    return [
        Row(
            f"{section}: {field} is {name}",
            {section: {**(more or {}), field: value}},
            name == "null",
            "" if name == "null" else f"{field} must be {right}, not ",
        )
        for name, value in TYPES.items()
        if name not in kinds[right]
    ]


def in_exec(name: str, kubectl: bool, ours: str = "", *, takes: bool = False, **fields: Any) -> Row:
    return user(f"exec, {name}", {**NO_TOKEN, "exec": {**EXEC, **fields}}, kubectl, ours, takes)


def wrapped(data: str, separator: str) -> str:
    return separator.join(re.findall(".{1,64}", data)) + separator


ROWS: list[Row] = [
    Row("as it is", {}, True),
    # Every field of every entry, with a value of each type.
    *typed("cluster", "server", "text")[:5],
    *typed("cluster", "tls-server-name", "text"),
    *typed("cluster", "insecure-skip-tls-verify", "true or false"),
    *typed("cluster", "certificate-authority", "text"),
    *typed("cluster", "certificate-authority-data", "text")[:5],
    *typed("cluster", "proxy-url", "text"),
    *typed("cluster", "disable-compression", "true or false"),
    *typed("cluster", "extensions", "a list"),
    *typed("user", "client-certificate", "text"),
    *typed("user", "client-certificate-data", "text"),
    *typed("user", "client-key", "text"),
    *typed("user", "client-key-data", "text"),
    *typed("user", "token", "text")[:5],
    *typed("user", "tokenFile", "text"),
    *typed("user", "as", "text"),
    *typed("user", "as-uid", "text"),
    *typed("user", "as-groups", "a list"),
    *typed("user", "as-user-extra", "a mapping"),
    *typed("user", "username", "text"),
    *typed("user", "password", "text"),
    *typed("user", "auth-provider", "a mapping"),
    *typed("user", "exec", "a mapping"),
    *typed("user", "extensions", "a list"),
    *typed("context", "namespace", "text"),
    *typed("context", "extensions", "a list"),
    *typed("context", "cluster", "text")[:5],
    *typed("context", "user", "text")[:5],
    # Addresses.
    cluster("no server", False, "server is empty", server=""),
    cluster("a scheme in capitals", True, server="HTTPS://{address}"),
    cluster("a scheme with a capital", True, server="Https://{address}"),
    cluster("a slash at its end", True, server="https://{address}/"),
    cluster("no host", False, "must be https://", server="https:///x"),
    cluster("another scheme", False, "must be https://", server="ftp://{address}"),
    cluster("a user in it, which would go to whoever answers", False, "without user", server="https://u:p@{address}"),
    cluster("a query in it: kubectl drops it", True, "without user, query", server="https://{address}?a=b"),
    *(
        cluster(f"{name} {where} its {field}", False, "must be", **{field.replace("-", "_"): url})
        for name, sign in (("a blank", " "), ("a line break", "\n"), ("a tab", "\t"))
        for field, right in (("server", "https://{address}"), ("proxy-url", "http://127.0.0.1:1"))
        for where, url in (("before", sign + right), ("after", right + sign))
    ),
    cluster("a blank for a server", False, "server", server=" "),
    cluster("another name than the certificate's", False, "certificate", tls_server_name="elsewhere"),
    cluster("a name of the certificate's", True, tls_server_name="localhost"),
    # Authorities.
    cluster("no authority", False, "certificate", certificate_authority_data=None),
    cluster("an authority's file", True, certificate_authority_data=None, certificate_authority="{ca_file}"),
    cluster("a file beside the data", False, "both given", certificate_authority="{ca_file}"),
    cluster("no such file", False, "can't be read", certificate_authority_data=None, certificate_authority="nowhere"),
    cluster("unverified", True, certificate_authority_data=None, insecure_skip_tls_verify=True),
    cluster("unverified with an authority", False, "both given", insecure_skip_tls_verify=True),
    cluster("no PEM", False, "no PEM", certificate_authority_data="aGVsbG8="),
    cluster("line feeds in base64", True, certificate_authority_data="{ca_lf}"),
    cluster("carriage returns in base64", True, certificate_authority_data="{ca_crlf}"),
    cluster("a blank in base64", False, "is not base64", certificate_authority_data="{ca_blank}"),
    cluster("a tab in base64", False, "is not base64", certificate_authority_data="{ca_tab}"),
    cluster("base64 after its end", False, "is not base64", certificate_authority_data="aGVsbG8=QUFB"),
    cluster("padding after its end", False, "is not base64", certificate_authority_data="aGVsbG8=="),
    cluster("line breaks alone", False, "certificate", certificate_authority_data="\n\n"),
    # Proxies.
    cluster("a proxy that is not there", False, "can't be reached", proxy_url="http://127.0.0.1:1"),
    cluster("a SOCKS proxy that is not there", False, "can't be reached", proxy_url="SOCKS5://127.0.0.1:1"),
    cluster("an older SOCKS", False, "proxy-url the value must be", proxy_url="socks4://127.0.0.1:1"),
    cluster("a proxy without scheme", False, "proxy-url the value must be", proxy_url="proxy.example"),
    # Ways to sign in, alone and together.
    user("a client certificate", {**NO_TOKEN, **CERTIFICATE}, True),
    user(
        "one in lines",
        {**NO_TOKEN, "client-certificate-data": "{certificate_lf}", "client-key-data": "{key_crlf}"},
        True,
    ),
    user("a certificate without key", {"client-certificate-data": "{certificate}"}, False, "must both be given"),
    user("a key without certificate", {"client-key-data": "{key}"}, True),
    user("a certificate twice", {**CERTIFICATE, "client-certificate": "x"}, False, "both given"),
    user("a key twice", {**CERTIFICATE, "client-key": "x"}, False, "both given"),
    user("a certificate and a wrong token", {**CERTIFICATE, "token": "wrong"}, True),
    user("a token's file", {**NO_TOKEN, "tokenFile": "{folder}/token"}, True),
    user("a wrong token beside the file", {"token": "wrong", "tokenFile": "{folder}/token"}, True),
    user("a token beside a file that is not there", {"tokenFile": "{folder}/nowhere"}, True),
    user("a token beside a wrong file", {"tokenFile": "{folder}/wrong"}, False, "401"),
    user("a wrong token", {"token": "wrong"}, False, "401"),
    user("a token and a password", {"username": "a", "password": "b"}, False, "both given"),
    user("a token and a password without user", {"password": "b"}, False, "both given"),
    user(
        "a token's file and a password",
        {**NO_TOKEN, "tokenFile": "{folder}/token", "username": "a"},
        False,
        "both given",
    ),
    user(
        "impersonation, which is not done here", {"as": "admin", "as-groups": ["system:masters"]}, True, "impersonation"
    ),
    user("groups without whom", {"as-groups": ["x"]}, False, "impersonation"),
    user("extra without whom", {"as-user-extra": {"a": ["b"]}}, False, "impersonation"),
    user("a token before a plugin", {"exec": FAILING}, True),
    user("a wrong token before a plugin", {"token": "wrong", "exec": EXEC}, False, "401"),
    user("a certificate before a plugin", {**NO_TOKEN, **CERTIFICATE, "exec": FAILING}, True),
    user("a plugin and a provider", {"exec": EXEC, "auth-provider": OIDC}, False, "both given"),
    user("an unknown provider", {"auth-provider": {"name": "nobody"}}, False, "auth-provider.name"),
    user("a provider's config of another type", {"auth-provider": {**OIDC, "config": {"a": 5}}}, False, "must be text"),
    in_exec("as it is", True),
    in_exec("that fails", False, "ended with 1", command="false"),
    in_exec("no command", False, "exec.command", command=None),
    in_exec("a number as its command", False, "exec.command must be text", command=5),
    in_exec("a text as its arguments", False, "exec.args must be a list", args="x"),
    in_exec("a number as an argument", False, "must be text", args=[1]),
    in_exec("a variable", True, env=[{"name": "A", "value": "b"}]),
    in_exec("a variable without value", True, env=[{"name": "A"}]),
    in_exec("a variable without name", False, "must have a name", env=[{"value": "b"}]),
    in_exec("a number as a variable's value", False, "must be text", env=[{"name": "A", "value": 5}]),
    in_exec("a mapping of variables", False, "exec.env must be a list", env={"A": "b"}),
    in_exec("no version", False, "exec.apiVersion", apiVersion=None),
    in_exec("a version that begins alike", False, "exec.apiVersion", apiVersion=f"{V1}alpha1"),
    in_exec("a number as its hint", False, "exec.installHint must be text", installHint=5),
    in_exec("a text as provideClusterInfo", False, "must be true or false", provideClusterInfo="yes"),
    in_exec("a terminal that nobody has", False, "exec.interactiveMode", interactiveMode="Always"),
    in_exec("a mode of nobody's", False, "exec.interactiveMode", interactiveMode="Sometimes"),
    in_exec("no mode, which is Never to a server", False, takes=True, interactiveMode=None),
    in_exec("a field that nobody knows", True, unknown=5),
    # Entries.
    Row("an entry twice", {"more": {"users": [{"name": "u", "user": {}}]}}, False, "more than one entry named u"),
    Row("no such user", {"context": {"user": "x"}}, False, "is not under users"),
    Row("no such cluster", {"context": {"cluster": "x"}}, False, "is not under clusters"),
    Row("an entry of another's without a name", {"more": {"users": [{"user": {}}]}}, True),
    Row("an empty entry", {"more": {"clusters": [None]}}, True),
    Row("an entry of another's that is text, which costs nobody else", {"more": {"users": ["x"]}}, False, takes=True),
    Row(
        "another's of another type, which costs the other",
        {"more": {"users": [{"name": "x", "user": 5}]}},
        False,
        takes=True,
    ),
    # The file.
    text("a second document", lambda whole: f"{whole}---\nkind: Pod\n", True),
    text("a second document that is no YAML", lambda whole: f"{whole}---\n[: {{", True),
    text("an empty second document", lambda whole: f"---\n{whole}...\n---\n---\n", True),
    text("an empty first document", lambda whole: f"---\n---\n{whole}", False, "no member"),
    text("a comment before the first document", lambda whole: f"# mine\n---\n{whole}", True),
    text("JSON with tabs", lambda whole: json.dumps(yaml.safe_load(whole), indent="\t"), True),
    text("line ends of Windows", lambda whole: whole.replace("\n", "\r\n"), True),
    text("a byte order mark", lambda whole: f"\ufeff{whole}", True),
    text("UTF-16", lambda whole: whole.encode("utf-16"), True),
    text("Latin-1", lambda whole: f"{whole}x: \u00fc\n".encode("latin-1"), False, "no member"),
    text("another version", lambda whole: whole.replace("apiVersion: v1", "apiVersion: v2"), False, "no member"),
    text("another kind", lambda whole: whole.replace("kind: Config", "kind: Pod"), False, "no member"),
    text("a number as its kind", lambda whole: whole.replace("kind: Config", "kind: 0"), False, "no member"),
    text(
        "neither version nor kind",
        lambda whole: whole.replace("apiVersion: v1\n", "").replace("kind: Config\n", ""),
        True,
    ),
    *(
        text(f"{field} is {value}", _with(field, value), kubectl, "" if kubectl else "no member")
        for field, values in (
            ("preferences", {"{}": 1, "null": 1, "{colors: true}": 1, "{x: 5}": 1, "5": 0, "x": 0, "[]": 0, "true": 0}),
            ("preferences", {"{colors: 5}": 0, "{colors: x}": 0, "{extensions: {}}": 0, "{extensions: [5]}": 0}),
            ("current-context", {"null": 1, "''": 1, "elsewhere": 1, "5": 0, "true": 0, "[]": 0, "{}": 0, "1.5": 0}),
            ("extensions", {"[]": 1, "null": 1, "[{name: x, extension: 5}]": 1, "5": 0, "{}": 0, "[5]": 0, "x": 0}),
        )
        for value, kubectl in ((value, bool(taken)) for value, taken in values.items())
    ),
    text("a mapping of clusters", lambda whole: f"{whole}clusters: {{}}\n", False, "no member"),
    text("a list", lambda _whole: "[]", False, "no member"),
    text("anchors", lambda whole: f"{whole}x: &a {{b: c}}\ny: *a\n", True),
    text("a list that holds itself", _ended_by("x: &a [*a]"), False, "no member"),
    *(
        text(f"a key that is {key}", _ended_by(f"{key}: z"), kubectl, "" if kubectl else "no member")
        for keys, kubectl in ((("y", "no", "5", "1.5", ".inf"), True), (("~", "[a]", "{a: b}"), False))
        for key in keys
    ),
    text("a local tag", lambda whole: f"{whole}x: !mine y\n", True),
    text(
        "binary data", lambda whole: _token(whole, lambda token: f"!!binary {base64.b64encode(token).decode()}"), True
    ),
    *(
        text(f"a token that is {name}", _replaced_by(plain), False, ours)
        for name, plain, ours in (
            ("a date", "2030-01-01", "401"),
            ("base 60", "1:30", "401"),
            ("yes", "yes", "token must be text"),
            ("y", "y", "token must be text"),
            ("a power", "1e3", "token must be text"),
            ("octal", "0o17", "token must be text"),
            ("grouped", "1_000", "token must be text"),
            ("a fraction", ".5", "token must be text"),
        )
    ),
]


def _token(whole: str, change: Callable[[bytes], str]) -> str:
    return re.sub(r"token: (\w+)", lambda found: f"token: {change(found[1].encode())}", whole, count=1)


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("socks5://{}", None),
        ("socks5://ann:p%40ss@{}", None),
        ("SOCKS5://ann:p%40ss@{}", None),
        ("socks5://ann:wrong@{}", "refuses"),
    ],
)
async def test_a_socks_proxy_looks_names_up(member: Cluster, tmp_path: Path, proxy: str, said: str | None) -> None:
    async with open_socks("ann:p@ss" if "@" in proxy else "") as (port, asked):
        url = member.url.replace("127.0.0.1", "localhost")
        fields = {"server": url, "proxy-url": proxy.format(f"127.0.0.1:{port}")}
        path = tmp_path / "config"
        path.write_text(str(_write(Row("", {"cluster": fields}, kubectl=True), member, tmp_path)))
        assert await _ask_kubectl(member, path) == (said is None)
        assert (said or "None") in str(await _ask_ours(path))
        assert asked == ([] if said else ["localhost", "localhost"])


@pytest.fixture(scope="module")
def member(real_fleet: Fleet) -> Cluster:
    return real_fleet.cluster("cluster1")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_what_kubectl_takes_is_taken_and_nothing_weaker(row: Row, member: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "config"
    content = _write(row, member, tmp_path)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert await _ask_kubectl(member, path) == row.kubectl
    said = await _ask_ours(path)
    if row.takes or not row.ours:
        assert said is None
    else:
        assert said is not None
        assert row.ours in said
        assert member.token not in said


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"certificate-authority-data": None, "certificate-authority": "{ca_file}"},
        {"certificate-authority-data": None, "insecure-skip-tls-verify": True},
        {"tls-server-name": "localhost", "disable-compression": True},
        {"extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"a": [1, None, {"b": "c"}]}}]},
        {"extensions": [{"name": "elsewhere", "extension": {"a": 1}}]},
    ],
)
async def test_a_plugin_is_told_what_kubectl_tells_it(fields: dict[str, Any], member: Cluster, tmp_path: Path) -> None:
    line = 'printf %s "$KUBERNETES_EXEC_INFO" > {folder}/told; cat {folder}/credential'
    plugin = {**EXEC, "args": ["-c", line], "provideClusterInfo": True}
    row = Row("", {"cluster": fields, "user": {**NO_TOKEN, "exec": plugin}}, kubectl=True)
    path, told = tmp_path / "config", []
    path.write_text(str(_write(row, member, tmp_path)))
    for ask in (_ask_kubectl(member, path), _ask_ours(path)):
        assert await ask in (True, None)
        told.append(json.loads((tmp_path / "told").read_text()))
        (tmp_path / "told").unlink()
    if told[0]["spec"]["cluster"].get("config") is None:  # Go writes what is empty as null
        del told[0]["spec"]["cluster"]["config"]
    assert told[0] == told[1]


async def test_authorities_of_the_environment_are_kubectls_too(
    member: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    row = Row("", {"cluster": {"certificate-authority-data": None}}, kubectl=True)
    path.write_text(str(_write(row, member, tmp_path)))
    assert (await _ask_kubectl(member, path), await _ask_ours(path) is None) == (False, False)
    monkeypatch.setenv("SSL_CERT_FILE", str(member.ca_file))
    assert (await _ask_kubectl(member, path, SSL_CERT_FILE=str(member.ca_file)), await _ask_ours(path)) == (True, None)


def _write(row: Row, member: Cluster, folder: Path) -> str | bytes:
    (folder / "token").write_text(member.token)
    (folder / "wrong").write_text("wrong")
    status = {"token": member.token}
    (folder / "credential").write_text(json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status}))
    changes = row.changes if isinstance(row.changes, Mapping) else {}
    data = base64.b64encode(member.ca_pem).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "c",
                "cluster": {"server": member.url, "certificate-authority-data": data, **changes.get("cluster", {})},
            }
        ],
        "users": [{"name": "u", "user": {"token": member.token, **changes.get("user", {})}}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u", **changes.get("context", {})}}],
        "current-context": "one",
    }
    for kind, entries in changes.get("more", {}).items():
        document[kind] += entries
    whole = yaml.safe_dump(_fill(document, _values(member, data, folder)), sort_keys=False)
    return whole if isinstance(row.changes, Mapping) else row.changes(whole)


def _values(member: Cluster, authority: str, folder: Path) -> dict[str, str]:
    files = member.api.files
    certificate, key = (
        base64.b64encode(file.read_bytes()).decode() for file in (files.client_certificate, files.client_key)
    )
    return {
        "address": member.url.removeprefix("https://"),
        "folder": str(folder),
        "ca_file": str(member.ca_file),
        "ca": authority,
        "ca_lf": wrapped(authority, "\n"),
        "ca_crlf": wrapped(authority, "\r\n"),
        "ca_blank": wrapped(authority, " "),
        "ca_tab": wrapped(authority, "\t"),
        "certificate": certificate,
        "certificate_lf": wrapped(certificate, "\n"),
        "key": key,
        "key_crlf": wrapped(key, "\r\n"),
    }


def _fill(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, values) for item in value]
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], value) if isinstance(value, str) else value


async def _ask_kubectl(member: Cluster, path: Path, **environment: str) -> bool:
    process = await asyncio.create_subprocess_exec(
        member.kubectl_program,
        f"--kubeconfig={path}",
        "--context=one",
        "get",
        "--raw",
        PATH,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "HOME": str(path.parent), **environment},
    )
    async with asyncio.timeout(PATIENCE):
        return await process.wait() == 0


async def _ask_ours(path: Path) -> str | None:
    """What is wrong, None where the namespaces come."""
    async with open_kubeconfig_source((path,)) as source:
        picture = await Follower(source).until()
        if "one" not in picture:
            return "no member"
        try:
            connection = await source.open_connection(picture["one"])
        except ClusterError as error:
            return detail_of(error)
        try:
            answer = await connection.request(Call("GET", PATH, timeout=10))
        except ClusterError as error:
            return f"{detail_of(error)} {'401' if 'Unauthorized' in type(error).__name__ else ''}"
        finally:
            await connection.close()
        return None if answer.status == 200 else str(answer.status)
