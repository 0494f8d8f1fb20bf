"""What schemathesis checks of each answer beside what is described: it is no fault of the server's own."""

from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, HookContext, Response, graphql

_TIMES = ("2026-01-31T23:59:59Z", "2026-11-30T12:00:00.123456789+09:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
_DURATIONS = ("1h", "90s", "5m", "-1h", "1h30m", "0s", "99999999h", "PT5M")

graphql.scalar("BigInt", st.integers(-(2**70), 2**70).map(graphql.nodes.Int))
graphql.scalar("DateTime", st.one_of(st.sampled_from(_TIMES), st.text()).map(graphql.nodes.String))
graphql.scalar("Duration", st.one_of(st.sampled_from(_DURATIONS), st.text()).map(graphql.nodes.String))
graphql.scalar("JSON", st.one_of(st.integers().map(graphql.nodes.Int), st.text().map(graphql.nodes.String)))


_HEADERS = {
    "Accept": (
        "*/*",
        "text/html",
        "text/csv",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        "text/event-stream",
        ";q=,",
    ),
    "Accept-Encoding": ("gzip", "br;q=0", "gzip, identity;q=0", "*;q=nan"),
    "Content-Encoding": ("gzip", "identity", "x"),
    "If-None-Match": ("*", 'W/"x", "y"', ","),
    "Impersonate-User": ("somebody",),
    "Origin": ("null", "http://elsewhere.example"),
    "Upgrade": ("h2c", "websocket", "SPDY/3.1", ","),
    "X-Forwarded-For": ("10.0.0.1", "::1, x", ","),
    "X-Request-ID": ("a", "a b"),
}


@schemathesis.hook
def flatmap_headers(_context: HookContext, headers: dict[str, str] | None) -> st.SearchStrategy[dict[str, str]]:
    """Whatever is generated, beside headers that change how an answer is made."""
    signs = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.strip)
    more = {name: st.one_of(st.sampled_from(values), signs) for name, values in _HEADERS.items()}
    return st.fixed_dictionaries({}, optional=more).map(lambda drawn: {**drawn, **(headers or {})})


@schemathesis.check
def no_fault_of_ours(_context: CheckContext, response: Response, _case: Case[Any]) -> None:
    """All members and the metric store are well: any 5xx would be this server's, and so is a masked error."""
    assert response.status_code < 500, response.content[:500]
    assert b'"code":"INTERNAL"' not in response.content, response.content[:500]
