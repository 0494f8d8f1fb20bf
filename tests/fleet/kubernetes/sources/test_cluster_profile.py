"""What ClusterProfiles and the providers file say, and what is wrong with them."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kubernetes.auth.kubeconfig_entries import ExecEntry
from fleet.kubernetes.sources.cluster_profile_access import (
    ProfileProblemError,
    Provider,
    Providers,
    find_access,
    load_providers,
)
from fleet.kubernetes.sources.cluster_profile_objects import ClusterProfile, cluster_profiles
from fleet.model.objects import PlatformInfo
from tests.fleet.kubernetes.certificates import Authority

EXEC_API = "client.authentication.k8s.io/v1"
EXEC: dict[str, Any] = {"apiVersion": EXEC_API, "command": "/bin/one", "args": ["get"], "provideClusterInfo": True}
PLACE: dict[str, Any] = {"server": "https://a:1"}
STATUS: dict[str, Any] = {"accessProviders": [{"name": "one", "cluster": PLACE}]}
INSECURE = {"insecure-skip-tls-verify": True}
ARGUMENTS = "clusterprofiles.multicluster.x-k8s.io/exec/additional-args"
VARIABLES = "clusterprofiles.multicluster.x-k8s.io/exec/additional-envs"


def profile(status: Any = None, labels: dict[str, str] | None = None, **spec: Any) -> ClusterProfile:
    body = {
        "metadata": {"name": "m", "namespace": "ns", "labels": labels},
        "spec": {"clusterManager": {"name": "manager"}, **spec},
        "status": status,
    }
    return cluster_profiles(None).build(json.dumps(body).encode(), "hub")


def providers_file(folder: Path, *providers: dict[str, Any]) -> Path:
    path = folder / "providers.json"
    path.write_text(json.dumps({"providers": providers or [{"name": "one", "execConfig": EXEC}]}))
    return path


def offered(provider: str = "one", /, **fields: Any) -> dict[str, Any]:
    return {"accessProviders": [{"name": provider, "cluster": {**PLACE, **fields}}]}


def test_the_first_provider_of_the_file_counts_that_the_profile_has(tmp_path: Path) -> None:
    execs = {name: {**EXEC, "command": f"/bin/{name}"} for name in ("none", "two", "one")}
    path = providers_file(tmp_path, *({"name": name, "execConfig": config} for name, config in execs.items()))
    both = [{"name": name, "cluster": {"server": f"https://{name}"}} for name in ("one", "two")]
    access = find_access(profile({"accessProviders": both}), load_providers(path))
    assert access.endpoint == "https://two"
    assert access.plugin is not None
    assert access.plugin.command == "/bin/two"


def test_the_older_field_counts_where_the_newer_has_not_the_name(tmp_path: Path) -> None:
    older = [{"name": name, "cluster": {"server": "https://older"}} for name in ("one", "two")]
    two = providers_file(tmp_path, {"name": "two", "execConfig": EXEC})
    status = {**STATUS, "credentialProviders": older}
    assert find_access(profile(status), load_providers(two)).endpoint == "https://older"
    assert find_access(profile(status), load_providers(providers_file(tmp_path))).endpoint == "https://a:1"


def test_the_plugin_is_told_of_its_cluster(tmp_path: Path) -> None:
    authority = Authority().pem
    config = {"clusterName": "m"}
    place: dict[str, Any] = {
        "certificate-authority-data": base64.b64encode(authority).decode(),
        "tls-server-name": "inside",
        "proxy-url": "http://proxy:1",
        "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": config}],
    }
    access = find_access(profile(offered(**place)), load_providers(providers_file(tmp_path)))
    assert (access.tls.ca, access.server_name, access.proxy) == (authority, "inside", "http://proxy:1")
    assert access.plugin is not None
    assert access.plugin.cluster is not None
    assert access.plugin.cluster["config"] == config
    assert access.plugin.cluster["server"] == "https://a:1"


@pytest.mark.parametrize(
    ("policies", "arguments", "environment"),
    [
        ({}, ("get",), {"A": "file"}),
        ({"profileSourcedCLIArgsPolicy": "Ignore", "profileSourcedEnvVarsPolicy": "Ignore"}, ("get",), {"A": "file"}),
        ({"profileSourcedCLIArgsPolicy": "Append"}, ("get", "--from=profile"), {"A": "file"}),
        ({"profileSourcedEnvVarsPolicy": "AppendIfNotExists"}, ("get",), {"A": "file", "B": "profile"}),
        ({"profileSourcedEnvVarsPolicy": "Replace"}, ("get",), {"A": "profile", "B": "profile"}),
    ],
)
def test_profiles_add_to_a_plugin_what_the_file_lets_them(
    tmp_path: Path, policies: dict[str, str], arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    config = {**EXEC, "env": [{"name": "A", "value": "file"}]}
    path = providers_file(tmp_path, {"name": "one", "execConfig": config, **policies})
    extensions = [
        {"name": ARGUMENTS, "extension": ["--from=profile"]},
        {"name": VARIABLES, "extension": {"A": "profile", "B": "profile"}},
    ]
    plugin = find_access(profile(offered(extensions=extensions)), load_providers(path)).plugin
    assert plugin is not None
    assert (plugin.arguments, dict(plugin.environment)) == (arguments, environment)


def test_a_relative_command_starts_from_the_file(tmp_path: Path) -> None:
    path = providers_file(tmp_path, {"name": "one", "execConfig": {**EXEC, "command": "bin/one"}})
    plugin = find_access(profile(STATUS), load_providers(path)).plugin
    assert plugin is not None
    assert plugin.command == str(tmp_path / "bin/one")


WRONG_PROFILES: dict[str, tuple[Any, str]] = {
    "no status": (None, r"status\.accessProviders is empty: its cluster manager \(manager\) has to say"),
    "odd status": ({"accessProviders": "x", "conditions": 5, "properties": [1]}, r"status\.accessProviders is empty"),
    "unknown provider": (offered("other"), r"none of its access providers \(other\) is in .*providers\.json, which"),
    "no cluster": ({"accessProviders": [{"name": "one"}]}, "access provider one: server is empty"),
    "odd server": (offered(server="ftp://a"), "access provider one: server 'ftp://a' must be https"),
    "in the clear": (offered(server="http://a"), "one: server must be https://, or others read what it is sent"),
    "number": (offered(server=5), "access provider one: server must be text, not a number"),
    "no base64": (offered(**{"certificate-authority-data": "?"}), "one: certificate-authority-data is not base64"),
    "a file": (offered(**{"certificate-authority": "/etc/shadow"}), "one: certificate-authority names a file, must be"),
    "both": (
        {"accessProviders": [{"name": "one", "cluster": {**PLACE, "certificate-authority-data": "YQ==", **INSECURE}}]},
        "one: insecure-skip-tls-verify and a certificate authority are both given",
    ),
    "odd proxy": (offered(**{"proxy-url": "socks4://x"}), "one: proxy-url the value must be http"),
    "odd arguments": (
        offered(extensions=[{"name": ARGUMENTS, "extension": {"a": 1}}]),
        "one: extension .*/additional-args is not as KEP-5339 has it: Expected `array`",
    ),
    "odd variables": (
        offered(extensions=[{"name": VARIABLES, "extension": {"a": 1}}]),
        "one: extension .*/additional-envs is not as KEP-5339 has it: Expected `str`",
    ),
}


@pytest.mark.parametrize("case", WRONG_PROFILES)
def test_what_is_wrong_with_a_profile_is_named(tmp_path: Path, case: str) -> None:
    status, words = WRONG_PROFILES[case]
    policies = {"profileSourcedCLIArgsPolicy": "Append", "profileSourcedEnvVarsPolicy": "Replace"}
    path = providers_file(tmp_path, {"name": "one", "execConfig": EXEC, **policies})
    with pytest.raises(ProfileProblemError, match=f"^ClusterProfile ns/m: .*{words}"):
        find_access(profile(status), load_providers(path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["server", "certificate-authority-data", "tls-server-name", "proxy-url", "extensions"])
PLACES = JSON | st.dictionaries(NAMES, JSON) | st.builds(lambda value: {**PLACE, "extensions": value}, st.lists(JSON))
PROVIDERS = JSON | st.lists(
    st.builds(lambda name, place: {"name": name, "cluster": place}, st.just("one") | JSON, PLACES)
)
STATUSES = JSON | st.fixed_dictionaries(
    {"accessProviders": PROVIDERS, "credentialProviders": PROVIDERS, "conditions": JSON, "properties": JSON}
)


@settings(max_examples=int(os.environ.get("FUZZ_CASES", "150")), deadline=None)
@given(STATUSES)
def test_whatever_a_status_holds_is_an_access_or_a_problem_of_its_own(status: object) -> None:
    provider = Provider("one", ExecEntry(command="/bin/one", api_version=EXEC_API), "Append", "Replace")
    try:
        found = find_access(profile(status), Providers(Path("/providers"), {"one": provider}))
    except ProfileProblemError as error:
        said = str(error)
    else:
        said = f"ClusterProfile ns/m: {found.plugin}"
    assert said.startswith("ClusterProfile ns/m: ")


WRONG_FILES: dict[str, tuple[str | None, str]] = {
    "none": (None, "can't be read: No such file"),
    "no document": ("", "can't be used: it must be a mapping"),
    "no YAML": ("{", "can't be used: it is neither JSON nor YAML"),
    "a list": ("[]", "can't be used: it must be a mapping"),
    "no providers": ("{}", "can't be used: Object missing required field `providers`"),
    "no exec": ('{"providers": [{"name": "one"}]}', r"missing required field `execConfig` - at `\$\.providers\[0\]`"),
    "odd command": (
        '{"providers": [{"name": "one", "execConfig": {"command": 1}}]}',
        r"Expected `str \| null`, got `int` - at",
    ),
    "no command": ('{"providers": [{"name": "one", "execConfig": {}}]}', "one: exec.command is missing"),
    "odd version": ('{"providers": [{"name": "one", "execConfig": {"command": "x"}}]}', "exec.apiVersion must be"),
    "twice": (json.dumps({"providers": [{"name": "one", "execConfig": EXEC}] * 2}), "provider 'one' is there twice"),
    "odd policy": (
        json.dumps({"providers": [{"name": "one", "execConfig": EXEC, "profileSourcedCLIArgsPolicy": "Replace"}]}),
        "provider 'one': profileSourcedCLIArgsPolicy must be Ignore or Append",
    ),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_what_is_wrong_with_the_providers_file_is_named(tmp_path: Path, case: str) -> None:
    content, words = WRONG_FILES[case]
    path = tmp_path / "providers"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ProfileProblemError, match=words):
        find_access(profile(STATUS), load_providers(path))


def test_properties_are_labels_and_the_objects_own_win() -> None:
    properties = [
        {"name": "topology.kubernetes.io/region", "value": "eu"},
        {"name": "topology.kubernetes.io/zone", "value": "eu-1"},
        {"name": "platform.open-cluster-management.io", "value": "AWS"},
        {"name": "env", "value": "of the property"},
    ]
    made = profile({"properties": properties}, {"env": "prod"})
    assert dict(made.labels) == {
        "env": "prod",
        "platform.open-cluster-management.io": "AWS",
        "topology.kubernetes.io/region": "eu",
        "topology.kubernetes.io/zone": "eu-1",
        "x-k8s.io/cluster-manager": "manager",
    }
    assert list(made.labels) == sorted(made.labels)
    assert made.info == PlatformInfo("AWS", "eu", ("eu-1",))


@pytest.mark.parametrize(
    ("conditions", "offline"),
    [
        ([], None),
        ([{"type": "ControlPlaneHealthy", "status": "True"}], None),
        ([{"type": "ControlPlaneHealthy", "status": "Unknown", "message": "no word"}], None),
        (
            [{"type": "ControlPlaneHealthy", "status": "False", "message": "it is gone"}],
            "ControlPlaneHealthy is False: it is gone",
        ),
        ([{"type": "Joined", "status": "False", "reason": "Denied"}], "Joined is False: Denied"),
        ([{"type": "Joined", "status": "False"}], "Joined is False"),
    ],
)
def test_offline_is_what_its_manager_denies(conditions: list[dict[str, str]], offline: str | None) -> None:
    assert profile({"conditions": conditions}).offline == offline
