"""All configuration, as frozen groups, one per concern.

Each field is the variable `OPENMCP_<FIELD>` and has a default, its unit and what it may be;
`docs/reference/configuration.md` is the same as a table. Only `server.settings.environment` reads the variables.
"""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from server.settings.clusters import ClusterSettings
from server.settings.disclosure import DisclosureSettings
from server.settings.field import Bytes, File, Group, Names, Networks, Origins, Seconds, Word, setting
from server.settings.metrics import MetricSettings
from server.settings.oidc import OidcSettings
from server.settings.state import StateSettings
from server.settings.tracing import TracingSettings
from server.settings.traffic import TrafficSettings

PUBLISHED_SIGNING_KEY = "openmcp-apiserver"
SHORTEST_SIGNING_KEY = 16
NO_SIGNING_KEY = (
    "OPENMCP_SIGNING_KEY (or API_APP_KEY) is not set, must be a secret of at least "
    f"{SHORTEST_SIGNING_KEY} bytes, such as `openssl rand -hex 32` prints"
)


class HttpSettings(Group):
    """Where the server listens."""

    host: str = setting("0.0.0.0", "Address of the users' ports.", values="an IP address or a host name", min_length=1)  # noqa: S104 - as the original does; a container has one network
    port: int = setting(8080, "Main port.", values="a port, 0 to 65535 (0: any free one)", ge=0, le=65535)
    ops_host: str = setting(
        "127.0.0.1",
        "Address of the operators' port. It asks for no token and names clusters, their addresses and what is wrong: "
        "open it to nobody but who watches over the server.",
        values="an IP address or a host name",
        min_length=1,
    )
    ops_port: int = setting(
        8081,
        "Port of Prometheus exposition and probes, away from users.",
        values="a port, 0 to 65535 (0: any free one)",
        ge=0,
        le=65535,
    )
    plain_port: int | None = setting(
        None, "Second port in plain HTTP beside HTTPS.", values="a port, 0 to 65535; only with TLS", ge=0, le=65535
    )
    tls_cert_file: File | None = setting(
        None, "Certificate chain in PEM; the main port then speaks HTTPS.", values="a file, with OPENMCP_TLS_KEY_FILE"
    )
    tls_key_file: File | None = setting(
        None, "Private key of the certificate.", values="a file, with OPENMCP_TLS_CERT_FILE"
    )
    tls_client_ca_file: File | None = setting(
        None,
        "Authorities in PEM whose client certificates say who calls: CN the user, each O a group, to whom the users "
        "file gives rights. Re-read when it changes.",
        values="a file, with OPENMCP_TLS_CERT_FILE",
    )
    workers: int = setting(
        1,
        "Processes that serve, each with a cache of its own; one a processor at most.",
        values="a number, 1 to 64",
        ge=1,
        le=64,
    )
    cors_origins: Origins = setting(
        (),
        "Origins whose pages may read answers; WebSockets of others are then refused. Left out: none.",
        values="origins such as https://portal.example, separated by commas, or * for all; a list in a file",
    )
    trusted_proxies: Networks = setting(
        (),
        "Proxies whose `X-Forwarded-For` says who calls: guessing passwords is slowed down by address. Left out: none.",
        values="addresses and networks such as 10.0.0.0/8, separated by commas; a list in a file",
    )
    shutdown_grace: Seconds = setting(
        8.0,
        "How long requests may take to end after SIGTERM; what runs on is cut off, and the process ends within 2 s.",
        values="a duration, 0s to 10m",
        ge=0,
        le=600,
    )
    shutdown_drain: Seconds = setting(
        2.0,
        "How much of that new requests are still served, while `/readyz` is 503 and connections are closed behind "
        "their next answer: as long as a proxy takes to go elsewhere.",
        values="a duration, 0s to 10m",
        ge=0,
        le=600,
    )

    @model_validator(mode="after")
    def _fits(self) -> "HttpSettings":
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            missing = "OPENMCP_TLS_KEY_FILE" if self.tls_key_file is None else "OPENMCP_TLS_CERT_FILE"
            raise ValueError(f"{missing} is not set: a certificate and its key go together")
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            raise ValueError("OPENMCP_TLS_CLIENT_CA_FILE is set without OPENMCP_TLS_CERT_FILE: plain HTTP has none")
        if self.plain_port is not None and self.tls_cert_file is None:
            raise ValueError(
                "OPENMCP_PLAIN_PORT is set without OPENMCP_TLS_CERT_FILE: OPENMCP_PORT is plain HTTP already"
            )
        ports: dict[int | None, str] = {}
        for name in ("port", "ops_port", "plain_port"):
            number, variable = getattr(self, name), f"OPENMCP_{name.upper()}"
            if number and (taken := ports.setdefault(number, variable)) != variable:
                raise ValueError(f"{variable} is {number}, as {taken} is: each must be a port of its own")
        return self


