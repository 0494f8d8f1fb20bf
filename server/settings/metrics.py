"""The settings of metric stores."""

from typing import Annotated, Literal

from pydantic import SecretStr, model_validator

from server.settings.field import Bytes, File, Group, Seconds, Word, setting
from server.settings.units import bracketed


class MetricSettings(Group):
    """Where usage and its history come from."""

    metric_store: Annotated[Literal["influxql", "flux", "embedded"], Word] = setting(
        "embedded",
        "Kind of metric store. Left out: flux where an InfluxDB and OPENMCP_INFLUX_ORG are named, influxql where an "
        "InfluxDB alone is, else embedded.",
        values="influxql (InfluxDB 1.x), flux (2.x) or embedded",
    )
    influx_url: str | None = setting(
        None, "InfluxDB.", values="an http or https URL", pattern=r"^(?i:https?)://[^/?#\s]+/?[^?#\s]*$"
    )
    influx_host: str | None = setting(
        None,
        "Its host, where OPENMCP_INFLUX_URL is not given.",
        values="an IP address or a host name",
        aliases=("INFLUX_IP",),
        pattern=r"^[A-Za-z0-9._:\[\]-]+$",
    )
    influx_port: int = setting(
        8086,
        "Its port, with OPENMCP_INFLUX_HOST.",
        values="a port, 1 to 65535",
        aliases=("INFLUX_PORT",),
        ge=1,
        le=65535,
    )
    influx_database: str = setting("Metrics", "Its database, with influxql.", values="a name", min_length=1)
    influx_org: str | None = setting(None, "Its organisation, with flux.", values="a name, not an id", min_length=1)
    influx_bucket: str = setting("Metrics", "Its bucket, with flux.", values="a name, not an id", min_length=1)
    influx_token: SecretStr | None = setting(
        None,
        "Token of an InfluxDB 2.x that may read the bucket; with influxql it goes before a user and a password.",
        values="a token",
    )
    influx_username: str | None = setting(
        None, "User of InfluxDB, with influxql.", values="a name", aliases=("INFLUX_USERNAME",)
    )
    influx_password: SecretStr | None = setting(
        None, "Password of that user.", values="a password", aliases=("INFLUX_PASSWORD",)
    )
    embedded_file: File | None = setting(
        None,
        "File of the embedded store. Left out: `~/.local/state/openmcp-apiserver/usage.sqlite`; where that can't be "
        "written, a temporary one, gone with the server.",
        values="a file that can be written",
    )
    embedded_max_age: Seconds = setting(
        604800.0, "How long the embedded store keeps points.", values="a duration, at least 1m", ge=60
    )
    embedded_max_bytes: Bytes = setting(
        536870912,
        "How large the embedded store's file may grow; the oldest points go first.",
        values="bytes, at least 1Mi; Ki, Mi, Gi are understood",
        ge=1048576,
    )
    collect_interval: Seconds = setting(
        15.0,
        "How often the members are asked for usage, with embedded: their kubelets, else their metrics.k8s.io. "
        "0s: never, something else fills the file.",
        values="a duration, 0s to 10m",
        ge=0,
        le=600,
    )
    usage_lookback: Seconds = setting(
        3600.0, "A newest point older than this is no usage.", values="a duration, 10s to 7d", ge=10, le=604800
    )
    usage_max_age: Seconds = setting(
        10.0,
        "How long the usage of whole clusters is held to rank more than 500 pods by; 0 asks each time.",
        values="a duration, 0s to 5m",
        ge=0,
        le=300,
    )

    @property
    def influx_address(self) -> str | None:
        """The URL of InfluxDB, None where none is named."""
        if self.influx_url is not None:
            scheme, rest = self.influx_url.rstrip("/").split(":", 1)
            return f"{scheme.lower()}:{rest}"
        if self.influx_host is None:
            return None
        return f"http://{bracketed(self.influx_host)}:{self.influx_port}"

    @model_validator(mode="after")
    def _fits(self) -> "MetricSettings":
        if self.metric_store != "embedded" and self.influx_address is None:
            raise ValueError(
                f"OPENMCP_METRIC_STORE is {self.metric_store}, but neither OPENMCP_INFLUX_URL nor INFLUX_IP is set"
            )
        if self.metric_store == "flux" and (self.influx_org is None or self.influx_token is None):
            missing = "OPENMCP_INFLUX_ORG" if self.influx_org is None else "OPENMCP_INFLUX_TOKEN"
            raise ValueError(f"OPENMCP_METRIC_STORE is flux, but {missing} is not set")
        return self
