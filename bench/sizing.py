"""`make bench sizing`: what a server takes at three sizes of fleet, and the formula that fits them.

Simulated members in a process of their own, usage of all pods collected into the embedded store. CPU and memory are
what the system counts of the server's process, so that they hold on a busy machine too; times do not, and none is here.
At a fourth size the formula is compared with what is measured there. `--write` keeps it in `docs/reference/sizing.md`.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import uvloop
from msgspec import Struct, structs

from bench.__main__ import describe_machine
from bench.load import Ask, time_answers
from bench.questions import Question, Way, count_near
from bench.servers import Running, Simulated, open_server, open_simulated, wait_pods
from bench.shared_state import check_linux, read_cpu, read_resident

PAGE = Path(__file__).parents[1] / "docs/reference/sizing.md"
MEASURED = "<!-- what follows is written by make bench sizing -->\n"
SIZES = ((3, 100), (40, 250), (15, 2_000))
"""Members and pods of each, so far apart that what a member takes is told from what a pod takes."""
BETWEEN = (20, 500)
INTERVAL = 15.0
"""Seconds between two rounds of the collector, as is the default."""

_ROUNDS = 3
_CHANGES = 100.0  # a second
_ASKED = 100
_KIB, _MIB = 1024, 1024**2

_PAGE = Question(
    """query ($n: Int = 100) { pods(first: $n) { totalCount pageInfo { endCursor }
      items { id namespace name status restarts nodeName cluster { name } usage { cpuCores memoryBytes } } } }""",
    lambda number: {"n": count_near(100, number)},
)
_CHART = Question(
    """query ($n: Int = 20) { pods(first: $n) {
      items { id history(last: "1h", step: "1m") { start cpuCores memoryBytes } } } }""",
    lambda number: {"n": count_near(20, number)},
)
_OVERVIEW = Question(
    """query ($n: Int = 10) { clusters { name health podCounts(by: PHASE) { key count } allocatable { cpuCores } }
      problems(first: $n) { totalCount items { cause reason count } } }""",
    lambda number: {"n": count_near(10, number)},
)


class Taken(Struct, frozen=True):
    """What one size took: MiB, cores, and seconds of CPU an answer."""

    members: int
    pods: int
    memory: float
    """Resident after all of it, in MiB."""
    peak: float
    """The most that was resident, in MiB: lists of all members at once at the start are in it."""
    collecting: float
    """Cores while nothing changes and nobody asks."""
    change: float
    """Seconds of CPU a change of a pod."""
    answers: dict[str, float]
    """Seconds of CPU an answer, by kind of question."""


class Formula(Struct, frozen=True):
    """What is fitted. Memory in MiB, CPU in cores or seconds."""

    base: float
    member: float
    pod: float
    collected_pod: float
    """Cores for a pod whose usage is collected each INTERVAL."""
    collected_member: float
    change: float
    answer: float
    peak: float
    """The most that was resident, as a multiple of what stayed."""

    def memory(self, members: int, pods: int) -> float:
        return self.base + self.member * members + self.pod * pods

    def cpu(self, members: int, pods: int, changes: float, answers: float) -> float:
        still = self.collected_member * members + self.collected_pod * pods
        return still + self.change * changes + self.answer * answers


async def take(members: int, pods: int) -> Taken:
    """Measures one size. `pods` are a member's."""
    more = {"OPENMCP_COLLECT_INTERVAL": f"{INTERVAL:g}s"}
    async with open_simulated(members, pods) as fleet, open_server(fleet.kubeconfig, more) as server:
        await wait_pods(server, members * pods, seconds=300.0)
        await asyncio.sleep(INTERVAL * 2)  # the first rounds make the file and fill caches
        still = await _count_cores(server, INTERVAL * _ROUNDS)
        await fleet.churn(_CHANGES)
        changing = await _count_cores(server, INTERVAL)
        await _end_churn(fleet)
        answers = {name: await _count_answer(server, asks, still) for name, asks in _iter_asks(server)}
        return Taken(
            members=members,
            pods=members * pods,
            memory=read_resident(server.pid) / _MIB,
            peak=_read_peak(server.pid),
            collecting=still,
            change=max(0.0, changing - still) / _CHANGES,
            answers=answers,
        )


