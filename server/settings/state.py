"""The settings of the state: in this process alone, or shared with other replicas."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr, model_validator

from server.settings.field import File, Group, Names, Seconds, Word, setting

_SCHEMES = ("nats", "tls")


def check_servers(urls: tuple[str, ...]) -> tuple[str, ...]:
    """URLs of nats-servers. Raises ValueError, but for one with a user, whose password no message may show."""
    for url in urls:
        if "@" in url:
            continue
        try:
            parts = urlsplit(url)
            right = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
        except ValueError:
            right = False
        if not right or re.search(r"[/?#\s]", url.partition("://")[2]):
            raise ValueError(f"{url[:100]!r} is no nats://HOST:PORT and no tls://HOST:PORT")
    return urls


class StateSettings(Group):
    """What is known of clusters: watched by this process alone, or shared by replicas on NATS JetStream."""

    state: Annotated[Literal["embedded", "nats"], Word] = setting(
        "embedded",
        "Where it is: in this process, which watches every cluster, or with NATS, where one of all replicas does.",
        values="embedded or nats",
    )
    nats_url: Annotated[Names, AfterValidator(check_servers)] = setting(
        (),
        "Servers of NATS, of one cluster.",
        values="URLs such as nats://nats-0:4222 or tls://nats-0:4222, separated by commas, without a user; "
        "a list in a file",
    )
    nats_username: str | None = setting(
        None, "User of NATS.", values="a name, with OPENMCP_NATS_PASSWORD", min_length=1
    )
    nats_password: SecretStr | None = setting(
        None, "Password of that user.", values="a password, with OPENMCP_NATS_USERNAME"
    )
    nats_credentials_file: File | None = setting(
        None, "Credentials in the place of a user: a JWT and its seed.", values="a file as `nsc` writes it"
    )
    nats_ca_file: File | None = setting(
        None, "CA of the servers' certificates. Left out: the system's authorities.", values="a file in PEM"
    )
    nats_cert_file: File | None = setting(
        None, "Certificate that is shown to NATS.", values="a file in PEM, with OPENMCP_NATS_KEY_FILE"
    )
    nats_key_file: File | None = setting(None, "Its private key.", values="a file in PEM, with OPENMCP_NATS_CERT_FILE")
    nats_prefix: str = setting(
        "openmcp",
        "What names of streams, subjects and buckets begin with: one for each set of replicas.",
        values="1 to 32 letters, digits, - and _",
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
    )
    nats_stream_replicas: int = setting(
        1, "Servers that keep each stream; 3 outlive one of them.", values="a number, 1 to 5", ge=1, le=5
    )
    nats_manifests: bool = setting(
        True,
        "Whether whole objects are shared, compressed and redacted. Without, what details are made of is, and "
        "`manifest` is null on replicas that follow a cluster.",
        values="true or false",
    )
    nats_writes: bool = setting(
        True,
        "Whether this replica may watch clusters and publish them; without, it only follows, and publishes nothing.",
        values="true or false",
    )
    nats_lease: Seconds = setting(
        6.0,
        "How long a replica that says nothing any more keeps the clusters that it watches.",
        values="a duration, 3s to 60s",
        ge=3,
        le=60,
    )

    @model_validator(mode="after")
    def _fits(self) -> "StateSettings":
        if self.state == "nats" and not self.nats_url:
            raise ValueError("OPENMCP_STATE is nats, but OPENMCP_NATS_URL is not set")
        if any("@" in url for url in self.nats_url):
            names = "OPENMCP_NATS_USERNAME and OPENMCP_NATS_PASSWORD"
            raise ValueError(f"OPENMCP_NATS_URL has a user, must be without: {names} are for that")
        for one, other in (("username", "password"), ("cert_file", "key_file")):
            if (getattr(self, f"nats_{one}") is None) != (getattr(self, f"nats_{other}") is None):
                missing = one if getattr(self, f"nats_{one}") is None else other
                names = f"OPENMCP_NATS_{one.upper()} and OPENMCP_NATS_{other.upper()}"
                raise ValueError(f"OPENMCP_NATS_{missing.upper()} is not set: {names} go together")
        if self.nats_username is not None and self.nats_credentials_file is not None:
            raise ValueError("OPENMCP_NATS_USERNAME and OPENMCP_NATS_CREDENTIALS_FILE are both set: name one of them")
        return self
