"""What `check` says of clusters, keys, files and ports that are not as they should be."""

import os
import socket
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleet.kubernetes.access_reviews import Need
from fleet.kubernetes.proofs import Proofs
from fleet.model.claims import Claims
from fleet.model.objects import ClusterRole
from fleet.ports import MemberSpec
from server.check.cluster_rows import build_cluster_rows
from server.check.clusters import Clusters, Tried, _read_ahead
from server.check.process import check_audit_log, check_descriptors, check_ports
from server.check.rows import Row, find_status, format_rows
from server.check.sign_in import check_key
from server.settings.environment import load_settings
from server.settings.groups import HttpSettings
from tests.processes import COMMAND

SOON = datetime.now(UTC) + timedelta(days=3)
MEMBER = MemberSpec("c1", ClusterRole.MEMBER, None)


def describe(tried: Tried, **variables: str) -> list[str]:
    rows = build_cluster_rows(load_settings(variables), Clusters((), [tried]))
    return [f"{row.state} {row.what}: {row.said} $ {row.mend}" for row in rows if row.state != "ok"]


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        (Tried(MEMBER, ahead=93.0), "warn clock of c1: 93 s ahead of this machine's: ages and"),
        (Tried(MEMBER, ahead=-7.0), "warn clock of c1: 7 s behind this machine's"),
        (Tried(MEMBER, proofs=Proofs(claims=Claims(iat=time.time() + 36e5))), "warn clock of c1: 3"),
        (Tried(MEMBER, proofs=Proofs(certificate_ends_at=SOON)), "warn certificate of c1: its API server's ends on 20"),
        (
            Tried(MEMBER, proofs=Proofs(claims=Claims(exp=time.time() + 60))),
            "warn token of c1: the one that it is shown ends on",
        ),
        (
            Tried(MEMBER, lacking=[Need("apps", "deployments", "list")]),
            "warn rights of c1: this server may not list deployments.apps $",
        ),
        (
            Tried(MEMBER, identity="me", lacking=[Need("", "pods", verb, "x") for verb in ("list", "watch")]),
            "ill rights of c1: me may not list, watch pods in x $",
        ),
        (
            Tried(MEMBER, usage="/apis is answered with 404"),
            "warn usage of c1: can't be collected: /apis is answered with 404 $ kubectl",
        ),
        (Tried(MEMBER, doubts=["it says nothing"]), "warn member c1: ; it says nothing"),
        (Tried(MEMBER, problem="away", refused=True, mend="this"), "ill member c1: away $ this"),
    ],
)
def test_what_is_wrong_with_a_cluster_is_a_row(tried: Tried, said: str) -> None:
    (row, *more) = describe(tried, OPENMCP_COLLECT_TO="embedded")
    assert row.startswith(said), row
    assert [each.partition(":")[0] for each in more] == ["ill credentials"] * tried.refused


@pytest.mark.parametrize("proofs", [Proofs(claims=Claims(exp=time.time() + 60), is_renewed=True), Proofs()])
def test_what_renews_itself_is_no_row(proofs: Proofs) -> None:
    assert describe(Tried(MEMBER, proofs=proofs, ahead=1.0)) == []


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Thu, 01 Jan 1970 00:16:40 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:17:40 GMT", 59.5),
        ("Thu, 01 Jan 1970 00:15:40 GMT", -59.0),
        ("", None),
    ],
)
def test_a_clock_is_off_by_what_no_waiting_explains(date: str, ahead: float | None) -> None:
    assert _read_ahead(date, 1000.0, 1000.5) == ahead


@pytest.mark.parametrize(
    ("key", "state"),
    [
        ("", "ill"),
        ("openmcp-apiserver", "warn"),
        ("0123456789abcdef", "warn"),
        ("ab" * 20, "warn"),
        ("6f1d0b8e5a2c47f39b7e0d1c6a5f48e2", "ok"),
    ],
)
def test_a_key_that_can_be_guessed_is_a_doubt(key: str, state: str) -> None:
    assert check_key(load_settings({"OPENMCP_SIGNING_KEY": key})).state == state


async def test_a_port_that_is_taken_is_ill() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        row = await check_ports(HttpSettings(host="127.0.0.1", port=number, ops_port=0))
    assert (row.state, row.mend) == ("ill", f"ss -ltnp 'sport = :{number}'")
    assert row.said == f"OPENMCP_PORT is {number}, must be a free port of 127.0.0.1 (Address already in use)"


@pytest.mark.parametrize(("target", "state"), [("here", "ok"), ("nowhere/x", "ill"), (".", "ill"), ("-", None)])
def test_the_audit_log_is_not_made(tmp_path: Path, target: str, state: str | None) -> None:
    rows = check_audit_log(load_settings({"OPENMCP_AUDIT_LOG": target if target == "-" else str(tmp_path / target)}))
    assert [row.state for row in rows] == ([state] if state else [])
    assert list(tmp_path.iterdir()) == []


def test_too_few_open_files_for_what_is_asked_are_a_doubt() -> None:
    row = check_descriptors(load_settings({"OPENMCP_MAX_CONNECTIONS": "1000000"}))
    assert (row.state, row.mend[:11]) == ("warn", "ulimit -Hn ")


def test_a_terminal_gets_colours_and_whole_words_and_a_command_is_never_broken() -> None:
    rows = [
        Row("member c1", "ill", "one two three four five six seven", "kubectl a very long command"),
        Row("b", "ok", ""),
    ]
    assert format_rows(rows).splitlines() == [
        "member c1  ILL  one two three four five six seven",
        "                $ kubectl a very long command",
        "b          ok",
    ]
    narrow = format_rows(rows, 40)
    assert "\x1b[31mILL \x1b[0m one two three four five\n                six seven\n" in narrow
    assert "$ kubectl a very long command" in narrow


@pytest.mark.parametrize(
    ("row", "status", "strict"),
    [
        (Row("a", "warn", ""), 0, 0),
        (Row("a", "ill", ""), 1, 1),
        (Row("a", "ill", "", is_member=True), 0, 1),
    ],
)
def test_what_a_command_exits_with(row: Row, status: int, strict: int) -> None:
    assert (find_status([row], strict=False), find_status([row], strict=True)) == (status, strict)


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_can_be_told_off(tmp_path: Path, environ: dict[str, str], coloured: bool) -> None:
    ours, theirs = os.openpty()
    known = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OPENMCP_PORT": "0", "OPENMCP_OPS_PORT": "0", **environ}
    subprocess.run([COMMAND, "check"], env=known, stdout=theirs, stderr=subprocess.DEVNULL, timeout=60, check=False)
    os.close(theirs)
    seen = os.read(ours, 65536)
    os.close(ours)
    assert b"signing key" in seen
    assert (b"\x1b[31mILL" in seen) == coloured
