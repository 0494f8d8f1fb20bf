"""What the ops port tells of the shared state."""

import re
from pathlib import Path

from fleet.replication.figures import MemberFigures
from server.figures.state import FIGURES, Shared
from tests.server.figures.reading import write


def test_each_cluster_has_its_figures() -> None:
    written = MemberFigures(cluster="c1", writes=True, last_sequence=12, pending=3, published=9, lists=4)
    followed = MemberFigures(cluster='a"b', writes=False, lag_seconds=0.0125, received_bytes=2**60, snapshots=1)
    lines = write(FIGURES, Shared(True, (written, followed))).splitlines()
    assert {
        "openmcp_state_connected 1.0",
        'openmcp_state_writer{cluster="c1"} 1.0',
        'openmcp_state_writer{cluster="a\\"b"} 0.0',
        'openmcp_state_lag_seconds{cluster="a\\"b"} 0.0125',
        'openmcp_state_last_sequence{cluster="c1"} 12.0',
        'openmcp_state_pending{cluster="c1"} 3.0',
        'openmcp_state_messages_published_total{cluster="c1"} 9.0',
        'openmcp_state_lists_total{cluster="c1"} 4.0',
        'openmcp_state_bytes_received_total{cluster="a\\"b"} 1.152921504606847e+18',
        'openmcp_state_snapshots_total{cluster="a\\"b"} 1.0',
        "# TYPE openmcp_state_snapshots_total counter",
        "# TYPE openmcp_state_pending gauge",
    } <= set(lines)
    assert not [line for line in lines if line.startswith('openmcp_state_lag_seconds{cluster="c1"}')]


def test_a_replica_that_knows_no_cluster_tells_whether_nats_is_there() -> None:
    assert "openmcp_state_connected 0.0" in write(FIGURES, Shared(False, ())).splitlines()


def test_the_page_names_all_of_them() -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "replicas.md"
    assert set(re.findall("`(openmcp_state_[a-z_]+)`", page.read_text())) == {figure.name for figure in FIGURES}
