"""SIGKILL at any moment: what was acknowledged is there at the next start, and nothing is half there."""

import asyncio
import random
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from auth.users import load_users
from tests.fakes.waiting import PATIENCE

ROUNDS = 5
POINTS = """
import asyncio, sys, itertools
from pathlib import Path
from fleet.metrics.embedded.store import EmbeddedOptions, open_embedded_store
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Point
async def write(first):
    async with open_embedded_store(EmbeddedOptions(Path(sys.argv[1]), cut_interval=0.01)) as store:
        for number in itertools.count(first):
            at = Point(2**62 + number)
            await store.write([(PodKey("c", "n", f"p{pod}"), at) for pod in range(20)], [(NodeKey("c", "n"), at)])
            print(number, flush=True)
asyncio.run(write(int(sys.argv[2])))
"""
USERS = """
import itertools, sys
from pathlib import Path
from auth.passwords import hash_password
from auth.users import User, load_users, save_users
from fleet.model.visibility import EVERYTHING
path, hashed = Path(sys.argv[1]), hash_password("secret")
users = list(load_users(path).values()) if path.exists() else []
for number in itertools.count(int(sys.argv[2])):
    users.append(User(str(number), hashed, EVERYTHING))
    save_users(path, users)
    print(number, flush=True)
"""


def count_points(path: Path) -> int:
    """Deliveries in the file. Fails the test for half of one."""
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        sizes = file.execute("SELECT count(*) FROM points GROUP BY time_ns").fetchall()
    assert set(sizes) == {(21,)}
    return len(sizes)


def count_users(path: Path) -> int:
    return len(load_users(path))


@pytest.mark.parametrize(("program", "count"), [(POINTS, count_points), (USERS, count_users)], ids=["points", "users"])
async def test_what_was_acknowledged_outlives_a_kill(
    tmp_path: Path, program: str, count: Callable[[Path], int]
) -> None:
    path, held = tmp_path / "file", 0
    for _ in range(ROUNDS):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, path, str(held), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            said = [await process.stdout.readline() for _ in range(random.randint(1, 40))]
            process.kill()
            said += (await process.stdout.read()).splitlines()
            await process.wait()
        held = count(path)
        assert held > int(said[-1])
