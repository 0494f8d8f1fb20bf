"""Builds a kubeconfig whose contexts lead to the members through this server."""

import base64
import http.client
import json
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

import yaml
from msgspec import Struct

CALL_SECONDS = 15.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024


class ServerRefused(Exception):
    """The server can't be reached, refuses, or answers something else; the message says which.

    `status` is what it answered, None where it did not.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Trust(Struct, frozen=True):
    """How the server's certificate is checked: by `ca_file`, else by the system's authorities, or not at all."""

    ca_file: Path | None = None
    insecure: bool = False


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        return None  # a password or token follows nobody to another host


class Client:
    """The server as a command sees it."""

    def __init__(self, server: str, trust: Trust) -> None:
        self._server = server
        self._opener = _build_opener(trust)

    def load_token(self, user: str, password: str) -> str:
        """A token for the user. Raises ServerRefused."""
        return self._read_token(self._ask("/token", {"username": user, "password": password}))

    def renew_token(self, token: str) -> str:
        """Another one for the same user. Raises ServerRefused."""
        return self._read_token(self._ask("/token", {}, token))

    def list_offers(self) -> list[dict[str, str]]:
        """The issuers at which people sign in: issuer, clientId, scope. Raises ServerRefused."""
        offers = self._ask("/oidc").get("issuers")
        try:
            return [{name: str(offer[name]) for name in ("issuer", "clientId", "scope")} for offer in offers or ()]
        except (KeyError, TypeError) as error:
            raise ServerRefused(f"{self._server}/oidc lists no issuers") from error

    def load_reach(self, token: str) -> tuple[str, list[str]]:
        """The user's name, and the names of the clusters in their reach. Raises ServerRefused."""
        answer = self.ask_graph({"query": "{ viewer { name } clusters { name } }"}, token)
        try:
            data = answer["data"]
            return str(data["viewer"]["name"]), [str(cluster["name"]) for cluster in data["clusters"]]
        except (KeyError, TypeError) as error:
            errors = json.dumps(answer.get("errors", "no data"))[:300]
            raise ServerRefused(f"{self._server}/graphql does not list clusters: {errors}") from error

    def ask_graph(self, asked: dict[str, Any], token: str) -> dict[str, Any]:
        """The whole answer to an operation, errors included. Raises ServerRefused."""
        return self._ask("/graphql", asked, token)

    def _read_token(self, answer: dict[str, Any]) -> str:
        token = answer.get("token")
        if not isinstance(token, str):
            raise ServerRefused(f"{self._server}/token gave no token")
        return token

    def _ask(self, path: str, body: dict[str, Any] | None = None, token: str | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode() if body else b""
        request = Request(self._server + path, data, headers)  # noqa: S310 - parse_server
        try:
            with self._opener.open(request, timeout=CALL_SECONDS) as answer:
                content = json.loads(answer.read(MAX_ANSWER_BYTES))
        except HTTPError as error:
            with error:
                message = f"{self._server}{path} answers {error.code}: {_error_text(error)}"
                raise ServerRefused(message, error.code) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            hint = ""
            if isinstance(reason, ssl.SSLCertVerificationError):
                hint = "; --ca-file names the authority that signed its certificate"
            raise ServerRefused(f"{self._server} can't be reached: {reason}{hint}") from error
        except ValueError as error:
            raise ServerRefused(f"{self._server}{path} does not answer JSON; is it this server?") from error
        if not isinstance(content, dict):
            raise ServerRefused(f"{self._server}{path} does not answer an object; is it this server?")
        return content


def parse_server(url: str) -> str:
    """The URL, its scheme in lower case, without a slash at its end. Raises ValueError for others than http(s)."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(f"{url!r} must be an http or https URL such as https://openmcp.example.org:8080")
    return f"{parts.scheme}{url[len(parts.scheme) :]}".rstrip("/")


def build_kubeconfig(
    server: str, user: str, credential: Mapping[str, Any], clusters: Iterable[str], trust: Trust, prefix: str = ""
) -> str:
    """The YAML of a kubeconfig with a context a cluster, for a user with `token` or `exec`.

    `prefix` begins the name of each entry. Raises OSError when the CA file can't be read.
    """
    tls: dict[str, Any] = {}
    if server.startswith("https:"):
        if trust.insecure:
            tls["insecure-skip-tls-verify"] = True
        elif trust.ca_file is not None:
            tls["certificate-authority-data"] = base64.b64encode(trust.ca_file.read_bytes()).decode()
    names = {prefix + name: f"{server}/clusters/{quote(name, safe='')}" for name in clusters}
    user = prefix + user
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url, **tls}} for name, url in names.items()],
        "users": [{"name": user, "user": dict(credential)}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}} for name in names],
        "current-context": next(iter(names), ""),
    }
    return yaml.safe_dump(content, sort_keys=False)


def _build_opener(trust: Trust) -> OpenerDirector:
    context = ssl.create_default_context(cafile=trust.ca_file)
    if trust.insecure:
        context.check_hostname = False  # nosemgrep: tls-is-verified - its user says --insecure
        context.verify_mode = ssl.CERT_NONE  # nosemgrep: tls-is-verified - likewise
    return build_opener(_NoRedirects, HTTPSHandler(context=context))


def _error_text(error: HTTPError) -> str:
    text = error.read(10_000).decode(errors="replace").strip()
    try:
        content = json.loads(text)
    except ValueError:
        return text[:300] or error.reason
    if isinstance(content, dict) and isinstance(content.get("errors"), list):  # of the graph
        return "; ".join(str(each.get("message")) for each in content["errors"] if isinstance(each, dict))[:2000]
    said = content.get("error") or content.get("message") if isinstance(content, dict) else None
    return str(said or text)[:300]
