"""What the environment and the file may say, and what is said about what they may not."""

import re
from pathlib import Path

import pytest

from server.settings.environment import SettingsInvalid, list_variables, load_settings, mask_user, unknown_variables
from server.settings.groups import Settings

KEY = "0123456789abcdef"


def problems(environ: dict[str, str], config_file: Path | None = None) -> list[str]:
    with pytest.raises(SettingsInvalid) as raised:
        load_settings(environ, config_file)
    return raised.value.problems


def test_nothing_set_is_every_default() -> None:
    settings = load_settings({})

    assert (settings.http.port, settings.http.ops_port, settings.http.plain_port) == (8080, 8081, None)
    assert (settings.timeouts.member_timeout, settings.timeouts.request_timeout) == (5.0, 8.0)
    assert (settings.clusters.cluster_source, settings.metrics.metric_store) == (("kubeconfig",), "embedded")
    assert settings.clusters.kubeconfig == (Path("~/.kube/config").expanduser(),)
    assert settings.auth.signing_key is None


def test_the_original_s_names_stay_valid() -> None:
    settings = load_settings(
        {
            "API_APP_KEY": KEY,
            "API_USER_NAME": "openmcp",
            "API_USER_PW": "keti",
            "INFLUX_IP": "10.0.3.20",
            "INFLUX_PORT": "30003",
            "INFLUX_USERNAME": "root",
            "INFLUX_PASSWORD": "toor",
        }
    )

    assert settings.auth.signing_key is not None
    assert settings.auth.signing_key.get_secret_value() == KEY
    assert settings.auth.user_name == "openmcp"
    assert (settings.metrics.metric_store, settings.metrics.influx_address) == ("influxql", "http://10.0.3.20:30003")
    assert settings.metrics.influx_username == "root"


def test_the_name_with_our_prefix_wins_and_an_empty_one_is_not_set() -> None:
    one = load_settings({"OPENMCP_INFLUX_HOST": "a", "INFLUX_IP": "b"})
    other = load_settings({"OPENMCP_INFLUX_HOST": "", "INFLUX_IP": "b"})

    assert (one.metrics.influx_host, other.metrics.influx_host) == ("a", "b")


@pytest.mark.parametrize(
    ("environ", "source", "kubeconfig"),
    [
        ({}, "kubeconfig", ("~/.kube/config",)),
        ({"KUBECONFIG": "/a:/b"}, "kubeconfig", ("/a", "/b")),
        ({"KUBECONFIG": "/a", "OPENMCP_KUBECONFIG": "/c:"}, "kubeconfig", ("/c",)),
        ({"OPENMCP_HOST_CONTEXT": "openmcp"}, "kubefed", ("~/.kube/config",)),
        ({"OPENMCP_HOST_CONTEXT": "x", "OPENMCP_CLUSTER_SOURCE": "kubeconfig"}, "kubeconfig", ("~/.kube/config",)),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, "kubefed", ()),
        (
            {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "OPENMCP_CLUSTER_SOURCE": "Kubeconfig"},
            "kubeconfig",
            ("~/.kube/config",),
        ),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "OPENMCP_KUBECONFIG": "/a"}, "kubefed", ("/a",)),
        (
            {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "OPENMCP_CLUSTER_SOURCE": " KubeFed, kubeconfig ,"},
            "kubefed,kubeconfig",
            ("~/.kube/config",),
        ),
    ],
)
def test_where_clusters_come_from_depends_on_where_the_server_runs(
    environ: dict[str, str], source: str, kubeconfig: tuple[str, ...]
) -> None:
    clusters = load_settings(environ).clusters

    assert ",".join(clusters.cluster_source) == source
    assert clusters.kubeconfig == tuple(Path(path).expanduser() for path in kubeconfig)


def test_a_source_is_named_once() -> None:
    (problem,) = problems({"OPENMCP_CLUSTER_SOURCE": "kubeconfig,KubeConfig"})
    assert problem.endswith("separated by commas; a list in a file (kubeconfig is named twice)")


