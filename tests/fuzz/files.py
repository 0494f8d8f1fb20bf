"""Parsers of files and settings, and of kubeconfigs that are handed in."""

import asyncio
import base64
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml
from hypothesis import strategies as st

from auth.access_tokens import load_access_tokens
from auth.errors import FileInvalid
from auth.oidc.configuration import load_issuers
from auth.oidc.errors import IssuerInvalid
from auth.users import load_users, parse_users
from fleet.kubernetes.auth.exec_plugin import ExecPlugin, load_exec_credential
from fleet.kubernetes.auth.kubeconfig import KubeconfigError, build_kubeconfig, load_access
from fleet.kubernetes.auth.kubeconfig_yaml import load_first_document
from fleet.kubernetes.sources.access import CredentialError
from fleet.kubernetes.sources.cluster_secrets import ARGO_LABEL, cluster_secrets
from fleet.kubernetes.sources.submitted import read_server, read_submitted
from fleet.model.errors import InvalidQuery
from fleet.model.unreadable import load_yaml
from graph.http.persisted_manifest import ManifestInvalid, read_manifest
from rest_compat.routes.token import _first_values, _read_json
from server.commands.kubeconfig import parse_server
from server.settings.environment import SettingsInvalid, list_variables, load_settings
from server.settings.units import (
    check_networks,
    check_origins,
    parse_bytes,
    parse_names,
    parse_paths,
    parse_seconds,
    parse_word,
    parse_words,
)
from tests.fuzz.hostile import ODD_VALUES, as_json, spoilt, spoilt_json, texts, yaml_of
from tests.fuzz.parsers import Parser

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG"
USER = {
    "name": "alice",
    "password_hash": HASH,
    "role": "edit",
    "clusters": ["*"],
    "namespaces": ["a"],
    "groups": ["g"],
    "writes": ["widgets.acme.io"],
    "signed_out_at": 1,
}
TOKEN = {
    "name": "deploy",
    "owner": "alice",
    "digest": f"sha256:{'0' * 64}",
    "owner_entry": "e",
    "role": "view",
    "created_at": 1,
    "expires_at": 2,
    "clusters": ["*"],
    "namespaces": ["a"],
}
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "c",
    "preferences": {"colors": True},
    "clusters": [
        {
            "name": "c",
            "cluster": {"server": "https://a:1", "certificate-authority-data": "YQ==", "tls-server-name": "n"},
        }
    ],
    "users": [
        {"name": "u", "user": {"token": "t"}},
        {
            "name": "x",
            "user": {
                "exec": {
                    "apiVersion": "client.authentication.k8s.io/v1",
                    "command": "c",
                    "args": ["a"],
                    "env": [{"name": "n", "value": "v"}],
                    "interactiveMode": "Never",
                }
            },
        },
        {"name": "p", "user": {"auth-provider": {"name": "oidc", "config": {"id-token": "a"}}}},
    ],
    "contexts": [
        {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "n"}},
        {"name": "x", "context": {"cluster": "c", "user": "x", "extensions": [{"name": "e", "extension": {}}]}},
        {"name": "p", "context": {"cluster": "c", "user": "p"}},
    ],
}
ARGO = {
    "username": "u",
    "password": "p",
    "bearerToken": "t",
    "tlsClientConfig": {"insecure": False, "serverName": "n", "caData": "YQ==", "certData": "YQ==", "keyData": "YQ=="},
    "execProviderConfig": {"command": "c", "args": ["a"], "env": {"n": "v"}, "apiVersion": "v", "installHint": "h"},
    "awsAuthConfig": {"clusterName": "c", "roleARN": "r", "profile": "p"},
    "proxyUrl": "http://p:1",
}
LINES = (
    "apiVersion: v1",
    "kind: Config",
    "clusters:",
    "- name: c",
    "  cluster: {server: https://a}",
    "users:",
    "  user: {token: t}",
    "contexts:",
    "current-context: c",
    "- name: alice",
    "  role: view",
    "OPENMCP_PORT: 1",
)
CREDENTIAL = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "kind": "ExecCredential",
    "status": {
        "token": "t",
        "expirationTimestamp": "2026-01-01T00:00:00Z",
        "clientCertificateData": "c",
        "clientKeyData": "k",
    },
}
ISSUERS = {
    "apiVersion": "apiserver.config.k8s.io/v1",
    "kind": "AuthenticationConfiguration",
    "jwt": [
        {
            "issuer": {"url": "https://a", "audiences": ["b"], "certificateAuthority": "c"},
            "claimMappings": {"username": {"claim": "sub", "prefix": "a:"}, "groups": {"claim": "g", "prefix": ""}},
            "claimValidationRules": [{"claim": "hd", "requiredValue": "a"}],
        }
    ],
}
VARIABLES = [name for variable in list_variables() for name in (variable.name, *variable.aliases)]
WRITTEN = (
    "1",
    "0",
    "-",
    ".",
    "s",
    "m",
    "h",
    "Ki",
    "Gi",
    "true",
    "kubefed",
    "https://",
    "a",
    ":",
    ",",
    "/",
    "~",
    "10.0.0.0/8",
    "[",
    "*",
)


