"""What kubectl does through this server, as the audit log has it: both ends of streams, writes, and no bodies."""

import json
from typing import Any

import pytest

from tests.fakes.waiting import until
from tests.kubectl.conftest import Both
from tests.kubectl.running import NAMESPACE, stop

pytestmark = pytest.mark.real


async def find(stage: Both, /, **expected: Any) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def look() -> bool:
        lines = map(json.loads, stage.audit_log.read_bytes().splitlines())
        found[:] = [line for line in lines if expected.items() <= line.items()]
        return bool(found)

    await until(look, what=f"a line with {expected}", every=0.05)
    return found[-1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("exec -i box -c box -- sh -c 'echo from-inside; cat'", {"subresource": "exec", "name": "box", "status": 101}),
        ("logs -f box -c box", {"subresource": "log", "verb": "get", "name": "box"}),
        ("get configmaps --watch", {"verb": "watch", "resource": "configmaps"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_stream_has_a_line_at_each_end(stage: Both, line: str, expected: dict[str, Any]) -> None:
    process = await stage.through.start(line)
    try:
        start = await find(stage, kind="stream", stage="start", namespace=NAMESPACE, **expected)
        assert (start["user"], start["cluster"], start["result"]) == ("openmcp", "cluster1", "ok")
    finally:
        await stop(process)
    end = await find(stage, id=start["id"], stage="end")
    assert end["took_ms"] >= start["took_ms"]
    assert b"from-inside" not in stage.audit_log.read_bytes()


async def test_writes_are_lines_and_questions_of_rights_are_none(stage: Both) -> None:
    await stage.through.must("create configmap written --from-literal=a=kept-to-itself")
    created = await find(stage, kind="write", verb="create", resource="configmaps", namespace=NAMESPACE)
    assert (created["status"], created["result"]) == (201, "ok")
    await stage.through.must("auth can-i list pods")
    await stage.through.must("delete configmap written")
    deleted = await find(stage, kind="write", verb="delete", resource="configmaps", name="written")
    assert deleted["credential"] == "token of a sign-in"
    written = stage.audit_log.read_text()
    assert "kept-to-itself" not in written
    assert "selfsubjectaccessreviews" not in written
