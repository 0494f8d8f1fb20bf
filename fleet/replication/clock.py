"""The time of a stream's messages, which is their server's, on the clock of this process's event loop."""

from math import inf

_PERIOD_SECONDS = 10.0


class ServerClock:
    """Follows the server's clock by what was heard of it: nothing is heard before it was said.

    So the least difference of the last two periods is the true one, but for what the network takes at least. Where the
    server's clock is set back, or another one's comes in its place, that is known within as long.
    """

    def __init__(self) -> None:
        self._before = inf
        self._least = inf
        self._since = -inf

    def note(self, stamp: float, at: float, *, prompt: bool) -> None:
        """A time of the server that was heard at a time; `prompt` if nothing later waits here or on the way.

        Who lags goes by what it knew before: else it would take its lag for a difference of clocks.
        """
        if prompt and at - self._since > _PERIOD_SECONDS:
            self._before, self._least, self._since = self._least, inf, at
        self._least = min(self._least, at - stamp)

    def local(self, stamp: float) -> float:
        """When that was, by the clock of the event loop. Something must have been noted."""
        return stamp + min(self._before, self._least)
