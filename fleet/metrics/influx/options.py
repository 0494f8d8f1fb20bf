"""Where an InfluxDB is, who asks it in which language, and what that may cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from fleet.model.told import Told


class Dialect(Enum):
    """The language of the queries: 1.x, and the 1.x route of a 2.x, know InfluxQL; 2.x knows Flux."""

    INFLUXQL = "influxql"
    FLUX = "flux"


@dataclass(frozen=True, slots=True)
class InfluxOptions:
    """What a store is opened with; times in seconds.

    `database` is the bucket of a 2.x, `org` its organisation, both by name. A `token`, which only a 2.x takes, goes
    before a user and a password. `timeout` bounds a whole query. `lookback` is how old the newest point of an
    object may be to count as its usage. `max_answer_bytes` bounds an answer; `connections` the queries at once.
    `types_kept` is how long it is known which fields are stored in several types: collectors report about as often.
    `newest_kept` is how long a question for one object's newest point answers all who ask the same: pages ask again and
    again for what a collector writes each few seconds.
    """

    url: str
    database: str = "Metrics"
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    org: str = ""
    dialect: Dialect = field(default=Dialect.INFLUXQL, kw_only=True)
    timeout: float = field(default=5.0, kw_only=True)
    lookback: float = field(default=3600.0, kw_only=True)
    max_answer_bytes: int = field(default=64 * 1024 * 1024, kw_only=True)
    connections: int = field(default=4, kw_only=True)
    types_kept: float = field(default=15.0, kw_only=True)
    newest_kept: float = field(default=1.0, kw_only=True)

    @property
    def place(self) -> str:
        """Scheme, host and port, fit for a message."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def product(self) -> str:
        return "InfluxDB"

    @property
    def server(self) -> str:
        """What is asked, fit for a message."""
        return Told("InfluxDB", f"InfluxDB at {self.place}")

    @property
    def caller(self) -> str:
        """Who asks, fit for a message."""
        if self.token:
            return "this server's token"
        return Told("this server's user", f"user {self.username!r}") if self.username else "a query without a user"

    def as_credential(self) -> Mapping[str, Any]:
        """As the client library takes it: its own `username` and `password` would call the sign-in of a 2.x."""
        if self.username and not self.token:
            return {"token": f"{self.username}:{self.password}", "auth_basic": True}
        return {"token": self.token, "org": self.org}
