"""The settings of a metric store that speaks Prometheus' HTTP API."""

from pydantic import SecretStr

from server.settings.field import Bytes, File, Group, Seconds, setting


class PrometheusSettings(Group):
    """Where a Prometheus is, who asks it, and how its series name clusters."""

    prometheus_url: str | None = setting(
        None,
        "Prometheus, or what speaks its HTTP API: VictoriaMetrics, Thanos, Mimir. What stands before /api/v1.",
        values="an http or https URL, such as http://prometheus:9090 or https://mimir/prometheus, without a user",
        pattern=r"^(?i:https?)://[^/?#\s]+(/[^?#\s]*)?$",
    )
    prometheus_token: SecretStr | None = setting(
        None, "Bearer token for it; it goes before a user and a password.", values="a token"
    )
    prometheus_token_file: File | None = setting(
        None, "File with such a token, read again every 10 s.", values="a file that can be read"
    )
    prometheus_username: str | None = setting(None, "User of it, by basic authentication.", values="a name")
    prometheus_password: SecretStr | None = setting(None, "Password of that user.", values="a password")
    prometheus_ca_file: File | None = setting(
        None, "Authorities in PEM that sign its certificate. Left out: those of the system.", values="a file"
    )
    prometheus_cert_file: File | None = setting(
        None, "Certificate in PEM to show it.", values="a file, with OPENMCP_PROMETHEUS_KEY_FILE"
    )
    prometheus_key_file: File | None = setting(
        None, "Private key of that certificate.", values="a file, with OPENMCP_PROMETHEUS_CERT_FILE"
    )
    prometheus_tenant: str | None = setting(
        None, "Tenant, as X-Scope-OrgID (Mimir).", values="a name; several with | between", pattern=r"^[!-~]+$"
    )
    prometheus_cluster_label: str = setting(
        "cluster",
        "Label that says of which cluster a series is.",
        values="the name of a label",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
    )
    prometheus_cluster_value: str = setting(
        "{cluster}",
        "Value of that label, with {cluster} where the cluster's name stands.",
        values="a text that has {cluster} in it",
        pattern=r"\{cluster\}",
    )
    prometheus_only_cluster: str | None = setting(
        None,
        "The cluster that all series are of, where they have no such label: external labels are not in answers.",
        values="the name of a cluster",
        min_length=1,
    )
    prometheus_rate_window: Seconds = setting(
        180.0,
        "How far back newest usage is looked for at first, two samples of each series; whoever has fewer is looked for "
        "in OPENMCP_USAGE_LOOKBACK. Three scrapes or more.",
        values="a duration, 10s to 1h",
        ge=10,
        le=3600,
    )
    prometheus_recorded: bool = setting(
        False,
        "Whether to read the series that the shipped recording rules make, or that the collector writes.",
        values="true or false",
    )
    prometheus_query_bytes: Bytes = setting(
        16000,
        "How long a query may be; a longer one is cut into several. VictoriaMetrics takes 16 KiB.",
        values="bytes, 1000 to 10Mi; Ki, Mi are understood",
        ge=1000,
        le=10485760,
    )