class AuthSettings(Group):
    """Who may sign in, and how tokens are signed."""

    signing_key: SecretStr | None = setting(
        None,
        "Key that tokens are signed with (HS256). `serve` needs it.",
        values=f"a secret of at least {SHORTEST_SIGNING_KEY} bytes, such as `openssl rand -hex 32` prints",
        aliases=("API_APP_KEY",),
    )
    verification_keys: SecretStr | None = setting(
        None,
        "Further keys whose tokens count. To exchange the key without signing anybody out: name the new one here on "
        "every replica, then let it sign and name the old one here, and take that out after a day.",
        values=f"secrets of at least {SHORTEST_SIGNING_KEY} bytes, separated by blanks",
    )
    token_lifetime: Seconds = setting(
        3600.0, "How long a token counts.", values="a duration, 1m to 24h", ge=60, le=86400
    )
    users_file: File | None = setting(
        None, "Users, see `openmcp-apiserver user`; re-read when it changes.", values="a YAML file"
    )
    tokens_file: File | None = setting(
        None, "Access tokens for scripts, see `openmcp-apiserver token`; re-read when it changes.", values="a YAML file"
    )
    user_name: str | None = setting(
        None,
        "Name of the one administrator of the environment.",
        values="a name, with OPENMCP_USER_PASSWORD",
        aliases=("API_USER_NAME",),
    )
    user_password: SecretStr | None = setting(
        None, "The administrator's password.", values="a password, with OPENMCP_USER_NAME", aliases=("API_USER_PW",)
    )
    token_review: bool = setting(
        False,
        "Whether the host cluster is asked, by TokenReview, whose a token is that is not this server's: of service "
        "accounts, for instance. What they may do stands in the users file.",
        values="true or false",
    )
    token_review_audiences: Names = setting(
        (),
        "Audiences, of which such a token must be for one. Left out: that of the host's API server.",
        values="names, separated by commas; a list in a file",
    )
    token_review_cache: Seconds = setting(
        10.0,
        "How long the host's word on a token counts; for two seconds at most where it says no.",
        values="a duration, 1s to 5m",
        ge=1,
        le=300,
    )
    authorization: Annotated[Literal["roles", "impersonate"], Word] = setting(
        "roles",
        "How rights are decided: by roles alone, or by each cluster's own rules for the user, within his role.",
        values="roles or impersonate",
    )
    review_max_age: Seconds = setting(
        15.0,
        "With impersonate: how long a cluster's word on what a user may see counts. It is asked again after two fifths "
        "of it.",
        values="a duration, 5s to 5m",
        ge=5,
        le=300,
    )

    @model_validator(mode="after")
    def _fits(self) -> "AuthSettings":
        if self.signing_key is not None:
            size = len(self.signing_key.get_secret_value().encode())
            if size < SHORTEST_SIGNING_KEY:
                raise ValueError(
                    f"OPENMCP_SIGNING_KEY (or API_APP_KEY) is '***', {size} bytes, must be a secret of at least "
                    f"{SHORTEST_SIGNING_KEY} bytes, such as `openssl rand -hex 32` prints"
                )
        further = self.verification_keys.get_secret_value().split() if self.verification_keys else []
        for number, size in enumerate((len(key.encode()) for key in further), 1):
            if size < SHORTEST_SIGNING_KEY:
                raise ValueError(
                    f"OPENMCP_VERIFICATION_KEYS: key {number} is '***', {size} bytes, must be a secret of at least "
                    f"{SHORTEST_SIGNING_KEY} bytes"
                )
        if (self.user_name is None) != (self.user_password is None):
            missing = "API_USER_PW" if self.user_password is None else "API_USER_NAME"
            raise ValueError(f"{missing} is not set: API_USER_NAME and API_USER_PW go together")
        return self