def test_secrets_are_of_namespaces_that_are_named() -> None:
    given = {"OPENMCP_CLUSTER_SOURCE": "secrets", "OPENMCP_SECRETS_SELECTOR": "env in (prod"}
    (selector,) = problems({**given, "OPENMCP_SECRETS_NAMESPACE": "*"})
    assert selector.startswith("OPENMCP_SECRETS_SELECTOR is 'env in (prod', must be a label selector")
    (namespace,) = problems({**given, "OPENMCP_SECRETS_SELECTOR": ""})
    assert namespace.startswith("OPENMCP_SECRETS_NAMESPACE is not set, must name the namespaces")


@pytest.mark.parametrize(
    ("environ", "files"),
    [
        ({"OPENMCP_CLUSTER_SOURCE": "kubefed,kubeconfig", "OPENMCP_KUBERNETES_HOST": "h"}, ()),
        ({"OPENMCP_CLUSTER_SOURCE": "kubefed", "OPENMCP_KUBERNETES_HOST": "h"}, ("/a",)),
        (
            {
                "OPENMCP_CLUSTER_SOURCE": "kubefed,kubeconfig",
                "OPENMCP_KUBERNETES_HOST": "h",
                "OPENMCP_HOST_CONTEXT": "c",
            },
            ("/a",),
        ),
        ({"OPENMCP_CLUSTER_SOURCE": "kubefed,kubeconfig"}, ("/a",)),
    ],
)
def test_in_a_pod_files_for_the_source_kubeconfig_do_not_lead_to_the_host(
    environ: dict[str, str], files: tuple[str, ...]
) -> None:
    clusters = load_settings({**environ, "OPENMCP_KUBECONFIG": "/a"}).clusters
    assert clusters.host_files == tuple(map(Path, files))


@pytest.mark.parametrize(
    ("written", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("1d", 86400)]
)
def test_a_duration_is_written_in_several_ways(written: str, seconds: float) -> None:
    assert load_settings({"OPENMCP_USAGE_LOOKBACK": written}).metrics.usage_lookback == seconds


@pytest.mark.parametrize(("written", "size"), [("2097152", 2097152), ("2Mi", 2097152), ("1Gi", 1 << 30)])
def test_a_size_is_written_in_several_ways(written: str, size: int) -> None:
    assert load_settings({"OPENMCP_EMBEDDED_MAX_BYTES": written}).metrics.embedded_max_bytes == size


