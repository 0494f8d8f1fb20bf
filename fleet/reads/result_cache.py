"""What questions found in the caches lately: kept while the caches are as they were, made anew where one changed."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from operator import attrgetter
from typing import Generic, Literal, NamedTuple, TypeVar

from fleet.aio.recorder import current_recorder, note_cached
from fleet.cache.store import GENERATIONS
from fleet.members.member import Member
from fleet.model.objects import Node, Pod
from fleet.model.ordered import Ordered
from fleet.reads.availability_cache import Asked

T = TypeVar("T", Pod, Node)
Select = Callable[[Member], Sequence[T]]
"""Finds the objects of one member, in their order."""


class _Known(NamedTuple, Generic[T]):
    last: int
    mark: object
    generations: list[int]
    parts: list[Sequence[T]]
    matched: Ordered[T]


class Found(Generic[T]):
    """Selections of one kind by question, which holds all that decides what is selected, the caller's scope too.

    `most_objects` are kept by all questions together: what is kept holds objects that are gone until it is asked for.
    """

    def __init__(self, kind: Literal["pods", "nodes"], *, most_questions: int = 64, most_objects: int = 20_000) -> None:
        self._most_questions = most_questions
        self._most_objects = most_objects
        self._generation: Callable[[Member], int] = attrgetter(f"{kind}.generation")
        self._known: OrderedDict[Hashable, _Known[T]] = OrderedDict()
        self._objects = 0

    def find(self, question: Hashable, asked: Asked, build_select: Callable[[], Select[T]]) -> Ordered[T]:
        """What is found in the members that answer; `build_select` reads the question."""
        known = self._find(question, asked, build_select)
        if current_recorder() is not None:
            for member, part in zip(asked.members, known.parts, strict=True):
                note_cached(member.name, len(part))
        return known.matched

    def _find(self, question: Hashable, asked: Asked, build_select: Callable[[], Select[T]]) -> _Known[T]:
        last, mark, members = GENERATIONS.last, asked.mark, asked.members
        if len(members) < 2:  # questions about each member in turn would drive out those about all
            parts = list(map(build_select(), members))
            return _Known(last, mark, [], parts, Ordered(parts))
        known = self._known.get(question)
        if known is not None and known.last == last and known.mark is mark:
            self._known.move_to_end(question)
            return known
        generations = list(map(self._generation, members))
        if known is not None and known.generations == generations:
            known = self._known[question] = known._replace(last=last, mark=mark)
            self._known.move_to_end(question)
            return known
        before = {} if known is None else dict(zip(known.generations, known.parts, strict=True))
        select = build_select()
        parts = [
            select(member) if (part := before.get(generation)) is None else part
            for member, generation in zip(members, generations, strict=True)
        ]
        found = _Known(last, mark, generations, parts, Ordered(parts))
        self._keep(question, found)
        return found

    def _keep(self, question: Hashable, found: _Known[T]) -> None:
        self._drop(self._known.pop(question, None))
        if len(found.matched) > self._most_objects:
            return
        self._known[question] = found
        self._objects += len(found.matched)
        while self._objects > self._most_objects or len(self._known) > self._most_questions:
            self._drop(self._known.popitem(last=False)[1])

    def _drop(self, known: _Known[T] | None) -> None:
        if known is not None:
            self._objects -= len(known.matched)
