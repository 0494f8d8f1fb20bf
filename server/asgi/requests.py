"""What is asked and answered, counted by route: templates of paths, never paths."""

from collections import Counter
from collections.abc import Iterable
from http import HTTPStatus

from starlette.types import Scope

from fleet.aio.counts import Durations

OTHER = "other"
LEFT = 499
"""In the place of a status where the caller left before there was one, as nginx has it."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STATUSES = {int(status): str(int(status)) for status in HTTPStatus} | {LEFT: str(LEFT)}


class Routes:
    """The names of routes. `paths` are as the framework has them, or the first segment of all that is below one."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._exact: dict[str, str] = {}
        self._below: dict[str, str] = {}
        for path in paths:
            first, _, rest = path.strip("/").partition("/")
            if "{" in rest or not path.startswith("/"):
                self._below[first] = f"/{first}/*"
            else:
                self._exact[path] = path.rstrip("/") or "/"

    def find(self, path: str) -> str:
        return self._exact.get(path) or self._below.get(path[1:].partition("/")[0], OTHER)


class RequestCounts:
    """`counts` by route, method and status; `durations` by route, of what is no stream: those last as long as asked."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.durations: dict[str, Durations] = {}

    def note(self, route: str, scope: Scope, status: int, seconds: float) -> None:
        """One whose answer has ended. What is a stream says so in its scope, by `streams`."""
        method: str = scope["method"]
        code = _STATUSES.get(status or LEFT) or f"{status // 100}xx"
        self.counts[route, method if method in _METHODS else OTHER, code] += 1
        if status == HTTPStatus.SWITCHING_PROTOCOLS or "streams" in scope:
            return
        found = self.durations.get(route)
        if found is None:
            found = self.durations[route] = Durations()
        found.note(seconds)
