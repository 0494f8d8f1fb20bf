"""A member behind a bad line: named in every answer, within the deadline, the others whole; then well by itself."""

import pytest

from tests.fakes.waiting import until
from tests.faults.serving import ILL, WELL, Served

pytestmark = pytest.mark.real

LATE = ("TIMEOUT", "UNREACHABLE")
"""Left out as late at first, and cut off after three failures."""
AS_IT_CAME = (200, 503)
ROWS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "refused": (("UNREACHABLE",), (503,)),
    "black hole": (LATE, (504, 503)),
    "reset": (("UNREACHABLE",), (503,)),
    "name that does not resolve": (("UNREACHABLE",), (503,)),
    "certificate of another authority": (("UNREACHABLE",), (503,)),
    "certificate that has expired": (("UNREACHABLE",), (503,)),
    "slow": (LATE, AS_IT_CAME),
    "cut mid-answer": (LATE, AS_IT_CAME),
    "garbage": (("UNREACHABLE",), (502, 503)),
    "a page of HTML": (LATE, AS_IT_CAME),
    "huge": (LATE, AS_IT_CAME),
    "endless": (LATE, AS_IT_CAME),
    "401": (("TIMEOUT", "UNAUTHORIZED"), (502, 503)),
    "403": (("TIMEOUT", "FORBIDDEN"), (403,)),
    "429": (LATE, (429,)),
    "500": (LATE, (500,)),
    "503": (LATE, (503,)),
}
"""By fault, the states in a list's outcomes, and the statuses of a call that is passed on, while it lasts."""


@pytest.mark.parametrize("fault", ROWS)
async def test_a_bad_line_costs_its_member_alone_and_for_its_time(served: Served, fault: str) -> None:
    states, statuses = ROWS[fault]
    seen: list[tuple[str, str]] = []

    async def is_well() -> bool:
        said, owners, _ = await served.ask()
        return said == {ILL: "OK", WELL: "OK"} and owners == {ILL, WELL}

    async def is_ill() -> bool:
        said, owners, message = await served.ask()
        assert (said[WELL], WELL in owners) == ("OK", True)
        seen.append((said[ILL], message))
        return said[ILL] != "OK"

    await until(is_well, what="two members that are well", every=0.1)
    served.begin(fault)
    try:
        await until(is_ill, what="an ill member", every=0.1)
        state, message = seen[-1]
        assert (state in states, ILL in message) == (True, True), (state, message)
        assert (await served.pass_on(WELL))[0] == 200
        status, text = await served.pass_on(ILL)
        assert status in statuses, (status, text)
        assert status == 200 or ILL in text or "made up" in text, text
    finally:
        served.end()
    await until(is_well, what="recovery", every=0.1)
