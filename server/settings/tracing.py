"""The settings of traces; each is OpenTelemetry's own variable as well."""

import re
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import SecretStr, model_validator

from server.settings.field import File, Group, Word, setting

Sampling = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]

_TOKEN, _VALUE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"), re.compile(r"[\t -~\xa0-\xff]*")  # RFC 9110
_PAIRS = "NAME=VALUE, separated by commas, each value percent-encoded"


class TracingSettings(Group):
    """Where traces are sent, and which."""

    otlp_endpoint: str | None = setting(
        None,
        "Collector of traces, by OTLP over HTTP (protobuf): `http://collector:4318`; `/v1/traces` is put behind it "
        "where it is not there. Left out: nothing is traced.",
        values="an http or https URL without a user",
        aliases=("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        pattern=r"^(?i:https?)://[^/?#\s@]+(/[^?#\s]*)?$",
    )
    otlp_headers: SecretStr | None = setting(
        None,
        "Headers for it, such as a token.",
        values=_PAIRS,
        aliases=("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"),
    )
    otlp_ca_file: File | None = setting(
        None,
        "Authorities of its certificate. Left out: those of the system.",
        values="a file of PEM certificates",
        aliases=("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
    )
    otlp_cert_file: File | None = setting(
        None,
        "Client certificate for it; its key may be in the same file.",
        values="a file in PEM",
        aliases=("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
    )
    otlp_key_file: File | None = setting(
        None,
        "Key of that certificate.",
        values="a file in PEM, with OPENMCP_OTLP_CERT_FILE",
        aliases=("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"),
    )
    trace_exporter: Annotated[Literal["otlp", "none"], Word] = setting(
        "otlp",
        "`none` traces nothing, whatever else is set.",
        values="otlp or none",
        aliases=("OTEL_TRACES_EXPORTER",),
    )
    trace_sampler: Annotated[Sampling, Word] = setting(
        "parentbased_always_on",
        "Which traces are kept; `parentbased_` does as the caller does where that traces.",
        values="always_on, always_off, traceidratio, or one of these behind parentbased_",
        aliases=("OTEL_TRACES_SAMPLER",),
    )
    trace_sampler_arg: float | None = setting(
        None,
        "Part of the traces that traceidratio keeps. Left out: 1.",
        values="a number, 0 to 1",
        aliases=("OTEL_TRACES_SAMPLER_ARG",),
        ge=0,
        le=1,
    )
    trace_service: str = setting(
        "openmcp-apiserver",
        "What the server is called in traces (`service.name`).",
        values="a name",
        aliases=("OTEL_SERVICE_NAME",),
        min_length=1,
    )
    trace_resource: str = setting(
        "",
        "Further attributes of the server in traces, such as `deployment.environment.name=test`.",
        values=_PAIRS,
        aliases=("OTEL_RESOURCE_ATTRIBUTES",),
    )

    @property
    def traced(self) -> bool:
        return self.otlp_endpoint is not None and self.trace_exporter == "otlp"

    @model_validator(mode="after")
    def _fits(self) -> "TracingSettings":
        if self.otlp_key_file is not None and self.otlp_cert_file is None:
            raise ValueError("OPENMCP_OTLP_KEY_FILE is set, but OPENMCP_OTLP_CERT_FILE is not")
        for name, text in (
            ("OPENMCP_OTLP_HEADERS", self.otlp_headers.get_secret_value() if self.otlp_headers else ""),
            ("OPENMCP_TRACE_RESOURCE", self.trace_resource),
        ):
            if not all(name.strip() and given for name, given, _ in _split(text)):
                raise ValueError(f"{name} (or OpenTelemetry's own) must be {_PAIRS}")
        headers = read_pairs(self.otlp_headers.get_secret_value()) if self.otlp_headers else {}
        if not all(_TOKEN.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers.items()):
            raise ValueError("OPENMCP_OTLP_HEADERS (or OpenTelemetry's own) must be names and values of HTTP headers")
        return self


def read_pairs(text: str) -> dict[str, str]:
    """Of `NAME=VALUE,NAME=VALUE` (W3C Baggage, as OpenTelemetry's variables are written)."""
    return {name.strip(): unquote(value.strip()) for name, _, value in _split(text)}


def _split(text: str) -> list[tuple[str, str, str]]:
    return [pair.partition("=") for pair in text.split(",") if pair.strip()]
