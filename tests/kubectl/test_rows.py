"""What kubectl does through this server is what it does directly: each row is run both ways and compared."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kubectl.conftest import Both
from tests.kubectl.running import Kubectl, Outcome

pytestmark = pytest.mark.real

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made}\ndata: {a: '1'}\n"
CHANGED = CONFIG.replace("'1'", "'2'")
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: gone}\nspec: {containers: [{name: a, image: 'a:1'}]}\n"


@dataclass(frozen=True)
class Row:
    """Lines whose outcomes are compared, between lines (run directly) that set the stage and clear it."""

    name: str
    lines: tuple[str, ...]
    stdin: str = ""
    before: tuple[tuple[str, str], ...] = ()
    after: tuple[str, ...] = ()
    code: int = 0


MADE = ("apply -f -", CONFIG)
UNMADE = ("delete configmap made --ignore-not-found",)

ROWS = (
    Row("get", ("get deployments,pods,configmaps -o wide", "get pod box -o yaml", "get nodes")),
    Row("get of what is not there", ("get pod none", "get nosuchkinds"), code=1),
    Row("get in pages", ("get pods -A --chunk-size=5", "get pods -A -l app=web --field-selector=status.phase=Running")),
    Row("get raw", ("get --raw /version", "get --raw /readyz?verbose", "get --raw /openapi/v3")),
    Row("describe", ("describe pod box", "describe deployment web", "describe node kube1-worker1")),
    Row("create", ("create -f -",), CONFIG, after=UNMADE),
    Row("create what is there", ("create -f -",), CONFIG, before=(MADE,), after=UNMADE, code=1),
    Row("apply", ("apply -f -", "apply -f -"), CONFIG, after=UNMADE),
    Row("apply, server side", ("apply --server-side -f -", "apply --server-side -f -"), CONFIG, after=UNMADE),
    Row(
        "a conflict of apply, server side",
        ("apply --server-side --field-manager=other -f -",),
        CHANGED,
        before=(("apply --server-side -f -", CONFIG),),
        after=UNMADE,
        code=1,
    ),
    Row("apply of nonsense", ("apply -f -",), CONFIG.replace("data:", "date:"), code=1),
    Row("diff", ("diff -f -",), CHANGED, before=(MADE,), after=UNMADE, code=1),
    Row("patch", ("""patch configmap made --type=merge -p '{"data":{"b":"2"}}'""",), before=(MADE,), after=UNMADE),
    Row("label and annotate", ("label configmap made x=y", "annotate configmap made x=y"), "", (MADE,), UNMADE),
    Row("replace", ("replace -f -",), CHANGED, before=(MADE,), after=UNMADE),
    Row("delete", ("delete configmap made",), before=(MADE,)),
    Row("delete a pod and wait", ("delete pod gone --timeout=60s",), before=(("create -f -", POD),)),
    Row("wait", ("wait --for=condition=Ready pod/box --timeout=60s",)),
    Row("wait in vain", ("wait --for=condition=Nosuch pod/box --timeout=1s",), code=1),
    Row("scale", ("scale deployment web --replicas=3",), after=("scale deployment web --replicas=2",)),
    Row(
        "rollout",
        ("set image deployment/web web=web:2", "rollout status deployment/web --timeout=60s"),
        after=("rollout undo deployment/web", "rollout status deployment/web --timeout=60s"),
    ),
    Row(
        "rollout restart",
        ("rollout restart deployment/again",),
        before=(("create deployment again --image=again:1 --replicas=0", ""),),
        after=("delete deployment again",),
    ),
    Row("rollout history", ("rollout history deployment/web",)),
    Row(
        "logs",
        ("logs box -c box --tail=5", "logs box -c side --tail=2 --prefix", "logs deployment/web --tail=1"),
    ),
    Row("logs of no container", ("logs box -c nope",), code=1),
    Row("exec", ("exec box -c box -- sh -c 'echo out; echo $REALFLEET'",)),
    Row("exec with input", ("exec -i box -c box -- sh -c 'read line; echo got $line'",), "a line\n"),
    Row("exec that fails", ("exec box -c box -- sh -c 'echo said; exit 7'",), code=1),
    Row("exec in no container", ("exec box -c nope -- ls",), code=1),
    Row("exec in no pod", ("exec nobody -- ls",), code=1),
    # Not to a pod: kwok never tells a command that its input has ended, so tar waits for ever, directly as well.
    Row("cp from a pod", ("cp box:{dir}/sent {dir}/back -c box", "exec box -c box -- cmp {dir}/sent {dir}/back")),
    Row("auth can-i", ("auth can-i create pods", "auth can-i --list")),  # whoami tells the caller: test_can_i
    # Of all groups there is one more through here: test_top_by_usage.
    Row("api-resources", ("api-resources --api-group=", "api-resources --api-group=apps", "version", "cluster-info")),
    Row("explain", ("explain pods.spec.containers", "explain deployment --recursive")),
    Row("events", ("events --for=pod/box", "get events --field-selector=involvedObject.name=box")),
    Row("cordon", ("cordon kube1-worker3", "uncordon kube1-worker3")),
    Row(
        "drain",
        ("drain kube1-worker3 --pod-selector=app=web --timeout=60s",),
        # One pod, whose node is drained: it is made anew elsewhere.
        before=(("get nodes", ""),),
        after=("uncordon kube1-worker3",),
    ),
    Row(
        "drain of what nobody makes anew",
        ("drain kube1-worker1 kube1-worker2 kube1-worker3 --pod-selector=app=box",),
        after=("uncordon kube1-worker1 kube1-worker2 kube1-worker3",),
        code=1,
    ),
    Row("create token", ("create token default --duration=10m -o name",)),
    Row("debug nothing", ("debug nobody --image=x",), code=1),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_kubectl_says_and_does_the_same(stage: Both, row: Row, tmp_path: Path) -> None:
    (tmp_path / "sent").write_text("a file\n" * 1000)
    through, directly = await _play_both(stage, row, tmp_path)
    for _ in range(2):  # the fleet lives: a pod may have come or gone between the two, but not each time
        if [run.normalised() for run in through] != [run.normalised() for run in directly]:
            through, directly = await _play_both(stage, row, tmp_path)
    assert [run.normalised() for run in through] == [run.normalised() for run in directly]
    assert through[-1].code == row.code, through[-1]


async def _play_both(stage: Both, row: Row, folder: Path) -> tuple[list[Outcome], list[Outcome]]:
    through = await _play(stage, stage.through, row, folder)
    return through, await _play(stage, stage.directly, row, folder)


async def _play(stage: Both, kubectl: Kubectl, row: Row, folder: Path) -> list[Outcome]:
    for line, stdin in row.before:
        await stage.directly.must(line, stdin)
    try:
        return [await kubectl.run(line.replace("{dir}", str(folder)), row.stdin) for line in row.lines]
    finally:
        for line in row.after:
            await stage.directly.must(line)