@pytest.mark.parametrize(
    ("name", "value", "may_be"),
    [
        ("OPENMCP_PORT", "99999", "a port, 0 to 65535"),
        ("OPENMCP_PORT", "http", "a port, 0 to 65535"),
        ("OPENMCP_OPS_PORT", "-1", "a port, 0 to 65535"),
        ("INFLUX_PORT", "0", "a port, 1 to 65535"),
        ("OPENMCP_METRIC_STORE", "flux2", "influxql (InfluxDB 1.x), flux (2.x), prometheus ("),
        (
            "OPENMCP_CLUSTER_SOURCE",
            "kubefed,karmada",
            "kubefed, clusterprofile, secrets, kubeconfig, or several of them",
        ),
        ("OPENMCP_CLUSTER_SOURCE", ",", "kubefed, clusterprofile, secrets, kubeconfig, or several of them"),
        ("OPENMCP_AUTHORIZATION", "none", "roles"),
        ("OPENMCP_LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("OPENMCP_LOG_FORMAT", "xml", "text or json"),
        ("OPENMCP_MEMBER_TIMEOUT", "soon", "a duration, 100ms to 60s"),
        ("OPENMCP_MEMBER_TIMEOUT", "nan", "a duration, 100ms to 60s"),
        ("OPENMCP_TOKEN_LIFETIME", "30s", "a duration, 1m to 24h"),
        ("OPENMCP_INFLUX_URL", "influx:8086", "an http or https URL"),
        ("INFLUX_IP", "http://influx", "an IP address or a host name"),
        ("OPENMCP_EMBEDDED_MAX_BYTES", "1Ki", "bytes, at least 1Mi"),
    ],
)
def test_a_wrong_value_names_variable_value_and_what_it_may_be(name: str, value: str, may_be: str) -> None:
    (problem,) = problems({name: value})

    assert problem.startswith(f"{name} is {value!r}, must be {may_be}")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"API_APP_KEY": "fifteen bytes!!"},
            "OPENMCP_SIGNING_KEY (or API_APP_KEY) is '***', 15 bytes, must be a secret of",
        ),
        ({"API_USER_NAME": "openmcp"}, "API_USER_PW is not set"),
        ({"API_USER_PW": "keti"}, "API_USER_NAME is not set"),
        ({"OPENMCP_TLS_CERT_FILE": "/c"}, "OPENMCP_TLS_KEY_FILE is not set"),
        ({"OPENMCP_TLS_KEY_FILE": "/k"}, "OPENMCP_TLS_CERT_FILE is not set"),
        ({"OPENMCP_PLAIN_PORT": "80"}, "OPENMCP_PLAIN_PORT is set without OPENMCP_TLS_CERT_FILE"),
        ({"OPENMCP_PORT": "8081"}, "OPENMCP_OPS_PORT is 8081, as OPENMCP_PORT is: each must be a port of its own"),
        (
            {"OPENMCP_TLS_CERT_FILE": "/c", "OPENMCP_TLS_KEY_FILE": "/k", "OPENMCP_PLAIN_PORT": "8080"},
            "OPENMCP_PLAIN_PORT is 8080, as OPENMCP_PORT is",
        ),
        (
            {"OPENMCP_TLS_CERT_FILE": "/c", "OPENMCP_TLS_KEY_FILE": "/k", "OPENMCP_PLAIN_PORT": "8081"},
            "OPENMCP_PLAIN_PORT is 8081, as OPENMCP_OPS_PORT is",
        ),
        ({"OPENMCP_USERS_FILE": "~nobody-has-this-name/u"}, "~nobody-has-this-name is no directory known here: set"),
        ({"KUBECONFIG": "~nobody-has-this-name/c"}, "OPENMCP_KUBECONFIG is not set, and its default can't be used"),
        ({"OPENMCP_METRIC_STORE": "influxql"}, "neither OPENMCP_INFLUX_URL nor INFLUX_IP is set"),
        ({"OPENMCP_METRIC_STORE": "flux"}, "neither OPENMCP_INFLUX_URL nor INFLUX_IP is set"),
        ({"OPENMCP_METRIC_STORE": "prometheus"}, "is prometheus, but OPENMCP_PROMETHEUS_URL is not set"),
        ({"OPENMCP_PROMETHEUS_URL": "http://user:pw@prom"}, "OPENMCP_PROMETHEUS_URL names a user: OPENMCP_"),
        ({"OPENMCP_PROMETHEUS_CERT_FILE": "/c"}, "OPENMCP_PROMETHEUS_KEY_FILE is not set: a certificate and its key"),
        ({"OPENMCP_PROMETHEUS_CLUSTER_VALUE": "prod"}, "must be a text that has {cluster} in it"),
        ({"OPENMCP_METRIC_STORE": "flux", "INFLUX_IP": "influx"}, "is flux, but OPENMCP_INFLUX_ORG is not set"),
        ({"OPENMCP_INFLUX_ORG": "o", "INFLUX_IP": "influx"}, "is flux, but OPENMCP_INFLUX_TOKEN is not set"),
        (
            {"OPENMCP_COLLECT_TO": "embedded,kafka"},
            "OPENMCP_COLLECT_TO has 'kafka', must be of embedded, remote-write,",
        ),
        ({"OPENMCP_COLLECT_TO": "embedded,remote-write"}, "but OPENMCP_REMOTE_WRITE_URL is not set"),
        ({"OPENMCP_COLLECT_TO": "embedded,influx"}, "has influx, but neither OPENMCP_INFLUX_URL nor INFLUX_IP is set"),
        ({"OPENMCP_COLLECT_TO": "remote-write"}, "without embedded: add it, or name the store that is read, such as"),
        ({"OPENMCP_REMOTE_WRITE_URL": "http://prometheus:9090"}, "must be an http or https URL with a path"),
        ({"OPENMCP_COLLECT_TO": "embedded", "OPENMCP_COLLECT_INTERVAL": "0s"}, "0s: nothing would be collected"),
        ({"OPENMCP_USAGE_FROM": "collector", "OPENMCP_COLLECT_INTERVAL": "0s"}, "0s: nothing would be collected"),
        ({"OPENMCP_REMOTE_WRITE_CLUSTER_LABEL": "pod"}, "is 'pod', which is another label of the same series"),
        ({"OPENMCP_REMOTE_WRITE_KEY_FILE": "k"}, "but OPENMCP_REMOTE_WRITE_CERT_FILE is not"),
        (
            {"OPENMCP_MEMBER_TIMEOUT": "8s"},
            "OPENMCP_MEMBER_TIMEOUT (8s) must be shorter than OPENMCP_REQUEST_TIMEOUT (8s)",
        ),
    ],
)
def test_settings_that_do_not_fit_together_say_so(environ: dict[str, str], said: str) -> None:
    (problem,) = problems(environ)

    assert said in problem


