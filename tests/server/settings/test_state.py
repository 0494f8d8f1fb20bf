"""How the shared state is named, and what is said where it can't be reached by what is named."""

import re

import pytest

from fleet.model.redaction import EnvValues
from server.settings.environment import SettingsInvalid, load_settings
from server.shared_state import build_nats_options

NATS = {"OPENMCP_STATE": "nats", "OPENMCP_NATS_URL": "nats://a:4222, tls://[::1]:4222"}
USER = {"OPENMCP_NATS_USERNAME": "writer", "OPENMCP_NATS_PASSWORD": "pass-word"}


def problems(**environ: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as raised:
        load_settings(NATS | environ)
    return raised.value.problems


def test_a_process_has_its_own_state_unless_told_otherwise() -> None:
    state = load_settings({"OPENMCP_NATS_URL": "nats://a"}).state
    assert (state.state, state.nats_url, state.nats_prefix) == ("embedded", ("nats://a",), "openmcp")


def test_servers_and_what_is_shown_to_them() -> None:
    state = load_settings(NATS | USER | {"OPENMCP_NATS_LEASE": "10s"}).state
    assert (state.state, state.nats_url, state.nats_lease) == ("nats", ("nats://a:4222", "tls://[::1]:4222"), 10.0)
    assert state.nats_password is not None
    assert state.nats_password.get_secret_value() == "pass-word"
    assert "pass-word" not in repr(state)


def test_each_process_is_another_replica_of_the_same_state() -> None:
    settings = load_settings(NATS | USER | {"OPENMCP_REDACT_ENV": "secrets"})
    options, other = build_nats_options(settings), build_nats_options(settings)
    assert options is not None
    assert other is not None
    assert (options.servers, options.username, options.password) == (settings.state.nats_url, "writer", "pass-word")
    assert (options.redact_env, options.lease_seconds, options.writes) == (EnvValues.SECRETS, 6.0, True)
    assert options.replica != other.replica
    assert re.fullmatch(r"[A-Za-z0-9-]+", options.replica)
    assert build_nats_options(load_settings({})) is None


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OPENMCP_STATE": "etcd"}, "OPENMCP_STATE is 'etcd', must be embedded or nats"),
        ({"OPENMCP_NATS_URL": ""}, "OPENMCP_STATE is nats, but OPENMCP_NATS_URL is not set"),
        ({"OPENMCP_NATS_PREFIX": "a.b"}, "OPENMCP_NATS_PREFIX is 'a.b', must be 1 to 32 letters, digits, - and _"),
        (
            {"OPENMCP_NATS_USERNAME": "a"},
            "OPENMCP_NATS_PASSWORD is not set: OPENMCP_NATS_USERNAME and OPENMCP_NATS_PASSWORD go together",
        ),
        (
            {"OPENMCP_NATS_KEY_FILE": "/a"},
            "OPENMCP_NATS_CERT_FILE is not set: OPENMCP_NATS_CERT_FILE and OPENMCP_NATS_KEY_FILE go together",
        ),
        (
            {**USER, "OPENMCP_NATS_CREDENTIALS_FILE": "/a"},
            "OPENMCP_NATS_USERNAME and OPENMCP_NATS_CREDENTIALS_FILE are both set: name one of them",
        ),
        ({"OPENMCP_NATS_LEASE": "1s"}, "OPENMCP_NATS_LEASE is '1s', must be a duration, 3s to 60s"),
        (
            {"OPENMCP_NATS_URL": "nats://writer:pass-word@a:4222"},
            f"OPENMCP_NATS_URL has a user, must be without: {' and '.join(USER)} are for that",
        ),
    ],
)
def test_what_does_not_fit_is_named(environ: dict[str, str], said: str) -> None:
    assert problems(**environ) == [said]


@pytest.mark.parametrize("url", ["http://a:4222", "nats://a:port", "nats://a:4222/x", "nats://", "a:4222"])
def test_what_is_no_server_of_nats_is_refused(url: str) -> None:
    (said,) = problems(OPENMCP_NATS_URL=url)
    assert said.startswith(f"OPENMCP_NATS_URL is '{url}', must be URLs such as nats://nats-0:4222 or ")
    assert said.endswith(f"('{url}' is no nats://HOST:PORT and no tls://HOST:PORT)")
