"""The settings of metric stores, and of what the collector writes."""

from typing import Annotated, Literal

from pydantic import SecretStr, model_validator

from server.settings.field import Bytes, File, Names, Seconds, Word, setting
from server.settings.prometheus import PrometheusSettings
from server.settings.remote_write import RemoteWriteSettings
from server.settings.units import bracketed

OUTPUTS = ("embedded", "remote-write", "influx")


class MetricSettings(PrometheusSettings, RemoteWriteSettings):
    """Where usage and its history come from."""

    metric_store: Annotated[Literal["influxql", "flux", "prometheus", "embedded"], Word] = setting(
        "embedded",
        "Kind of metric store. Left out: flux where an InfluxDB and OPENMCP_INFLUX_ORG are named, influxql where an "
        "InfluxDB alone is, prometheus where OPENMCP_PROMETHEUS_URL is, else embedded.",
        values="influxql (InfluxDB 1.x), flux (2.x), prometheus (whatever speaks its HTTP API) or embedded",
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
        "Token of an InfluxDB 2.x that may read the bucket, and write it where OPENMCP_COLLECT_TO has influx; with "
        "influxql it goes before a user and a password.",
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
        604800.0,
        "How long the embedded store keeps points: as measured for 2 h, by minutes for a day, then by ten.",
        values="a duration, at least 1m",
        ge=60,
    )
    embedded_max_bytes: Bytes = setting(
        536870912,
        "How large the embedded store's file may grow; the oldest goes first, which is told.",
        values="bytes, at least 1Mi; Ki, Mi, Gi are understood",
        ge=1048576,
    )
    collect_interval: Seconds = setting(
        15.0,
        "How often the members are asked for usage where it is collected: their kubelets, else their metrics.k8s.io. "
        "0s: never, something else fills the store.",
        values="a duration, 0s to 10m",
        ge=0,
        le=600,
    )
    collect_to: Names = setting(
        (),
        "Where what is collected is written. Left out: embedded where that is the metric store, else nowhere.",
        values="embedded (its file), remote-write (OPENMCP_REMOTE_WRITE_URL), influx (OPENMCP_INFLUX_URL), or several, "
        "commas between",
    )
    collect_buffer: Bytes = setting(
        67108864,
        "How much may wait for each store that is written to, while it is away; the oldest goes first, and what is an "
        "hour old. 5,000 pods at 15 s take up to 45 MiB an hour.",
        values="bytes, at least 1Mi; Ki, Mi, Gi are understood",
        ge=1048576,
    )
    usage_from: Annotated[Literal["store", "collector"], Word] = setting(
        "store",
        "Where newest usage comes from: the metric store, or what this server collected last, while history comes from "
        "the store.",
        values="store or collector",
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
    def outputs(self) -> tuple[str, ...]:
        """Where what is collected is written, of `OUTPUTS`."""
        if self.collect_interval == 0:
            return ()
        return self.collect_to or (("embedded",) if self.metric_store == "embedded" else ())

    @property
    def outputs_elsewhere(self) -> tuple[str, ...]:
        """Those that are other servers."""
        return tuple(output for output in self.outputs if output != "embedded")

    @property
    def uses_file(self) -> bool:
        """Whether there is a file of the embedded store, to be read or written."""
        return self.metric_store == "embedded" or "embedded" in self.outputs

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
        self._check_collecting()
        self._check_prometheus()
        if self.metric_store in ("influxql", "flux") and self.influx_address is None:
            raise ValueError(
                f"OPENMCP_METRIC_STORE is {self.metric_store}, but neither OPENMCP_INFLUX_URL nor INFLUX_IP is set"
            )
        if self.metric_store == "flux" and (self.influx_org is None or self.influx_token is None):
            missing = "OPENMCP_INFLUX_ORG" if self.influx_org is None else "OPENMCP_INFLUX_TOKEN"
            raise ValueError(f"OPENMCP_METRIC_STORE is flux, but {missing} is not set")
        return self

    def _check_prometheus(self) -> None:
        if self.metric_store == "prometheus" and self.prometheus_url is None:
            raise ValueError("OPENMCP_METRIC_STORE is prometheus, but OPENMCP_PROMETHEUS_URL is not set")
        if "@" in (self.prometheus_url or ""):
            raise ValueError(
                "OPENMCP_PROMETHEUS_URL names a user: OPENMCP_PROMETHEUS_USERNAME and OPENMCP_PROMETHEUS_PASSWORD do"
            )
        if (self.prometheus_cert_file is None) != (self.prometheus_key_file is None):
            missing = "CERT" if self.prometheus_cert_file is None else "KEY"
            raise ValueError(f"OPENMCP_PROMETHEUS_{missing}_FILE is not set: a certificate and its key go together")

    def _check_collecting(self) -> None:
        """Raises ValueError where what is collected can't go where it shall."""
        wrong = sorted(set(self.collect_to) - set(OUTPUTS))
        if wrong:
            raise ValueError(f"OPENMCP_COLLECT_TO has {wrong[0]!r}, must be of {', '.join(OUTPUTS)}")
        if self.collect_interval == 0 and (self.collect_to or self.usage_from == "collector"):
            name = "OPENMCP_COLLECT_TO" if self.collect_to else "OPENMCP_USAGE_FROM=collector"
            raise ValueError(f"{name} is set, but OPENMCP_COLLECT_INTERVAL is 0s: nothing would be collected")
        if self.metric_store == "embedded" and self.collect_to and "embedded" not in self.collect_to:
            raise ValueError(
                "OPENMCP_METRIC_STORE is embedded, but OPENMCP_COLLECT_TO is set without embedded: add it, or name the "
                "store that is read, such as OPENMCP_PROMETHEUS_URL with OPENMCP_PROMETHEUS_RECORDED=true"
            )
        if "remote-write" in self.collect_to and self.remote_write_url is None:
            raise ValueError("OPENMCP_COLLECT_TO has remote-write, but OPENMCP_REMOTE_WRITE_URL is not set")
        if "influx" in self.collect_to and self.influx_address is None:
            raise ValueError("OPENMCP_COLLECT_TO has influx, but neither OPENMCP_INFLUX_URL nor INFLUX_IP is set")