def test_all_problems_are_said_at_once_and_no_secret_with_them() -> None:
    found = problems({"OPENMCP_PORT": "x", "OPENMCP_LOG_LEVEL": "y", "API_APP_KEY": "hush", "API_USER_PW": "hush-hush"})

    assert len(found) == 3
    assert "hush" not in "".join(found)


def test_no_secret_is_in_the_repr_of_settings() -> None:
    settings = load_settings(
        {"API_APP_KEY": KEY, "API_USER_NAME": "a", "API_USER_PW": "hush", "INFLUX_PASSWORD": "psst"}
    )

    assert not any(secret in repr(settings) for secret in (KEY, "hush", "psst"))


def test_the_file_has_the_same_names_and_the_environment_wins(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("OPENMCP_PORT: 1234\nOPENMCP_OPS_PORT: 1235\nOPENMCP_KUBECONFIG: [/a, /b]\nINFLUX_IP: influx\n")

    settings = load_settings({"OPENMCP_PORT": "4321"}, path)

    assert (settings.http.port, settings.http.ops_port) == (4321, 1235)
    assert settings.clusters.kubeconfig == (Path("/a"), Path("/b"))
    assert settings.metrics.influx_address == "http://influx:8086"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("OPENMCP_PROT: 1", "OPENMCP_PROT is no setting, did you mean OPENMCP_PORT?"),
        ("OPENMCP_PORT: [", "not YAML"),
        ("- 1", "must be a mapping"),
        ("OPENMCP_PORT: many", "OPENMCP_PORT is 'many', must be a port"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(content)

    assert said in "".join(problems({}, path))


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("OPENMCP_SIGNIN_KEY", "OPENMCP_SIGNING_KEY"),
        ("OPENMCP_KUBECONFG", "OPENMCP_KUBECONFIG"),
        ("OPENMCP_API_USER_NAME", "OPENMCP_USER_NAME"),
    ],
)
def test_an_unknown_variable_is_said_with_the_nearest_known_one(name: str, nearest: str) -> None:
    assert unknown_variables({name: "x"}) == [f"{name} is no setting, did you mean {nearest}?"]


def test_what_kubernetes_puts_into_a_pod_is_not_unknown() -> None:
    injected = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTPS", "PORT", "PORT_8080_TCP", "PORT_8080_TCP_ADDR")
    environ = {f"OPENMCP_APISERVER_{part}": "x" for part in injected} | {"OPENMCP_PASSWORD": "x", "HOME": "/"}

    assert unknown_variables(environ) == []
    assert len(unknown_variables({"OPENMCP_OTHER_PORT": "1"})) == 1


