"""Users whose patterns of clusters match none: they see nothing, and their rights look as they should."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import NoReturn

from auth.authenticator import Authenticator
from auth.users import User
from fleet.federation import Federation

LOOK_SECONDS = 5.0

_log = logging.getLogger(__name__)


def find_unmatched(
    users: Collection[User], clusters: Collection[str], labels: Mapping[str, Mapping[str, str]] | None = None
) -> list[str]:
    """A line for each pattern, and each selector where labels are given, that none of the clusters matches.

    Nothing where there is no cluster.
    """
    known = ", ".join(sorted(clusters)[:20])
    unmatched = [
        f"user {user.label!r}: the labels {user.scope.cluster_labels!r} match no cluster; there are {known}"
        for user in users
        if labels and user.scope.cluster_labels and not user.scope.resolve(labels).labelled
    ]
    return unmatched + [
        f"user {user.label!r}: the pattern {pattern!r} matches no cluster; there are {known}"
        for user in users
        for pattern in user.scope.clusters
        if clusters and not any(fnmatchcase(name, pattern) for name in clusters)
    ]


async def watch_reach(authenticator: Authenticator, federation: Federation) -> NoReturn:
    """Logs each such pattern once, and again where it matched meanwhile."""
    said: set[str] = set()
    while True:
        labels = await federation.list_labels() if federation.is_known else {}
        lines = find_unmatched(authenticator.list_users(), labels, labels)
        patterns = {line.partition(";")[0]: line for line in lines}
        for pattern in patterns.keys() - said:
            _log.warning("%s", patterns[pattern])
        said = set(patterns)
        await asyncio.sleep(LOOK_SECONDS)
