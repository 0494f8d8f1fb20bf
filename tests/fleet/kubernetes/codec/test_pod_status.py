"""What kubectl's columns say of a pod: each case was taken from the rules of the API server's own printer."""

from typing import Any

import msgspec
import pytest

from fleet.kubernetes.codec.pod_status import pod_columns
from fleet.kubernetes.codec.pods import decode_pod
from tests.fleet.kubernetes.codec.objects import pod, running, terminated, waiting

DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
READY = [{"type": "Ready", "status": "True"}]
INITIALIZED = [{"type": "Initialized", "status": "True"}]
GATED = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]

CASES: dict[str, tuple[dict[str, Any], tuple[str, int, int, int]]] = {
    "pending": (pod("Pending"), ("Pending", 0, 1, 0)),
    "running": (pod("Running", [running()]), ("Running", 1, 1, 0)),
    "half ready": (pod("Running", [running(), running(ready=False)]), ("Running", 1, 2, 0)),
    "no phase": (pod(""), ("", 0, 1, 0)),
    "evicted": (pod("Failed", reason="Evicted"), ("Evicted", 0, 1, 0)),
    "scheduling gated": (pod("Pending", conditions=GATED), ("SchedulingGated", 0, 1, 0)),
    "creating": (pod("Pending", [waiting("ContainerCreating")]), ("ContainerCreating", 0, 1, 0)),
    "image": (pod("Pending", [waiting("ImagePullBackOff")]), ("ImagePullBackOff", 0, 1, 0)),
    "crash loop": (pod("Running", [waiting("CrashLoopBackOff", restartCount=5)]), ("CrashLoopBackOff", 0, 1, 5)),
    "first waits": (
        pod("Running", [waiting("CrashLoopBackOff", restartCount=2), running(restartCount=1)]),
        ("CrashLoopBackOff", 1, 2, 3),
    ),
    "first has the last word": (
        pod("Running", [waiting("ErrImagePull"), waiting("CrashLoopBackOff")]),
        ("ErrImagePull", 0, 2, 0),
    ),
    "waits without a reason": (pod("Pending", [waiting("")]), ("Pending", 0, 1, 0)),
    "completed": (pod("Succeeded", [terminated(0, "Completed")]), ("Completed", 0, 1, 0)),
    "error": (pod("Failed", [terminated(1, "Error")]), ("Error", 0, 1, 0)),
    "oom": (pod("Failed", [terminated(137, "OOMKilled")]), ("OOMKilled", 0, 1, 0)),
    "signal": (pod("Failed", [terminated(137, "", 9)]), ("Signal:9", 0, 1, 0)),
    "exit code": (pod("Failed", [terminated(3)]), ("ExitCode:3", 0, 1, 0)),
    "completed beside a ready one": (
        pod("Running", [terminated(0, "Completed"), running()], conditions=READY),
        ("Running", 1, 2, 0),
    ),
    "completed beside one, pod not ready": (
        pod("Running", [terminated(0, "Completed"), running()]),
        ("NotReady", 1, 2, 0),
    ),
    "completed before an error": (
        pod("Failed", [terminated(0, "Completed"), terminated(2, "Error")]),
        ("Error", 0, 2, 0),
    ),
    "terminating": (pod("Running", [running()], metadata=DELETED), ("Terminating", 1, 1, 0)),
    "deleted when finished": (
        pod("Succeeded", [terminated(0, "Completed")], metadata=DELETED),
        ("Completed", 0, 1, 0),
    ),
    "node lost": (pod("Running", [running()], metadata=DELETED, reason="NodeLost"), ("Unknown", 1, 1, 0)),
    "init waits": (
        pod("Pending", [waiting("PodInitializing")], init=[waiting("PodInitializing")]),
        ("Init:0/1", 0, 1, 0),
    ),
    "init runs": (pod("Pending", init=[terminated(0), running(ready=False)]), ("Init:1/2", 0, 1, 0)),
    "init crash loop": (
        pod("Pending", init=[waiting("CrashLoopBackOff", restartCount=4)]),
        ("Init:CrashLoopBackOff", 0, 1, 4),
    ),
    "init exit code": (pod("Pending", init=[terminated(2)]), ("Init:ExitCode:2", 0, 1, 0)),
    "init signal": (pod("Pending", init=[terminated(137, "", 9)]), ("Init:Signal:9", 0, 1, 0)),
    "init error": (pod("Pending", init=[terminated(1, "Error", restartCount=1)]), ("Init:Error", 0, 1, 1)),
    "init done": (
        pod("Pending", [waiting("PodInitializing")], init=[terminated(0, restartCount=3)]),
        ("PodInitializing", 0, 1, 0),
    ),
    "init restarts do not count later": (
        pod("Running", [running(restartCount=1)], init=[terminated(0, restartCount=3)]),
        ("Running", 1, 1, 1),
    ),
    "sidecar": (
        pod("Running", [running()], init=[running(started=True, restartCount=2)], sidecars=1),
        ("Running", 2, 2, 2),
    ),
    "sidecar not ready": (
        pod("Running", [running()], init=[running(started=True, ready=False)], sidecars=1),
        ("Running", 1, 2, 0),
    ),
    "sidecar starting": (
        pod("Pending", init=[running(started=False, ready=False), waiting("PodInitializing")], sidecars=1),
        ("Init:0/2", 0, 2, 0),
    ),
    "sidecar broken after start": (
        pod("Running", [running()], init=[waiting("CrashLoopBackOff")], sidecars=1, conditions=INITIALIZED),
        ("Init:CrashLoopBackOff", 1, 2, 0),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_columns(case: str) -> None:
    manifest, expected = CASES[case]
    assert pod_columns(decode_pod(msgspec.json.encode(manifest))) == expected