def test_every_setting_has_a_name_of_its_own_a_meaning_and_what_it_may_be() -> None:
    variables = list_variables()
    names = [name for variable in variables for name in (variable.name, *variable.aliases)]

    assert len(names) == len(set(names))
    assert len({variable.field for variable in variables}) == len(variables)
    assert all(variable.values and variable.info.description for variable in variables)
    assert {variable.name for variable in variables if variable.secret} == {
        "OPENMCP_SIGNING_KEY",
        "OPENMCP_VERIFICATION_KEYS",
        "OPENMCP_USER_PASSWORD",
        "OPENMCP_INFLUX_PASSWORD",
        "OPENMCP_PROMETHEUS_PASSWORD",
        "OPENMCP_PROMETHEUS_TOKEN",
        "OPENMCP_INFLUX_TOKEN",
        "OPENMCP_NATS_PASSWORD",
        "OPENMCP_OTLP_HEADERS",
        "OPENMCP_REMOTE_WRITE_PASSWORD",
        "OPENMCP_REMOTE_WRITE_TOKEN",
    }


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().http.port = 1  # type: ignore[misc]  # that mypy says so too is the point


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("10.96.0.1", "443", "https://10.96.0.1:443"),
        ("10.96.0.1", "6443", "https://10.96.0.1:6443"),
        ("fd00::1", "443", "https://[fd00::1]:443"),
        ("[fd00::1]", "443", "https://[fd00::1]:443"),
    ],
)
def test_the_clusters_own_address_is_that_of_its_pods(host: str, port: str, url: str) -> None:
    variables = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    assert load_settings(variables).clusters.own_cluster_url == url
    assert load_settings({}).clusters.own_cluster_url is None


def test_contexts_are_separated_by_commas(tmp_path: Path) -> None:
    names = ("arn:aws:eks:eu-west-1:1:cluster/shop", "with space")
    assert load_settings({"OPENMCP_KUBECONFIG_CONTEXTS": ", ".join(names)}).clusters.kubeconfig_contexts == names
    (tmp_path / "file").write_text("OPENMCP_KUBECONFIG_CONTEXTS: ['a,b', c]\n")
    assert load_settings({}, tmp_path / "file").clusters.kubeconfig_contexts == ("a,b", "c")


@pytest.mark.parametrize("origin", ["https://a.example", "http://[::1]:5173", "http://localhost:5173", "app://x", "*"])
def test_origins_are_taken_as_browsers_write_them(origin: str) -> None:
    assert load_settings({"OPENMCP_CORS_ORIGINS": origin}).http.cors_origins == (origin,)


@pytest.mark.parametrize(
    ("origins", "why"),
    [
        ("https://A.example/", "did you mean https://a.example?"),
        ("https://a.example:443", "did you mean https://a.example?"),
        ("https://user@a.example", "did you mean https://a.example?"),
        ("https://p\xf6rtal.example", "did you mean https://xn--prtal-jua.example?"),
        ("https://a.example/app?x#y", "did you mean https://a.example?"),
        ("null", "'null' is no origin"),
        ("a.example", "'a.example' is no origin"),
        ("file:///home", "'file:///home' is no origin"),
        ("https://*.example", "is no origin"),
        ("https://a.example:x", "is no origin"),
        ("*,https://a.example", "no other stands beside it"),
    ],
)
def test_what_is_no_origin_is_said_with_the_right_one(origins: str, why: str) -> None:
    with pytest.raises(SettingsInvalid, match=re.escape(why)):
        load_settings({"OPENMCP_CORS_ORIGINS": origins})


@pytest.mark.parametrize("scheme", ["http", "HTTP", "Http"])
def test_the_scheme_of_a_metric_store_is_the_same_in_any_case(scheme: str) -> None:
    metrics = load_settings({"OPENMCP_INFLUX_URL": f"{scheme}://A.example:8086/x/"}).metrics
    assert metrics.influx_address == "http://A.example:8086/x"


def test_no_part_of_a_user_in_a_url_is_shown() -> None:
    assert mask_user("nats://a:1,nats://u:p@ss@b:2/c?d=e@f") == "nats://a:1,nats://***@b:2/c?d=e@f"
