"""A schema whose values are all that core has to treat: errors, nulls, waits, wrong types, lists in lists, interfaces.

Its types are views of `Thing`s, so that every path of the generated code is taken. What a thing holds is decided by
its seed: most are in order, since a single odd value sends the whole list to core.
"""

import asyncio
import enum
import math
import random
from collections.abc import Sequence
from typing import Any, Self, cast

import strawberry
from msgspec import Struct
from strawberry.schema.config import StrawberryConfig
from strawberry.types.info import Info

from graph.scalars import SCALARS, BigInt, DateTime
from graph.types.fields import Batched, of_model, resolved
from graph.types.views import View, Views


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


strawberry.enum(Colour)


class Thing(Struct):
    """Values as a resolver might give them, right and wrong."""

    seed: int
    family: int
    depth: int
    text: Any
    maybe: Any
    count: Any
    ratio: Any
    big: Any
    colour: Any
    when: Any
    tags: Any
    matrix: Any
    parts: Any


def find_fruit(thing: Thing) -> Thing | None:
    if thing.seed % 19 == 0:
        raise ValueError("no fruit")
    return _build_thing(thing.seed * 7, 0) if thing.seed % 3 else None


def load_fruit(context: Any, things: Sequence[Thing]) -> list[Thing | None]:
    assert context is not None
    return list(map(find_fruit, things))


def build_fruit(thing: Thing, found: Thing) -> "Plain":
    return Plain.from_model(found)


@strawberry.interface
class Named:
    text: str = of_model("A text.")


@strawberry.type
class Plain(View[Any], Named):
    """A view with plain fields, pure resolvers, and resolvers that core has to run."""

    model: strawberry.Private[Thing]
    maybe: str | None = of_model("A text or none.")
    count: int = of_model("A number.")
    ratio: float | None = of_model("A number.")
    big: BigInt | None = of_model("A number.")
    colour: Colour = of_model("A colour.")
    when: DateTime | None = of_model("A time.")
    tags: list[str] = of_model("Texts.")
    matrix: list[list[float | None]] | None = of_model("Numbers in rows.")
    made: str = strawberry.field(description="Held by the window itself.")

    @classmethod
    def from_model(cls, model: Thing) -> Self:
        return cls(model=model, made=f"made {model.seed}")

    @resolved("A pure resolver with an argument.")
    def times(self, by: int = 2, colour: Colour = Colour.RED) -> str | None:
        return None if by == 13 else f"{self.model.count * by} {colour.name}"

    @resolved("A pure resolver that fails for some.")
    def fragile(self) -> int | None:
        return 10 // (self.model.seed % 7)

    @resolved("A pure resolver that fails for some, where null is not allowed.")
    def brittle(self) -> int:
        return 10 // (self.model.seed % 11)

    @resolved("Of an abstract type.")
    def named(self) -> Named | None:
        return self if self.model.seed % 3 else None

    @resolved("The parts, as windows that are made when they are read.", views=True)
    def parts(self) -> list["Plain"]:
        return cast("list[Plain]", Views(Plain.from_model, self.model.parts))

    @resolved("The parts, as a list that may hold none.")
    def pieces(self) -> list["Plain | None"] | None:
        return [Plain.from_model(part) if part.seed % 9 else None for part in self.model.parts]

    @resolved("Takes the info.")
    def place(self, info: Info[Any, None]) -> str:
        if self.model.seed % 17 == 0:
            raise ValueError(f"no place for {self.model.seed}")
        return ".".join(map(str, info.path.as_list()))

    @resolved("Takes its time.")
    async def slow(self) -> int | None:
        await asyncio.sleep(0)
        if self.model.seed % 13 == 0:
            raise ValueError("too slow")
        return self.model.seed

    @resolved("Takes its time, and is an object.")
    async def later(self) -> "Plain | None":
        await asyncio.sleep(0)
        return self if self.model.seed % 4 else None

    @resolved("The same for all of a family; fails for one of them.", shared_by=("family",))
    def kin(self, info: Info[Any, None]) -> "Plain | None":
        assert info.context is not None
        if self.model.family == 4:
            raise ValueError("no kin")
        return Plain.from_model(build_things(self.model.family, 1, 1)[0]) if self.model.family else None

    @resolved("The same for all of a family, where null is not allowed.", shared_by=("family", "depth"))
    def clan(self, info: Info[Any, None]) -> "Plain":
        return cast("Plain", self.kin(info))

    @resolved("Loaded with a list, unless one of it is not.", batched=Batched(load_fruit, build_fruit))
    def fruit(self, info: Info[Any, None]) -> "Plain | None":
        found = find_fruit(self.model)
        return None if found is None else build_fruit(self.model, found)


@strawberry.type(description="The root.")
class OddQuery:
    @resolved("Things as windows.")
    def things(self, seed: int, size: int = 3) -> list[Plain]:
        return cast("list[Plain]", Views(Plain.from_model, build_things(seed, size)))

    @resolved("Things that are named.")
    def named(self, seed: int) -> list[Named]:
        return [Plain.from_model(thing) for thing in build_things(seed, 3)]

    @resolved("One thing.")
    async def thing(self, seed: int) -> Plain | None:
        return Plain.from_model(build_things(seed, 1)[0])

    @resolved("Things in rows.")
    def rows(self, seed: int) -> list[list[Plain] | None]:
        return [[Plain.from_model(thing) for thing in build_things(seed + row, 2)] for row in range(2)]


def build_things(seed: int, size: int, depth: int = 2) -> Sequence[Thing]:
    """The same things for the same seed."""
    return tuple(_build_thing(seed * 31 + number, depth) for number in range(size))


def _build_thing(seed: int, depth: int) -> Thing:
    rng = random.Random(seed)
    wrong = rng.random() < 0.25

    def pick(right: Any, *odd: Any) -> Any:
        return rng.choice(odd) if wrong and rng.random() < 0.3 else right

    return Thing(
        seed=seed,
        family=seed % 5,
        depth=depth,
        text=pick(f'text "{seed}" \\ \u00e4\u2028', None, 7, True, ValueError("a value"), [], 1.5),
        maybe=rng.choice((None, "there")),
        count=pick(seed % 1000, None, "12", "x", 1 << 40, True, 2.0, 2.5, math.inf),
        ratio=pick(rng.choice((None, 0.5, -0.0)), 3, math.nan, math.inf, "x", True),
        big=pick(rng.choice((None, 1 << 40)), "x", 1.5, -1),
        colour=pick(rng.choice(tuple(Colour)), "r", None, "RED"),
        when=pick(rng.choice((None, 1_790_000_000.0, 1_790_000_000.25)), "x", 1e300),
        tags=pick(["a", "b"], ("a",), [], [None], ["a", 5], "text", None, {"a": 1}, {"a": 1, "b": 2}.keys()),
        matrix=pick(rng.choice((None, [[1.0, None], []])), [None], [[1]], [["x"]], 5),
        parts=build_things(seed + 1, rng.randint(0, 3), depth - 1) if depth else (),
    )


def build_odd_schema() -> strawberry.Schema:
    """A fresh one, so that executors can be exchanged without a trace."""
    return strawberry.Schema(query=OddQuery, types=[Plain], config=StrawberryConfig(scalar_map=SCALARS))
