"""What Secrets of each form say of a cluster, and what is said of those that are wrong."""

import base64
import json
from typing import Any

import pytest

from fleet.kubernetes.auth.exec_plugin import ExecPlugin
from fleet.kubernetes.auth.kubeconfig import Access
from fleet.kubernetes.sources.cluster_secrets import ClusterSecret, cluster_secrets

CAPI = {"cluster.x-k8s.io/cluster-name": "c1"}
ARGO = {"argocd.argoproj.io/secret-type": "cluster"}
PLANTED = "PLANTED-SECRET"
PEM = base64.b64encode(b"pem").decode()
V1 = "client.authentication.k8s.io/v1"


def read(
    name: str, labels: dict[str, str], data: dict[str, Any], *, programs: bool = False, own: bool = True
) -> ClusterSecret:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    item = {"metadata": {"name": name, "namespace": "ns", "labels": labels}, "data": encoded}
    body = json.dumps({"kind": "SecretList", "metadata": {"resourceVersion": "1"}, "items": [item]}).encode()
    codec = cluster_secrets("ns", "any", programs=programs, own=own)
    assert (codec.path, codec.query) == ("/api/v1/namespaces/ns/secrets", {"labelSelector": "any"})
    (record,) = codec.decode_list(body, "host").records
    return record


def kubeconfig(
    user: Any = None, current: str | None = "k", contexts: tuple[str, ...] = ("k",), place: Any = None
) -> str:
    return json.dumps(
        {
            "current-context": current,
            "clusters": [{"name": "k", "cluster": {"server": "https://a:1", **(place or {})}}],
            "users": [{"name": "k", "user": user or {"token": PLANTED}}],
            "contexts": [{"name": name, "context": {"cluster": "k", "user": "k"}} for name in contexts],
        }
    )


def argo(config: Any = None, server: str = "https://a:1", **more: str) -> dict[str, str]:
    written = config if isinstance(config, str) else json.dumps(config or {"bearerToken": PLANTED})
    return {"server": server, "config": written, **more}


def way_of(secret: ClusterSecret) -> Access:
    assert isinstance(secret.way, Access), secret.way
    return secret.way


@pytest.mark.parametrize(
    ("name", "labels", "data", "cluster"),
    [
        ("c1-kubeconfig", CAPI, {"value": kubeconfig()}, "c1"),
        ("cluster-a-123", ARGO, argo(name=" prod eu "), "prod eu"),
        ("cluster-a-123", ARGO, argo(name=""), "cluster-a-123"),
        ("mine", {"team": "a"}, {"kubeconfig": kubeconfig(), "value": "?"}, "mine"),
        ("mine", {"team": "a"}, {"value": kubeconfig(current=None)}, "mine"),
    ],
)
def test_each_form_is_a_cluster(name: str, labels: dict[str, str], data: dict[str, Any], cluster: str) -> None:
    secret = read(name, labels, data)
    assert (secret.name, secret.cluster, secret.labels) == (f"ns/{name}", cluster, tuple(labels.items()))
    assert (way_of(secret).endpoint, way_of(secret).token) == ("https://a:1", PLANTED)
    assert PLANTED not in repr(secret)


@pytest.mark.parametrize("name", ["c1-ca", "c1-etcd", "c1-user-kubeconfig", "c2-kubeconfig"])
def test_other_secrets_of_a_cluster_api_cluster_are_no_clusters(name: str) -> None:
    assert read(name, CAPI, {"value": PLANTED, "tls.key": PLANTED}) == ClusterSecret(f"ns/{name}", "")


def test_all_that_argo_cd_says_counts() -> None:
    tls = {"serverName": "n", "caData": PEM, "certData": PEM, "keyData": PEM}
    way = way_of(read("a", ARGO, argo({"tlsClientConfig": tls, "proxyUrl": "http://p:1"}, namespaces="x", project="y")))
    assert (way.server_name, way.proxy) == ("n", "http://p:1")
    assert (way.tls.ca, way.tls.client_certificate, way.tls.client_key) == (b"pem", b"pem", b"pem")
    insecure = way_of(read("a", ARGO, argo({"username": "u", "password": "p", "tlsClientConfig": {"insecure": True}})))
    assert (insecure.basic, list(insecure.tls.disabled)) == (("u", "p"), ["*"])


def test_argo_cd_s_own_cluster_is_the_host_unless_a_credential_is_given() -> None:
    own = "https://kubernetes.default.svc"
    assert read("a", ARGO, argo({"tlsClientConfig": {}}, own, name="in-cluster")).way is None
    assert read("a", ARGO, {"server": own, "name": "in-cluster"}).way is None
    assert way_of(read("a", ARGO, argo(server=own))).token == PLANTED
    assert "takes a namespace that is named" in str(read("a", ARGO, {"server": own}, own=False).way)


@pytest.mark.parametrize(
    ("data", "plugin"),
    [
        (
            argo({"execProviderConfig": {"command": "c", "args": ["a"], "env": {"n": "v"}, "apiVersion": V1}}),
            ExecPlugin("c", ("a",), (("n", "v"),), V1),
        ),
        (
            argo({"awsAuthConfig": {"clusterName": "k", "roleARN": "r", "profile": "p"}}),
            ExecPlugin(
                "aws",
                ("eks", "get-token", "--cluster-name", "k", "--role-arn", "r", "--profile", "p", "--output", "json"),
                (),
                f"{V1}beta1",
            ),
        ),
        (
            {"kubeconfig": kubeconfig({"exec": {"command": "c", "apiVersion": V1}})},
            ExecPlugin("c", (), (), V1),
        ),
    ],
)
def test_programs_are_run_only_where_that_is_allowed(data: dict[str, str], plugin: ExecPlugin) -> None:
    labels = ARGO if "config" in data else {}
    assert way_of(read("a", labels, data, programs=True)).plugin == plugin
    assert "is refused, it would make its reader run a program" in str(read("a", labels, data).way)


