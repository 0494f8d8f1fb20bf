"""The text of a slow query is known by its hash, and shown without what may be a secret in it."""

import hashlib
import logging

import pytest

from fleet.aio.recorder import calling, note_cached
from graph.operation import Operation
from graph.slow_queries import MAX_TEXT, SlowQueries, hide_literals

SECRET = "hunter2-of-the-query"
TEXT = f'''
query Named($n: Int = 7, $s: String = "{SECRET}") {{  # {SECRET}
  pods(first: $n, filter: {{ name: "{SECRET}", restarts: {{ min: 12345 }}, text: """{SECRET}""" }}) {{
    items {{ alias: name @include(if: true) }}
  }}
}}
'''


def test_literals_are_hidden_and_what_is_asked_is_left() -> None:
    assert hide_literals(TEXT) == (
        'query Named($n: Int = 0, $s: String = "*") { pods(first: $n, filter: '
        '{ name: "*", restarts: { min: 0 }, text: "*" }) { items { alias: name @include(if: true) } } }'
    )
    assert hide_literals(f"{{ pods(name: {SECRET!r}") is None


def test_a_slow_query_is_told_by_hash_and_its_text_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "graph")
    slow = SlowQueries(1e-9)
    for _ in range(2):
        with slow.watching(Operation(TEXT, {"s": SECRET}, SECRET)), calling("cluster1"):
            note_cached("cluster1", 3)
            note_cached("cluster2", 4)
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "slow query without a name",
        f"the text of {digest}, without its literals",
        "slow query without a name",
    ]
    fields = caplog.records[0].__dict__["fields"]
    known = ("sha256", "clusters", "calls", "rows")
    assert {name: fields[name] for name in known} == {"sha256": digest, "clusters": 2, "calls": 1, "rows": 7}
    assert list(fields["waited_ms"]) == ["cluster1"]
    assert SECRET not in f"{[vars(record) for record in caplog.records]}"


@pytest.mark.parametrize(("seconds", "lines"), [(0.0, 0), (3600.0, 0), (1e-9, 2)])
def test_what_is_slow_is_a_setting(caplog: pytest.LogCaptureFixture, seconds: float, lines: int) -> None:
    caplog.set_level(logging.INFO, "graph")
    with SlowQueries(seconds).watching(Operation(f"{{ {'a ' * MAX_TEXT}}}", None, None)):
        pass
    assert len(caplog.records) == lines
    assert all(len(record.getMessage()) < MAX_TEXT + 200 for record in caplog.records)
