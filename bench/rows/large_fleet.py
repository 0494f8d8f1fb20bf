"""100,000 pods in memory: what a pod takes, what questions take, and how that grows with the fleet.

Members answer from the measured process, so its memory and time are without any network. Anchors are the same with a
tenth of the pods; what has nothing to be compared with has a goal alone.
"""

import asyncio
import sys
from functools import partial
from statistics import median

import msgspec

from bench.children.large_fleet import Memory, Times
from bench.interleave import run_interleaved
from bench.row import Row, amount, build_row, within
from bench.servers import StartError
from bench.skipped import Skipped

PODS = 100_000
MEMBERS = 10
_CHILD_SECONDS = 300.0
_SMALLER = "the same at 10,000 pods"
PAGE_TIME, PAGE_GROWTH = amount(25, "ms"), within(2, "a tenth's")
GROUPS_TIME = amount(30, "ms")
SEARCH_TIME = amount(20, "ms")
PROBLEMS_TIME = amount(20, "ms")
SAME = within(1.2, "the smaller's")
"""What does not grow with the number of members."""


async def measure(rounds: int) -> list[Row]:
    """Memory of a pod with and without its whole object, pages of a filtered and ranked set, growth by members.

    Raises Skipped where the system does not say what is resident.
    """
    if sys.platform != "linux":
        raise Skipped("needs Linux, which says in /proc how much memory is resident")
    return [
        *await _measure_memory(rounds),
        *await _measure_workloads(rounds),
        *await _measure_questions(rounds),
        *await _measure_growth(rounds),
    ]


async def _measure_memory(rounds: int) -> list[Row]:
    costs = await run_interleaved({way: partial(_fill, way) for way in ("whole", "fields")}, rounds)
    rows = []
    for way, goal, title in (
        ("fields", 1_700, "resident memory a pod, what the graph's fields need"),
        ("whole", 2_600, "resident memory a pod, with the whole object"),
    ):
        taken = [cost.rss_bytes / cost.pods for cost in costs[way]]
        rows.append(build_row(title, "B", taken, goal=amount(goal, "B")))
    return rows


async def _measure_workloads(rounds: int) -> list[Row]:
    costs = (await run_interleaved({"workloads": partial(_fill, "workloads")}, rounds))["workloads"]
    taken = [cost.rss_bytes / cost.pods for cost in costs]
    return [build_row("resident memory a workload", "B", taken, goal=amount(2_000, "B"))]


async def _measure_questions(rounds: int) -> list[Row]:
    sides = {str(pods): partial(time_questions, MEMBERS, pods // MEMBERS, 5) for pods in (PODS, PODS // 10)}
    times = await run_interleaved(sides, rounds)
    large, small = times[str(PODS)], times[str(PODS // 10)]
    rows = []
    for name, title, goals in (
        ("plain", "the first 100", (None,)),
        ("filtered", "100 of 1,000 by a label", (None,)),
        ("ranked", "100 of 1,000 by a label, by usage", (PAGE_TIME, PAGE_GROWTH)),
        ("ranked tenth", "100 of a tenth by a label, by usage", (PAGE_TIME, PAGE_GROWTH)),
        ("by name", "the last 100 by name", (None,)),
        ("groups", "in groups by namespace", (GROUPS_TIME,)),
        ("groups requests", "in groups by namespace, by what they request", (GROUPS_TIME,)),
        ("groups usage", "in groups by namespace, by usage of what they request", (None,)),
        ("workloads", "the first 100 of their workloads by restarts", (None,)),
        ("workloads usage", "the first 20 of their workloads by usage", (None,)),
        ("problems", "what is wrong with 1,000 of them", (PROBLEMS_TIME,)),
        ("searched", "20 found by a part of their name", (SEARCH_TIME,)),
        ("searched for nothing", "a text that none has, sought everywhere", (SEARCH_TIME,)),
    ):
        ours, anchor = _medians(large, name), _medians(small, name)
        rows += [
            build_row(f"{PODS:,} pods, {title}", "ms", ours, anchor, against=_SMALLER, goal=goal) for goal in goals
        ]
    rows.append(build_row(f"{PODS:,} pods in ten pages", "ms", _medians(large, "all"), goal=amount(300, "ms")))
    return rows


async def _measure_growth(rounds: int) -> list[Row]:
    times = await run_interleaved({str(count): partial(time_questions, count, 1_000, 5) for count in (10, 100)}, rounds)
    few, many = times["10"], times["100"]
    title = "100 members of 1,000 pods"
    taken = {count: [found.rss_bytes / found.pods for found in times[count]] for count in times}
    against = "the same with 10 members"
    return [
        build_row(f"{title}: memory a pod", "B", taken["100"], taken["10"], against=against, goal=SAME),
        *(
            build_row(f"{title}: {what}", "ms", _medians(many, name), _medians(few, name), against=against, goal=goal)
            for name, what, goal in (
                ("filtered alone", "filtered page", SAME),
                ("filtered", "filtered page, after questions that look at every pod", None),
            )
        ),
    ]


def _medians(times: list[Times], name: str) -> list[float]:
    return [median(found.samples[name]) * 1000 for found in times]


async def _fill(way: str) -> Memory:
    return msgspec.json.decode(await _run("memory", way, str(PODS)), type=Memory)


async def time_questions(members: int, pods: int, samples: int, *nats: str) -> Times:
    """What a process of its own says, which lists `pods` of each member, or follows those shared on a NATS server."""
    return msgspec.json.decode(await _run("pages", str(members), str(pods), str(samples), *nats), type=Times)


async def _run(*arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.children.large_fleet", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        written, _ = await asyncio.wait_for(process.communicate(), _CHILD_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise StartError(f"large_fleet {' '.join(arguments)} failed")
    return written
