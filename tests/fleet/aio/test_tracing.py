"""What is a part of what: spans, and whose parents they are."""

import asyncio

import pytest

from fleet.aio import tracing
from fleet.aio.tracing import Kind, Span, child, current_span, spanning
from server.tracing.sampling import Sampler
from tests.fakes.tracing import keeping


def test_a_step_is_a_child_of_what_is_under_way() -> None:
    with keeping() as tracer, tracer.begin("outer", Kind.SERVER, {}) as outer:
        with spanning("step") as step:
            assert current_span() is step
        assert current_span() is outer
    assert [(span.name, span.trace_id, span.parent_id) for span in tracer.spans] == [
        ("step", outer.trace_id, outer.span_id),
        ("outer", outer.trace_id, 0),
    ]


async def test_work_that_outlives_its_request_is_no_part_of_it() -> None:
    begun = asyncio.Event()

    async def work() -> Span | None:
        await begun.wait()
        return child("later", {})

    with keeping() as tracer:
        with tracer.begin("request", Kind.SERVER, {}):
            task = asyncio.create_task(work())
        begun.set()
        assert await task is None


def test_nothing_is_told_without_a_tracer_or_of_what_is_not_sampled() -> None:
    assert tracing.tracer is None
    with spanning("step") as step:
        assert step is None
    with keeping(Sampler(0.0)) as tracer:
        with tracer.begin("request", Kind.SERVER, {}) as request, spanning("step") as step:
            assert (step, current_span()) == (None, request)
        assert tracer.spans == []


@pytest.mark.parametrize(
    ("error", "failed", "attributes"),
    [
        (ValueError("a secret"), True, {"error.type": "ValueError"}),
        (asyncio.CancelledError(), False, {"openmcp.cancelled": True}),
        (None, False, {}),
    ],
)
def test_how_a_span_ends(error: BaseException | None, failed: bool, attributes: dict[str, object]) -> None:
    with keeping() as tracer:
        span = tracer.begin("one", Kind.INTERNAL, {})
        span.end(error)
        span.end(ValueError())  # the first time counts
    assert (span.failed, span.attributes, tracer.spans) == (failed, attributes, [span])
