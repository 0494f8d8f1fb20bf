"""The settings of Prometheus remote write."""

from pydantic import SecretStr, model_validator

from server.settings.field import File, Group, setting


class RemoteWriteSettings(Group):
    """Where the collector writes by remote write, and as whom."""

    remote_write_url: str | None = setting(
        None,
        "Receiver of Prometheus remote write, with its path: `http://prometheus:9090/api/v1/write`, "
        "`http://victoria-metrics:8428/api/v1/write`, `http://mimir/api/v1/push`.",
        values="an http or https URL with a path, without a user",
        pattern=r"^(?i:https?)://[^/?#\s@]+/[^?#\s]*$",
    )
    remote_write_token: SecretStr | None = setting(None, "Bearer token for it.", values="a token")
    remote_write_token_file: File | None = setting(
        None, "File with such a token, read again every 10 s.", values="a file"
    )
    remote_write_username: str | None = setting(None, "User for basic authentication.", values="a name")
    remote_write_password: SecretStr | None = setting(None, "Password of that user.", values="a password")
    remote_write_ca_file: File | None = setting(
        None, "Authorities of its certificate. Left out: those of the system.", values="a file of PEM certificates"
    )
    remote_write_cert_file: File | None = setting(
        None, "Client certificate for it; its key may be in the same file.", values="a file in PEM"
    )
    remote_write_key_file: File | None = setting(None, "Key of that certificate.", values="a file in PEM")
    remote_write_tenant: str | None = setting(
        None, "Tenant of a Mimir or another that has several, sent as `X-Scope-OrgID`.", values="a name"
    )
    remote_write_cluster_label: str = setting(
        "cluster",
        "Label that names the cluster in what is written.",
        values="a label's name that begins with a small letter",
        pattern=r"^[a-z][a-zA-Z0-9_]*$",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "RemoteWriteSettings":
        if self.remote_write_key_file is not None and self.remote_write_cert_file is None:
            raise ValueError("OPENMCP_REMOTE_WRITE_KEY_FILE is set, but OPENMCP_REMOTE_WRITE_CERT_FILE is not")
        if self.remote_write_cluster_label in ("namespace", "node", "pod"):
            raise ValueError(
                f"OPENMCP_REMOTE_WRITE_CLUSTER_LABEL is '{self.remote_write_cluster_label}', which is another label of "
                "the same series: must be another name, such as cluster"
            )
        return self
