"""Where traces are sent, by our own names and by OpenTelemetry's."""

import pytest

from server.settings.environment import SettingsInvalid, load_settings
from server.tracing.tracer import build_receiver


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"OPENMCP_OTLP_ENDPOINT": "http://collector:4318"}, "http://collector:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector/otlp/"}, "https://collector/otlp/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}, "http://c/v1/traces"),
        ({"OPENMCP_OTLP_ENDPOINT": "http://ours", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, "http://ours/v1/traces"),
    ],
)
def test_a_collector_is_named_either_way(variables: dict[str, str], url: str) -> None:
    settings = load_settings(variables | {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20secret, x=y"}).tracing
    assert settings.traced
    receiver = build_receiver(settings)
    assert (receiver.url, receiver.headers) == (url, {"api-key": "a secret", "x": "y"})
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("variables", [{}, {"OPENMCP_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}])
def test_nothing_is_traced_unless_that_is_asked_for(variables: dict[str, str]) -> None:
    assert not load_settings(variables).tracing.traced


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"OPENMCP_OTLP_ENDPOINT": "collector:4318"}, "an http or https URL without a user"),
        ({"OPENMCP_OTLP_ENDPOINT": "http://user:secret@c"}, "an http or https URL without a user"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "secret"}, "NAME=VALUE"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=secret%0d%0ab"}, "names and values of HTTP headers"),
        ({"OPENMCP_OTLP_HEADERS": "a=secret%E2%82%AC"}, "names and values of HTTP headers"),
        ({"OPENMCP_OTLP_HEADERS": "a b=secret"}, "names and values of HTTP headers"),
        ({"OPENMCP_PROMETHEUS_URL": "http://h/?token=secret"}, "without a user"),
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "parentbased_"),
        ({"OTEL_TRACES_SAMPLER_ARG": "10"}, "a number, 0 to 1"),
        ({"OPENMCP_OTLP_KEY_FILE": "/key"}, "OPENMCP_OTLP_CERT_FILE is not"),
    ],
)
def test_what_is_wrong_says_what_would_be_right(variables: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsInvalid, match=words) as refused:
        load_settings(variables)
    assert "secret" not in str(refused.value)
