"""A server whose users sign in at an issuer, and what they ask of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from auth.users import User
from fleet.model.visibility import Role, Scope
from tests.processes import RunningServer

ENTRIES = [
    User("oidc:team-a", "", Scope(Role.EDIT, ("cluster1",)), is_group=True),
    User("oidc:readers", "", Scope(Role.VIEW), is_group=True),
]
CLUSTERS = "{ viewer { name groups role } clusters { name } }"


@dataclass(frozen=True)
class Serving:
    server: RunningServer
    users: Path

    async def get(self, path: str, token: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
            session.get(f"{self.server.url}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def ask(self, token: str, query: str = CLUSTERS) -> Any:
        return await self.server.ask(token, query)