FILE_NAMED = "names a file on the disk of whoever reads it"
WRONG: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "nothing": (CAPI, {}, "it has no key 'value', or nothing in it"),
    "nothing of a user's own": ({}, {"x": PLANTED}, "it has no key 'kubeconfig' and no key 'value', or nothing in it"),
    "another's key": (CAPI, {"kubeconfig": kubeconfig()}, "it has no key 'value'"),
    "no kubeconfig": (CAPI, {"value": PLANTED}, "its kubeconfig can't be read: not a mapping of kind Config"),
    "no YAML": (CAPI, {"value": f"{PLANTED}: ["}, "its kubeconfig can't be read: not YAML (line"),
    "too much": (CAPI, {"value": "#" * 70_000}, "its kubeconfig has more than 65536 bytes"),
    "too deep": (CAPI, {"value": "[" * 1000}, "its kubeconfig is nested deeper than any"),
    "too many": (CAPI, {"value": f"x: [{','.join(['{y}'] * 15_000)}]"}, "its kubeconfig has more entries than any"),
    "no context": (CAPI, {"value": kubeconfig(current=None, contexts=())}, "no current-context and 0 contexts"),
    "two contexts": (CAPI, {"value": kubeconfig(current=None, contexts=("a", "b"))}, "and 2 contexts: name one"),
    "another context": (CAPI, {"value": kubeconfig(current="z")}, "the kubeconfig has no context 'z'"),
    "no server": (CAPI, {"value": kubeconfig(place={"server": ""})}, "server is empty"),
    "a token file": (
        CAPI,
        {"value": kubeconfig({"tokenFile": "/etc/shadow"})},
        f"tokenFile is refused, it {FILE_NAMED}",
    ),
    "a certificate's file": (CAPI, {"value": kubeconfig({"client-certificate": "c"})}, FILE_NAMED),
    "a key's file": (CAPI, {"value": kubeconfig({"client-key": "c"})}, FILE_NAMED),
    "an authority's file": (CAPI, {"value": kubeconfig(place={"certificate-authority": "c"})}, FILE_NAMED),
    "a provider": (CAPI, {"value": kubeconfig({"auth-provider": {"name": "gcp"}})}, "auth-provider is refused"),
    "impersonation": (CAPI, {"value": kubeconfig({"token": PLANTED, "as": "root"})}, "impersonation) is not supported"),
    "argo: no server": (ARGO, {"config": "{}"}, "it has no key 'server'"),
    "argo: no JSON": (ARGO, argo(f"{{{PLANTED}"), "key 'config' is not JSON"),
    "argo: no object": (ARGO, argo(f'"{PLANTED}"'), "key 'config' is not a JSON object"),
    "argo: odd server": (ARGO, argo(server="ftp://a"), "server 'ftp://a' must be https://"),
    "argo: odd type": (
        ARGO,
        argo({"tlsClientConfig": {"insecure": "no"}}),
        "config.tlsClientConfig.insecure must be true or false, not text",
    ),
    "argo: odd base64": (
        ARGO,
        argo({"tlsClientConfig": {"caData": "?"}}),
        "config.tlsClientConfig.caData is not base64",
    ),
    "argo: no key": (
        ARGO,
        argo({"tlsClientConfig": {"certData": PEM}}),
        "config.tlsClientConfig.certData and keyData must both be given",
    ),
    "argo: both": (
        ARGO,
        argo({"bearerToken": PLANTED, "username": "u", "password": PLANTED}),
        "config.bearerToken and username or password are both given",
    ),
    "argo: insecure with an authority": (
        ARGO,
        argo({"tlsClientConfig": {"insecure": True, "caData": PEM}}),
        "config.tlsClientConfig.insecure and caData are both given",
    ),
    "argo: a name of two lines": (ARGO, argo(name="a\nb"), "key 'name' must have at most 253 characters, all of them"),
    "argo: a long name": (ARGO, argo(name="a" * 254), "key 'name' must have at most 253 characters, all of them"),
    "argo: a name that turns text round": (ARGO, argo(name="a\u202eb"), "all of them printable"),
    "argo: odd proxy": (ARGO, argo({"proxyUrl": f"ftp://u:{PLANTED}@p"}), "config.proxyUrl the value must be http://"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_of_the_secret_and_holds_nothing_of_it(case: str) -> None:
    labels, data, words = WRONG[case]
    secret = read("c1-kubeconfig", labels, data)
    assert secret.cluster == ("c1" if labels is CAPI else "c1-kubeconfig")
    assert str(secret.way).startswith("Secret ns/c1-kubeconfig: ")
    assert words in str(secret.way)
    assert PLANTED not in str(secret.way)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"value": "?"}, "key 'value' is not base64"),
        ({"name": "/w==", "server": "YQ=="}, "key 'name' is not text"),
    ],
)
def test_values_of_any_bytes_are_read(data: dict[str, str], words: str) -> None:
    labels = ARGO if "server" in data else CAPI
    item = {"metadata": {"name": "c1-kubeconfig", "namespace": "ns", "labels": labels}, "data": data}
    body = json.dumps({"kind": "SecretList", "metadata": {"resourceVersion": "1"}, "items": [item]}).encode()
    (record,) = cluster_secrets(None, "any", programs=False, own=False).decode_list(body, "host").records
    assert words in str(record.way)
