"""What is suggested to whoever asks too much: it passes when it is done."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.cost.estimate import estimate
from graph.cost.suggestions import apply_changes, suggest
from tests.graph.cost.fleets import LARGE, LIMIT, NOW, Numbers, advise, cost, read, rewrite

FINE = 'history(last: "33h", step: "1m")'
LEAVES = ("name", "usage { cpuCores memoryBytes }", "manifest", "labels { key }")


@pytest.mark.parametrize(
    ("query", "fleet", "text"),
    [
        ("{ pods(first: 10000) { items { name events { type } } } }", LARGE, "`first: 5400` at `pods`"),
        (
            f"{{ pods(first: 200) {{ items {{ {FINE} {{ times cpuCores memoryBytes fsUsedBytes }} }} }} }}",
            LARGE,
            '`step: "2m"` at `pods.items.history`',
        ),
        (
            "{ clusters { name pods(first: 10000) { items { name manifest } } } }",
            LARGE,
            "`first: 95` at `clusters.pods`",
        ),
        (
            "{" + " ".join(f"a{n}: pods(orderBy: [{{ usage: CPU_CORES }}]) {{ totalCount }}" for n in range(2)) + "}",
            LARGE,
            '`clusters: ["c0"]` in the filter of `a0`',
        ),
    ],
)
def test_the_mildest_change_that_would_do_is_suggested(query: str, fleet: Numbers, text: str) -> None:
    assert cost(query, fleet).units > LIMIT
    found = advise(query, fleet)
    assert found is not None
    assert found.text == text


@st.composite
def time_ranges(draw: st.DrawFn) -> str:
    hours = draw(st.integers(1, 300))
    step = draw(st.sampled_from(["", ', step: "10m"', f', step: "{-(-hours * 3600 // 2000)}s"']))
    columns = draw(st.lists(st.sampled_from(["times", "cpuCores", "memoryBytes"]), min_size=1, unique=True))
    return f'history(last: "{hours}h"{step}) {{ {" ".join(columns)} }}'


@st.composite
def objects(draw: st.DrawFn, more: tuple[str, ...]) -> str:
    leaves = draw(st.lists(st.sampled_from((*LEAVES, *more)), min_size=1, unique=True))
    return " ".join([*leaves, *draw(st.lists(time_ranges(), max_size=1))])


@st.composite
def pages(draw: st.DrawFn, name: str, inner: str) -> str:
    first = draw(st.one_of(st.just(""), st.integers(1, 10_000).map(lambda number: f"(first: {number})")))
    return f"{name}{first} {{ totalCount items {{ {inner} }} }}"


@st.composite
def operations(draw: st.DrawFn) -> str:
    pods = draw(pages("pods", draw(objects(("events { type }", "owner { resource { name } }", "node { name }")))))
    nodes = draw(pages("nodes", draw(objects(("requested { cpuCores }", "events { type }"))) + f" {pods}"))
    return draw(
        st.sampled_from(
            [f"{{ {pods} }}", f"{{ {nodes} }}", f"{{ clusters {{ name {nodes} }} }}", f"{{ {nodes} {pods} }}"]
        )
    )


fleets = st.builds(Numbers, clusters=st.integers(1, 200), pods=st.integers(0, 5_000), nodes=st.integers(1, 300))


@settings(max_examples=300, deadline=None)
@given(query=operations(), fleet=fleets)
def test_what_is_suggested_passes_when_it_is_done(query: str, fleet: Numbers) -> None:
    parts = read(query)
    found = suggest(parts, fleet, NOW, LIMIT) if cost(query, fleet).units > LIMIT else None
    if found is not None:
        assert found.units == estimate(apply_changes(parts, found.changes), fleet, NOW).units <= LIMIT
        assert cost(rewrite(query, found.changes), fleet).units == found.units


@settings(max_examples=200, deadline=None)
@given(query=operations(), fleet=fleets)
def test_there_is_nearly_always_something_that_would_do(query: str, fleet: Numbers) -> None:
    if cost(query, fleet).units > LIMIT:
        assert suggest(read(query), fleet, NOW, LIMIT) is not None