def _iter_asks(server: Running) -> Iterator[tuple[str, Sequence[Ask]]]:
    for name, question in (("page", _PAGE), ("chart", _CHART), ("overview", _OVERVIEW)):
        yield name, list(islice(question.iter_asks(Way.VARIABLES, server), _ASKED))
    yield "legacy list", [server.ask("/api/v1/namespaces/default/pods?clustername=cluster1")] * _ASKED


async def _count_cores(server: Running, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    began, before = loop.time(), read_cpu(server.pid)
    await asyncio.sleep(seconds)
    return (read_cpu(server.pid) - before) / (loop.time() - began)


async def _count_answer(server: Running, asks: Sequence[Ask], still: float) -> float:
    loop = asyncio.get_running_loop()
    began, before = loop.time(), read_cpu(server.pid)
    await time_answers(asks)
    spent = read_cpu(server.pid) - before - still * (loop.time() - began)
    return max(0.0, spent) / len(asks)


async def _end_churn(fleet: Simulated) -> None:
    await fleet.churn(1e-6)


def _read_peak(pid: int) -> float:
    """The most that was resident, in MiB. Source: proc(5), /proc/pid/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / _KIB


def fit(taken: Sequence[Taken]) -> Formula:
    """The least squares of what was taken; of what is not in proportion to the fleet, the largest."""
    ones, members, pods = np.array([(1.0, each.members, each.pods) for each in taken]).T
    base, member, pod = np.linalg.lstsq(
        np.stack([ones, members, pods], 1), [each.memory for each in taken], rcond=None
    )[0]
    of_member, of_pod = np.linalg.lstsq(np.stack([members, pods], 1), [each.collecting for each in taken], rcond=None)[
        0
    ]
    return Formula(
        base=base,
        member=max(0.0, member),
        pod=pod,
        collected_member=max(0.0, of_member),
        collected_pod=max(0.0, of_pod),
        change=max(each.change for each in taken),
        answer=max(sum(each.answers.values()) / len(each.answers) for each in taken),
        peak=max(each.peak / each.memory for each in taken),
    )


def _solve(columns: Sequence[np.ndarray], values: Sequence[float]) -> list[float]:
    return list(map(float, np.linalg.lstsq(np.stack(columns, 1), np.array(values), rcond=None)[0]))


def describe(taken: Sequence[Taken], between: Taken) -> str:
    """The table and the formula, in Markdown."""
    formula = fit(taken)
    kinds = list(between.answers)
    head = ["members", "pods", "memory", "peak", "collecting", "a change", *kinds]
    lines = ["| " + " | ".join(head) + " |", "|" + " ---: |" * len(head)]
    for each in (*taken, between):
        cells = [f"{each.members}", f"{each.pods:,}", f"{each.memory:.0f} MiB", f"{each.peak:.0f} MiB"]
        cells += [f"{each.collecting:.3f} cores", f"{each.change * 1e3:.2f} ms"]
        cells += [f"{each.answers[kind] * 1e3:.1f} ms" for kind in kinds]
        lines.append("| " + " | ".join(cells) + " |")
    expected = formula.memory(between.members, between.pods)
    kept = f"{formula.base:.0f} MiB + {formula.member:.2f} MiB x members + {formula.pod * _KIB:.2f} KiB x pods"
    still = f"{formula.collected_member * 1e3:.2f} m x members + {formula.collected_pod * 1e6:.1f} m x 1,000 pods"
    asked = f"{formula.change * 1e3:.2f} m x changes a second + {formula.answer * 1e3:.1f} m x answers a second"
    where = f"at {between.members} members with {between.pods:,} pods"
    remarks = (
        f"- memory = {kept}; for the start {formula.peak:.2f} times as much",
        f"- cores = {still} + {asked}",
        f"- {where} the formula says {expected:.0f} MiB; measured {between.memory:.0f}",
        f"- {describe_machine()}",
    )
    return "\n".join((*lines, "", *remarks, ""))


async def run() -> str:
    check_linux()
    taken = []
    for members, pods in (*SIZES, BETWEEN):
        taken.append(await take(members, pods))
        print(structs.asdict(taken[-1]), file=sys.stderr)
    return describe(taken[:-1], taken[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sizing", description="CPU and memory at three sizes.")
    parser.add_argument("--write", action="store_true", help=f"also write docs/reference/{PAGE.name}")
    arguments = parser.parse_args()
    text = uvloop.run(run())
    print(text, end="")
    if arguments.write:
        PAGE.write_text(PAGE.read_text().partition(MEASURED)[0] + MEASURED + "\n" + text)


if __name__ == "__main__":
    main()
