"""Where a Prometheus is, who asks it, and how its series name clusters."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from fleet.model.told import Told


@dataclass(frozen=True, slots=True)
class PrometheusOptions:
    """What a store is opened with; times in seconds.

    `url` is what stands before `/api/v1`. `cluster_label` is the label that names a series' cluster, `cluster_value`
    its value, with `{cluster}` where the name stands; with `only_cluster` no series has one, and all are of that
    cluster. `rate_window` is how far a look for newest samples goes at first: it has two of them. `recorded` reads the
    series that rules record, or the collector writes. `query_bytes` bounds the text of a query, `most_samples` how
    many are read one by one: of more, sums are asked for.
    """

    url: str
    token: str = field(default="", repr=False, kw_only=True)
    token_file: Path | None = field(default=None, kw_only=True)
    username: str = field(default="", kw_only=True)
    password: str = field(default="", repr=False, kw_only=True)
    ca_file: Path | None = field(default=None, kw_only=True)
    cert_file: Path | None = field(default=None, kw_only=True)
    key_file: Path | None = field(default=None, kw_only=True)
    tenant: str = field(default="", kw_only=True)
    cluster_label: str = field(default="cluster", kw_only=True)
    cluster_value: str = field(default="{cluster}", kw_only=True)
    only_cluster: str = field(default="", kw_only=True)
    rate_window: float = field(default=180.0, kw_only=True)
    recorded: bool = field(default=False, kw_only=True)
    timeout: float = field(default=5.0, kw_only=True)
    lookback: float = field(default=3600.0, kw_only=True)
    max_answer_bytes: int = field(default=64 * 1024 * 1024, kw_only=True)
    connections: int = field(default=4, kw_only=True)
    query_bytes: int = field(default=16000, kw_only=True)
    most_samples: int = field(default=20_000, kw_only=True)

    @property
    def product(self) -> str:
        return "Prometheus"

    @property
    def place(self) -> str:
        """Scheme, host and port, fit for a message."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def server(self) -> str:
        """What is asked, fit for a message."""
        return Told("Prometheus", f"Prometheus at {self.place}")

    @property
    def caller(self) -> str:
        """Who asks, fit for a message."""
        if self.token or self.token_file:
            return "this server's token"
        return Told("this server's user", f"user {self.username!r}") if self.username else "a question without a token"
