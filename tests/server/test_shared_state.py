"""Where replicas meet, as the settings say."""

from fleet.model.redaction import EnvValues
from server.settings.environment import load_settings
from server.shared_state import build_nats_options


def test_what_answers_hide_is_hidden_in_what_is_shared() -> None:
    variables = {"OPENMCP_STATE": "nats", "OPENMCP_NATS_URL": "nats://a:4222", "OPENMCP_REDACT_ENV": "secrets"}
    options = build_nats_options(load_settings(variables))
    assert options is not None
    assert options.redact_env is EnvValues.SECRETS


def test_each_process_is_a_replica_of_its_own() -> None:
    settings = load_settings({"OPENMCP_STATE": "nats", "OPENMCP_NATS_URL": "nats://a:4222"})
    named = {options.replica for _ in range(9) if (options := build_nats_options(settings))}
    assert len(named) == 9
    assert build_nats_options(load_settings({})) is None
