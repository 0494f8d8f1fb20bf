"""What the ops port tells of the shared state."""

import re
from pathlib import Path

from fleet.replication.figures import MemberFigures
from server.figures.state import build_state_exposition


def test_each_cluster_has_its_figures() -> None:
    written = MemberFigures(cluster="c1", writes=True, last_sequence=12, pending=3, published=9, lists=4)
    followed = MemberFigures(cluster='a"b', writes=False, lag_seconds=0.0125, received_bytes=2**60, snapshots=1)
    lines = build_state_exposition([written, followed], connected=True).splitlines()
    assert {
        "openmcp_state_connected 1",
        'openmcp_state_writer{cluster="c1"} 1',
        'openmcp_state_writer{cluster="a\\"b"} 0',
        'openmcp_state_lag_seconds{cluster="a\\"b"} 0.0125',
        'openmcp_state_last_sequence{cluster="c1"} 12',
        'openmcp_state_pending{cluster="c1"} 3',
        'openmcp_state_messages_published_total{cluster="c1"} 9',
        'openmcp_state_lists_total{cluster="c1"} 4',
        f'openmcp_state_bytes_received_total{{cluster="a\\"b"}} {2**60}',
        'openmcp_state_snapshots_total{cluster="a\\"b"} 1',
        "# TYPE openmcp_state_snapshots_total counter",
        "# TYPE openmcp_state_pending gauge",
    } <= set(lines)
    assert not [line for line in lines if line.startswith('openmcp_state_lag_seconds{cluster="c1"}')]


def test_a_replica_that_knows_no_cluster_tells_whether_nats_is_there() -> None:
    assert "openmcp_state_connected 0" in build_state_exposition([], connected=False).splitlines()


def test_the_page_names_all_of_them() -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "replicas.md"
    text = build_state_exposition([], connected=True)
    assert set(re.findall("`(openmcp_state_[a-z_]+)`", page.read_text())) == set(re.findall("# TYPE (\\S+)", text))
