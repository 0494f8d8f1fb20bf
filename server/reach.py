"""Users whose patterns of clusters match none: they see nothing, and their rights look as they should."""

import asyncio
import logging
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import NoReturn

from auth.authenticator import Authenticator
from auth.users import User
from fleet.federation import Federation
from fleet.model.visibility import EVERYTHING

LOOK_SECONDS = 5.0

_log = logging.getLogger(__name__)


def find_unmatched(users: Iterable[User], clusters: Collection[str]) -> list[str]:
    """A line for each pattern that none of the clusters matches; nothing where there is no cluster."""
    known = ", ".join(sorted(clusters)[:20])
    return [
        f"user {user.label!r}: the pattern {pattern!r} matches no cluster; there are {known}"
        for user in users
        for pattern in user.scope.clusters
        if clusters and not any(fnmatchcase(name, pattern) for name in clusters)
    ]


async def watch_reach(authenticator: Authenticator, federation: Federation) -> NoReturn:
    """Logs each such pattern once, and again where it matched meanwhile."""
    said: set[str] = set()
    while True:
        names = [cluster.name for cluster in federation.list_clusters(EVERYTHING)] if federation.is_known else []
        lines = find_unmatched(authenticator.list_users(), names)
        patterns = {line.partition(";")[0]: line for line in lines}
        for pattern in patterns.keys() - said:
            _log.warning("%s", patterns[pattern])
        said = set(patterns)
        await asyncio.sleep(LOOK_SECONDS)