class GraphSettings(Group):
    """Which documents `/graphql` runs, and how."""

    compiled_execution: bool = setting(
        True,
        "Whether plain selections are read by generated code; answers are the same without, and slower.",
        values="true or false",
    )

    persisted_query_bytes: Bytes = setting(
        4194304,
        "Memory for automatic persisted queries; the longest unused go first.",
        values="bytes, 0 (off) to 1Gi; Ki, Mi, Gi are understood",
        ge=0,
        le=1073741824,
    )
    trusted_documents: File | None = setting(
        None,
        "Only the documents of this manifest are run; introspection and GraphiQL are refused. Read at the start.",
        values="a JSON file: texts by id, or Apollo's persisted query manifest",
    )


class TimeoutSettings(Group):
    """Deadlines of requests and of calls to members, in seconds."""

    member_timeout: Seconds = setting(
        5.0,
        "Deadline of a call to a member.",
        values="a duration, 100ms to 60s, shorter than OPENMCP_REQUEST_TIMEOUT",
        ge=0.1,
        le=60,
    )
    request_timeout: Seconds = setting(
        8.0,
        "Deadline of a request; yesterday's clients give up after 10 s, whatever else takes time.",
        values="a duration, 200ms to 120s",
        ge=0.2,
        le=120,
    )
    heartbeat: Seconds = setting(
        1.0, "How often a silent member is asked for a sign of life.", values="a duration, 100ms to 60s", ge=0.1, le=60
    )

    @model_validator(mode="after")
    def _fits(self) -> "TimeoutSettings":
        if self.member_timeout >= self.request_timeout:
            raise ValueError(
                f"OPENMCP_MEMBER_TIMEOUT ({self.member_timeout:g}s) must be shorter than OPENMCP_REQUEST_TIMEOUT "
                f"({self.request_timeout:g}s)"
            )
        return self


class LimitSettings(Group):
    """What one GraphQL request may ask for; more is refused before any work, with the number that was found."""

    max_cost: int = setting(
        1_000_000,
        "Units an operation may be estimated to cost: a unit is about a plain field of one object.",
        values="a number, 1000 to 1000000000",
        ge=1_000,
        le=1_000_000_000,
    )
    max_depth: int = setting(15, "Levels of fields.", values="a number, 5 to 100", ge=5, le=100)
    max_nested_lists: int = setting(
        2, "Pages inside each other, such as the pods of each node of a page.", values="a number, 1 to 5", ge=1, le=5
    )
    max_aliases: int = setting(60, "Aliases in a document.", values="a number, 0 to 10000", ge=0, le=10_000)
    max_directives: int = setting(
        50, "Directives in a document, such as `@include`.", values="a number, 0 to 10000", ge=0, le=10_000
    )
    max_fragment_spreads: int = setting(
        500,
        "Fragment spreads of an operation, those inside of fragments counted each time.",
        values="a number, 0 to 10000",
        ge=0,
        le=10_000,
    )
    max_tokens: int = setting(
        3_000, "Words and signs of a document.", values="a number, 100 to 100000", ge=100, le=100_000
    )
    max_characters: int = setting(
        50_000, "Characters of a document.", values="a number, 1000 to 10000000", ge=1_000, le=10_000_000
    )
    max_body: Bytes = setting(
        1048576,
        "Bytes of a request's body, variables included.",
        values="bytes, 4Ki to 64Mi; Ki, Mi, Gi are understood",
        ge=4096,
        le=67108864,
    )


class LoggingSettings(Group):
    """What is logged, to standard error."""

    log_level: Annotated[Literal["debug", "info", "warning", "error"], Word] = setting(
        "info", "Least severity that is logged.", values="debug, info, warning or error"
    )
    log_format: Annotated[Literal["text", "json"], Word] = setting("text", "Form of a line.", values="text or json")
    slow_query_seconds: Seconds = setting(
        1.0,
        "GraphQL operations that take this long are logged, with what they waited for; 0 logs none.",
        values="a duration, 0s to 1h",
        ge=0,
        le=3600,
    )


class Settings(Group):
    """Everything the server can be told."""

    http: HttpSettings = Field(default_factory=HttpSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    oidc: OidcSettings = Field(default_factory=OidcSettings)
    clusters: ClusterSettings = Field(default_factory=ClusterSettings)
    state: StateSettings = Field(default_factory=StateSettings)
    metrics: MetricSettings = Field(default_factory=MetricSettings)
    graph: GraphSettings = Field(default_factory=GraphSettings)
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    traffic: TrafficSettings = Field(default_factory=TrafficSettings)
    disclosure: DisclosureSettings = Field(default_factory=DisclosureSettings)
    logging: LoggingSettings = Field(default_factory=LoggingSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)
