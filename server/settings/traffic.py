"""The settings of what one user, one address and one connection may have of a server that all share."""

from server.settings.field import Group, Seconds, setting


class TrafficSettings(Group):
    """What one user, one address and one connection may have, in each process; more is refused by 429 or 503."""

    user_rate: int = setting(
        500,
        "Requests of a user a second, operations over WebSocket among them; four times as many at once.",
        values="a number, 0 (as many as come) to 1000000",
        ge=0,
        le=1_000_000,
    )
    address_rate: int = setting(
        2_000,
        "Requests of an address a second, likewise; behind a proxy name it in OPENMCP_TRUSTED_PROXIES.",
        values="a number, 0 (as many as come) to 1000000",
        ge=0,
        le=1_000_000,
    )
    user_calls: int = setting(
        200, "Calls of a user that are passed on to members at once.", values="a number, 1 to 100000", ge=1, le=100_000
    )
    user_streams: int = setting(
        500,
        "Watches, followed logs, exec and port-forward of a user that are passed on at once.",
        values="a number, 1 to 100000",
        ge=1,
        le=100_000,
    )
    user_websockets: int = setting(
        200,
        "WebSockets and streams of events of a user that are open on `/graphql`.",
        values="a number, 1 to 100000",
        ge=1,
        le=100_000,
    )
    max_connections: int = setting(
        0,
        "Connections of all callers; nearly there, those that nobody uses are closed. 0, and at most: half of the "
        "descriptors that the process may have, since a call to a member needs another.",
        values="a number, 0 to 1000000",
        ge=0,
        le=1_000_000,
    )
    address_connections: int = setting(
        2_000,
        "Connections of an address that is no proxy of OPENMCP_TRUSTED_PROXIES; three quarters of all at most.",
        values="a number, 1 to 1000000",
        ge=1,
        le=1_000_000,
    )
    stall_timeout: Seconds = setting(
        30.0,
        "How long a caller may take nothing of an answer, stream or WebSocket that has bytes for it, before it is cut "
        "off; silence costs nobody a stream.",
        values="a duration, 1s to 1h",
        ge=1,
        le=3600,
    )
