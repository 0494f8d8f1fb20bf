"""A simulated fleet as a process of its own: `python -m demo.simulator --clusters 3 --pods 100`.

It writes one line of JSON when all of it answers (`{"kubeconfig": ..., "clusters": {name: url}}`), then takes one
command a line on its standard input, `{"cluster": "cluster3", "fault": "hang"}`, and answers `ok` or what is wrong.
`{"cluster": "cluster3", "fault": "churn", "seconds": 0.5}` has a pod replaced every so many seconds from then on.
When its input ends it ends, so it never outlives the process that started it, however that one goes.
"""

import argparse
import asyncio
import signal
import sys

import msgspec
import orjson
from msgspec import Struct

from demo.simulator.faults import HTML, Faults
from demo.simulator.fleet import SimulatedFleet, open_simulated_fleet

COMMANDS = (
    "hang",
    "resume",
    "refuse",
    "fail",
    "garble",
    "slow",
    "mute_watches",
    "clear",
    "drop_watches",
    "expire_versions",
    "churn",
)


class Command(Struct, frozen=True):
    """One line of input."""

    cluster: str
    fault: str
    seconds: float = 3.0


async def run_command(fleet: SimulatedFleet, line: bytes) -> str:
    """Does what a line says; answers `ok`, or what is wrong with it."""
    try:
        command = msgspec.json.decode(line, type=Command)
        faults = fleet[command.cluster].faults
    except (msgspec.DecodeError, KeyError) as error:
        return f"not a command: {error!r}"
    match command.fault:
        case "hang":
            faults.hang()
        case "resume":
            faults.resume()
        case "refuse":
            await faults.refuse()
        case "fail" | "garble" | "slow":
            _answer_ill(faults, command)
        case "mute_watches":
            faults.mute_watches()
        case "clear":
            await faults.clear()
        case "drop_watches":
            faults.drop_watches()
        case "expire_versions":
            faults.expire_versions()
        case "churn":
            await fleet.churn(command.cluster, command.seconds)
        case other:
            return f"no fault is named {other!r}; there are {', '.join(COMMANDS)}"
    return "ok"


def _answer_ill(faults: Faults, command: Command) -> None:
    match command.fault:
        case "fail":
            faults.failure = 503
        case "garble":
            faults.wrong_content = HTML
        case _:
            faults.latency = command.seconds


async def serve_fleet(clusters: int, pods: int, nodes: int, churn_seconds: float) -> None:
    """Runs the fleet until standard input ends."""
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with open_simulated_fleet(clusters, pods, nodes, churn_seconds=churn_seconds) as fleet:
        urls = {cluster.name: cluster.url for cluster in (fleet.host, *fleet.members.values())}
        _say(orjson.dumps({"kubeconfig": str(fleet.kubeconfig), "clusters": urls}).decode())
        while line := await commands.readline():
            _say(await run_command(fleet, line))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.simulator", description="A simulated fleet on loopback.")
    parser.add_argument("--clusters", type=int, default=3, help="members")
    parser.add_argument("--pods", type=int, default=100, help="pods a member")
    parser.add_argument("--nodes", type=int, default=3, help="nodes a member")
    parser.add_argument("--churn", type=float, default=3.0, help="seconds between two replaced pods of a member")
    arguments = parser.parse_args()
    # Ctrl-C reaches the whole foreground group; whoever started this ends it by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(serve_fleet(arguments.clusters, arguments.pods, arguments.nodes, arguments.churn))


if __name__ == "__main__":
    main()
