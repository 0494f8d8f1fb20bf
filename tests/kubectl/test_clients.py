"""Clients on the official libraries, Python and Go, through this server."""

import asyncio
import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client as kube
from kubernetes import config, watch
from kubernetes.stream import stream

from realfleet.build_clients import find_client
from realfleet.cache import MissingServersError
from tests.fakes.waiting import PATIENCE
from tests.kubectl.conftest import Both
from tests.kubectl.running import NAMESPACE, Kubectl, Outcome, stop
from tests.required import go_without

pytestmark = [
    pytest.mark.real,
    # The Python client leaves sockets for the garbage collector to close.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

# By hand a minute and more; in every run a few seconds.
INFORMER_SECONDS = float(os.environ.get("INFORMER_SECONDS", "6"))


def find_or_skip(name: str) -> Path:
    try:
        return find_client(name)
    except MissingServersError as error:
        go_without(f"run make real: {error}")


@pytest.fixture
def python(stage: Both) -> Iterator[kube.CoreV1Api]:
    loaded = config.new_client_from_config(str(stage.through.kubeconfig), context="cluster1")  # type: ignore[no-untyped-call]  # the library has no types here
    with loaded as opened:
        yield kube.CoreV1Api(opened)
    del loaded, opened
    gc.collect()  # here, and not in another test


async def test_the_python_client_lives_through_an_objects_life(python: kube.CoreV1Api) -> None:
    def live() -> list[Any]:
        made = kube.V1ConfigMap(metadata=kube.V1ObjectMeta(name="python"), data={"a": "1"})
        created = python.create_namespaced_config_map(NAMESPACE, made)
        patched = python.patch_namespaced_config_map("python", NAMESPACE, {"data": {"b": "2"}})
        listed = python.list_namespaced_config_map(NAMESPACE, limit=1)
        python.delete_namespaced_config_map("python", NAMESPACE)
        assert patched.metadata is not None
        managers = {entry.manager for entry in patched.metadata.managed_fields or ()}
        return [created.data, patched.data, len(listed.items), managers]

    # The manager's name comes from the caller's own User-Agent.
    expected = [{"a": "1"}, {"a": "1", "b": "2"}, 1, {"OpenAPI-Generator"}]
    assert await asyncio.to_thread(live) == expected


async def test_the_python_client_is_told_errors_as_it_knows_them(python: kube.CoreV1Api) -> None:
    with pytest.raises(kube.ApiException) as caught:
        await asyncio.to_thread(python.read_namespaced_pod, "none", NAMESPACE)
    assert (caught.value.status, json.loads(caught.value.body or "")["reason"]) == (404, "NotFound")


async def test_the_python_client_runs_commands(python: kube.CoreV1Api) -> None:
    def run() -> tuple[str, str, int]:
        socket = stream(
            python.connect_get_namespaced_pod_exec,
            "box",
            NAMESPACE,
            container="box",
            command=["sh", "-c", "echo out; echo err >&2"],
            stdout=True,
            stderr=True,
            _preload_content=False,
        )
        try:
            socket.run_forever(timeout=20)
            return socket.read_stdout(), socket.read_stderr(), socket.returncode
        finally:
            socket.close()

    assert await asyncio.to_thread(run) == ("out\n", "err\n", 0)


async def test_the_python_client_watches(stage: Both, python: kube.CoreV1Api) -> None:
    def follow() -> list[tuple[str, str]]:
        seen = []
        watching = watch.Watch()  # type: ignore[no-untyped-call]  # the library has no types here
        events = watching.stream(python.list_namespaced_config_map, NAMESPACE, timeout_seconds=20)  # type: ignore[no-untyped-call]  # nor here
        for event in events:
            seen.append((event["type"], event["object"].metadata.name))
            if seen[-1] == ("DELETED", "churned"):
                watching.stop()  # type: ignore[no-untyped-call]  # the library has no types here
        return seen

    following = asyncio.ensure_future(asyncio.to_thread(follow))
    while not following.done():  # nobody says when a watch has begun
        await stage.directly.must("create configmap churned")
        await stage.directly.must("delete configmap churned")
    seen = await following
    assert ("ADDED", "settings") in seen
    assert ("DELETED", "churned") in seen


async def test_informers_follow_churn_without_listing_again(stage: Both) -> None:
    program = find_or_skip("gocaller")
    reports = await asyncio.gather(
        *(_follow(program, kubectl.kubeconfig, stage) for kubectl in (stage.through, stage.directly))
    )
    through, directly = reports
    # Watch-lists take no list at all, and neither informer had to begin anew.
    assert (through["lists"], through["errors"]) == (directly["lists"], directly["errors"])
    assert through["watches"] == directly["watches"]
    assert through["errors"] == 0
    assert through["updated"] > 0
    assert min(through["added"], through["deleted"]) > 5


async def _follow(program: Path, kubeconfig: Path, stage: Both) -> dict[str, int]:
    process = await asyncio.create_subprocess_exec(
        program,
        kubeconfig,
        "cluster1",
        f"{INFORMER_SECONDS}s",
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "HOME": str(kubeconfig.parent)},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(INFORMER_SECONDS + 30):
            assert await process.stdout.readline() == b"synced\n"
            reading = asyncio.ensure_future(process.stdout.readline())
            while not reading.done():
                await asyncio.to_thread(_churn, stage, id(process))
            report: dict[str, int] = json.loads(await reading)
            return report
    finally:
        await stop(process)


def _churn(stage: Both, number: int) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    name = f"churn-{number}"
    stage.member.client.create(path, {"metadata": {"name": name}})
    stage.member.client.merge(f"{path}/{name}", {"data": {"a": "1"}})
    stage.member.client.delete(f"{path}/{name}")


CHART = {
    "Chart.yaml": "apiVersion: v2\nname: small\nversion: 1.0.0\n",
    "templates/settings.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {a: {{ .Values.a | quote }}}\n"
    ),
    "values.yaml": "a: one\n",
}
HELM = (
    "install small {chart}",
    "list --no-headers -q",
    "upgrade small {chart} --set a=two",
    "get manifest small",
    "history small -o json",
    "rollback small 1",
    "uninstall small --wait",
    "status small",
)


async def test_helm_says_and_does_the_same(stage: Both, tmp_path: Path) -> None:
    program = find_or_skip("helm")
    for name, text in CHART.items():
        (tmp_path / "chart" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "chart" / name).write_text(text)
    through = [await _helm(program, stage.through, line, tmp_path) for line in HELM]
    directly = [await _helm(program, stage.directly, line, tmp_path) for line in HELM]
    assert through == directly
    assert [run.code for run in through] == [0] * 7 + [1]
    assert "two" in through[3].output


async def _helm(program: Path, kubectl: Kubectl, line: str, folder: Path) -> Outcome:
    words = line.replace("{chart}", str(folder / "chart")).split()
    head = [f"--kubeconfig={kubectl.kubeconfig}", "--kube-context=cluster1", f"--namespace={NAMESPACE}"]
    process = await asyncio.create_subprocess_exec(
        program,
        *words,
        *head,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate()
    finally:
        await stop(process)
    assert process.returncode is not None
    # Its dates have the weekday's name.
    dated = [part for part in output.decode().splitlines() if not part.startswith("LAST DEPLOYED")]
    return Outcome(process.returncode, "\n".join(dated), errors.decode()).normalised()