def of_file(load: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Fed by a file that has the content."""

    def call(content: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "file")
            file.write_bytes(content)
            return load(file)

    return call


def read_contexts(content: bytes) -> None:
    """A member source's reading: each context by itself."""
    config = build_kubeconfig({Path("/nowhere/config"): content})
    for name in config.contexts:
        try:
            load_access(config, name)
        except KubeconfigError:
            continue


def run_plugin(printed: bytes) -> None:
    program = "import os, sys; sys.stdout.buffer.write(bytes.fromhex(os.environ['PRINTED']))"
    variables = (("PRINTED", printed[:10_000].hex()),)
    plugin = ExecPlugin(sys.executable, ("-Ic", program), variables, "client.authentication.k8s.io/v1", None, None)
    asyncio.run(load_exec_credential(plugin, 60))


def read_secret(data: dict[str, bytes]) -> None:
    """A Secret of any content is a member, ill or well."""
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    labels = {ARGO_LABEL: "cluster"} if "config" in data else {}
    item = {"metadata": {"name": "a", "namespace": "b", "labels": labels}, "data": encoded}
    body = as_json({"kind": "SecretList", "metadata": {"resourceVersion": "1"}, "items": [item]})
    for programs in (True, False):
        (secret,) = cluster_secrets(None, "a", programs=programs, own=programs).decode_list(body, "c").records
        assert secret.cluster


def load_written(given: dict[str, str]) -> None:
    load_settings(given)


FILES = (
    Parser(
        of_file(load_issuers),
        spoilt_json(ISSUERS) | yaml_of(*LINES),
        (IssuerInvalid,),
        ("auth.oidc.configuration.load_issuers",),
    ),
    Parser(load_yaml, yaml_of(*LINES), (yaml.YAMLError,)),
    Parser(load_first_document, yaml_of(*LINES), (yaml.YAMLError,)),
    Parser(lambda content: parse_users(content, "f"), spoilt([USER]), (FileInvalid,), ("auth.users.parse_users",)),
    Parser(of_file(load_users), spoilt_json([USER]) | yaml_of(*LINES), (FileInvalid,), ("auth.users.load_users",)),
    Parser(
        of_file(load_access_tokens),
        spoilt_json([TOKEN]) | yaml_of(*LINES),
        (FileInvalid,),
        ("auth.access_tokens.load_access_tokens",),
    ),
    Parser(
        read_contexts, spoilt_json(KUBECONFIG) | yaml_of(*LINES), (), ("fleet.kubernetes.auth.kubeconfig.load_access",)
    ),
    *(
        Parser(read, spoilt_json(KUBECONFIG) | yaml_of(*LINES), (InvalidQuery,))
        for read in (read_submitted, read_server)
    ),
    *(
        Parser(read_secret, secrets, (), (f"fleet.kubernetes.sources.cluster_secrets.cluster_secrets, {form}",))
        for form, secrets in (
            ("kubeconfig", (spoilt_json(KUBECONFIG) | yaml_of(*LINES)).map(lambda value: {"value": value})),
            (
                "argo",
                spoilt_json(ARGO).map(lambda config: {"name": b"a", "server": b"https://a:1", "config": config}),
            ),
        )
    ),
    Parser(
        of_file(read_manifest),
        spoilt_json(
            {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id": "a", "body": "{ a }"}]}
        )
        | spoilt_json({"a": "{ a }"}),
        (ManifestInvalid,),
        ("graph.http.persisted_manifest.read_manifest",),
    ),
    Parser(
        load_written,
        st.dictionaries(st.sampled_from(VARIABLES), texts(*WRITTEN), max_size=4),
        (SettingsInvalid,),
        ("server.settings.environment.load_settings",),
    ),
    Parser(
        of_file(lambda file: load_settings({}, file)),
        yaml_of(*LINES, *(f"{name}: 1" for name in VARIABLES)),
        (SettingsInvalid,),
        ("server.settings.environment.load_settings, files",),
    ),
    *(
        Parser(parse, texts(*WRITTEN) | st.sampled_from(ODD_VALUES), (ValueError,))
        for parse in (parse_seconds, parse_bytes, parse_names, parse_paths, parse_word, parse_words)
    ),
    *(
        Parser(check, texts(*WRITTEN).map(lambda text: (text,)), (ValueError,))
        for check in (check_networks, check_origins)
    ),
    Parser(parse_server, texts(*WRITTEN), (ValueError,)),
    Parser(
        _read_json,
        spoilt({"username": "a", "Password": "b"})
        .map(lambda value: as_json(value).decode("utf-8", "replace"))
        .filter(lambda text: text.startswith("{")),
        (InvalidQuery,),
    ),
    Parser(_first_values, texts("username", "=", "&", "%", "password", "+"), (InvalidQuery,)),
)
"""All but credential plugins, which are programs: fewer of those are run."""

PLUGINS = (
    Parser(
        run_plugin,
        spoilt_json(CREDENTIAL),
        (CredentialError,),
        ("fleet.kubernetes.auth.exec_plugin.load_exec_credential",),
    ),
)
