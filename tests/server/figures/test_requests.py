"""What is asked is counted by route, and takes no more memory for whoever invents paths, methods and names."""

from starlette.types import Scope

from graph.figures import IDLE_SECONDS, MOST_NAMES, OFTEN, OTHER, Names, Operations
from server.asgi.requests import RequestCounts, Routes

ROUTES = Routes(["/graphql", "/graphql/", "/token", "/healthz", "/", "api", "clusters", "metrics", "/graphiql/{file}"])


def scope(path: str, method: str = "GET") -> Scope:
    return {"type": "http", "path": path, "method": method}


def test_a_path_is_told_by_its_route() -> None:
    told = {
        "/graphql": "/graphql",
        "/graphql/": "/graphql",
        "/": "/",
        "/clusters/c1/api/v1/pods": "/clusters/*",
        "/api/v1/secrets": "/api/*",
        "/metrics/nodes/n1": "/metrics/*",
        "/graphiql/x.js": "/graphiql/*",
        "/etc/passwd": "other",
        "/tokens": "other",
    }
    assert {path: ROUTES.find(path) for path in told} == told


def test_what_is_made_up_is_counted_as_one() -> None:
    counts = RequestCounts()
    for number in range(1000):
        path = f"/{number}/x"
        counts.note(ROUTES.find(path), scope(path, f"METHOD{number}"), 400 + number % 599, 0.01)
    assert len(counts.durations) == 1
    assert {(route, method) for route, method, _ in counts.counts} == {("other", "other")}
    assert len(counts.counts) < 70


def test_a_stream_s_length_is_nobody_s_latency() -> None:
    counts = RequestCounts()
    counts.note("/api/*", {**scope("/api/v1/pods"), "streams": True}, 200, 300.0)
    counts.note("/api/*", scope("/api/v1/pods"), 101, 300.0)
    counts.note("/api/*", scope("/api/v1/pods"), 0, 0.3)
    assert counts.counts.total() == 3
    assert counts.counts["/api/*", "GET", "499"] == 1
    assert counts.durations["/api/*"].cumulated() == [0, 0, 0, 1, 1, 1, 1]


def test_names_that_are_asked_often_have_a_place_and_lose_it_when_nobody_asks() -> None:
    names = Names()
    for number in range(10 * MOST_NAMES):
        for _ in range(OFTEN):
            found, _ = names.find(f"Page{number}", float(number))
        assert found == (f"Page{number}" if number < MOST_NAMES else OTHER)
    assert names.find("Page0", IDLE_SECONDS) == ("Page0", None)
    assert names.find(None, 0.0) == ("anonymous", None)
    assert {names.find("N" * 10_000, 0.0) for _ in range(OFTEN)} == {(OTHER, None)}
    for _ in range(OFTEN):
        found, gone = names.find("Late", IDLE_SECONDS + 2.0)
    assert (found, gone) == ("Late", "Page1")


def test_an_operation_that_loses_its_place_leaves_nothing() -> None:
    operations = Operations(Names(1))
    for name in ("First", "Second"):
        for _ in range(OFTEN):
            operations.note("ok", 0.0, name, 3)
    assert set(operations.durations) == {"First", "other"}
    assert operations.outcomes["other", "ok"] == 2 * OFTEN - 1
    assert operations.cost == 2 * OFTEN * 3
