"""Each query of `docs/how-to/cookbook.md` on a real fleet and on the demo answers as it is printed there."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from realfleet.fleet import Fleet
from tests.acceptance.cookbook import COOKBOOK, Recipe, bring_up_to_date, find_kinds, read_recipes
from tests.acceptance.subscribing import over_events
from tests.fakes.waiting import until
from tests.processes import RunningServer

PAGE = COOKBOOK.read_text()
ALL_RECIPES = read_recipes(PAGE)
RECIPES = [recipe for recipe in ALL_RECIPES if not recipe.ill]
ILL_RECIPES = [recipe for recipe in ALL_RECIPES if recipe.ill]
OUTCOMES = "{ pods(first: 0) { clusters { name state } } }"
each_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.name for recipe in RECIPES])


async def ask(server: RunningServer, token: str, recipe: Recipe) -> object:
    """The answer; of a subscription the first message."""
    variables = bring_up_to_date(recipe.variables)
    if not recipe.query.startswith("subscription"):
        return await server.ask(token, recipe.query, variables, recipe.extensions)
    async with over_events(server, token, recipe.query, **variables) as take:
        return await take()


async def wait_until(server: RunningServer, token: str, *, ill: bool) -> None:
    async def is_so() -> bool:
        body: Any = await server.ask(token, OUTCOMES)
        return ill is any(outcome["state"] != "OK" for outcome in body["data"]["pods"]["clusters"])

    await until(is_so, every=0.2)


async def check(server: RunningServer, token: str, recipe: Recipe, *, exact: bool) -> None:
    """The answer has the printed one's fields, and at each the same kinds of value.

    A step of history may be null (no point has arrived in it yet), and on another fleet than the printed one any value;
    that of the demo has an ill cluster, which says why.
    """
    body = await ask(server, token, recipe)
    found, printed = find_kinds(body, exact=exact), find_kinds(recipe.answer, exact=exact)
    assert found.keys() == printed.keys(), body
    for path, kinds in found.items():
        missing = {"null"} if path.endswith("[]") or not exact else set()
        why = {"text"} if path.endswith(".message") and not exact else set()
        assert kinds <= printed[path] | missing | why, (path, body)


@pytest.mark.real
@each_recipe
async def test_a_real_fleet_answers_as_it_is_printed(served: RunningServer, token: str, recipe: Recipe) -> None:
    await check(served, token, recipe, exact=True)


@each_recipe
async def test_the_demo_answers_as_it_is_printed(demo: RunningServer, recipe: Recipe) -> None:
    await check(demo, await demo.sign_in(), recipe, exact=False)


def recipe_named(name: str) -> Recipe:
    (found,) = (recipe for recipe in ALL_RECIPES if recipe.name == name)
    return found


def column_names(body: Any) -> list[str]:
    return [column["name"] for item in body["data"]["resources"]["items"] for column in item["columns"]]


@pytest.mark.real
async def test_the_columns_of_a_real_fleet_are_those_printed(served: RunningServer, token: str) -> None:
    recipe = recipe_named("AnyKind")
    assert column_names(await ask(served, token, recipe)) == column_names(recipe.answer)


async def test_the_columns_of_the_demo_are_those_the_page_names(demo: RunningServer) -> None:
    told = column_names(await ask(demo, await demo.sign_in(), recipe_named("AnyKind")))
    assert f"as the demo's simulated ones, is shown by what every object has: `{'` and `'.join(told)}`." in PAGE


async def test_where_pods_ran_is_asked_for_a_time_that_the_answer_covers(demo: RunningServer) -> None:
    recipe, token = recipe_named("RanThere"), await demo.sign_in()
    printed = recipe.answer["data"]["node"]["podsAt"]
    assert all(run["since"] <= recipe.variables["time"] <= run["until"] for run in printed)
    then: Any = await demo.ask(token, recipe.query, recipe.variables)
    assert then == {"data": {"node": {"podsAt": []}}}
    earlier = (datetime.now(UTC) - timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lately: Any = await demo.ask(token, recipe.query, {"time": earlier})
    assert len(lately["data"]["node"]["podsAt"]) > 0


@pytest.mark.real
async def test_a_real_fleet_with_an_ill_member_answers_as_it_is_printed(
    real_fleet: Fleet, served: RunningServer, token: str
) -> None:
    member = real_fleet.members[0]
    member.process.pause()
    try:
        await wait_until(served, token, ill=True)
        for recipe in ILL_RECIPES:
            await check(served, token, recipe, exact=False)
    finally:
        member.process.resume()
    await wait_until(served, token, ill=False)


async def test_the_demo_answers_as_it_is_printed_with_its_ill_member(demo: RunningServer) -> None:
    token = await demo.sign_in()
    await wait_until(demo, token, ill=True)
    assert len(ILL_RECIPES) == 3
    for recipe in ILL_RECIPES:
        await check(demo, token, recipe, exact=False)
