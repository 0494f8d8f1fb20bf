"""The query result cache: what questions found, kept while the stores are as they were, made anew where one changed."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Generic, NamedTuple

from fleet.aio.lru import Lru
from fleet.aio.recorder import current_recorder, note_cached
from fleet.aio.turns import Steps
from fleet.cache.store import GENERATIONS
from fleet.members.member import Member
from fleet.model.kinds import ObjectKind
from fleet.model.objects import T
from fleet.model.ordered import Ordered
from fleet.reads.availability_cache import Participants

Select = Callable[[Member], Steps[Sequence[T]]]
"""Finds the objects of one member, in their order."""


class _Result(NamedTuple, Generic[T]):
    last: int
    mark: object
    generations: list[int]
    parts: list[Sequence[T]]
    matched: Ordered[T]


class ResultCache(Generic[T]):
    """Results of one kind by question, which holds all that decides what is selected, the caller's scope too.

    `most_objects` are kept by all questions together: what is kept holds objects that are gone until it is asked for.
    """

    def __init__(self, kind: ObjectKind[T], *, most_questions: int = 64, most_objects: int = 20_000) -> None:
        self._generation: Callable[[Member], int] = attrgetter(f"{kind.name}.generation")
        self._results: Lru[Hashable, _Result[T]] = Lru(most_questions, most_weight=most_objects)

    def find(
        self, question: Hashable | None, participants: Participants, build_select: Callable[[], Select[T]]
    ) -> Steps[Ordered[T]]:
        """What is found in the members that answer; `build_select` reads the question. None: it is not kept."""
        result = self._results.get(question)
        if result is None or result.last != GENERATIONS.last or result.mark is not participants.mark:
            result = yield from self._update(question, result, participants, build_select)
        if current_recorder() is not None:
            for member, part in zip(participants.members, result.parts, strict=True):
                note_cached(member.name, len(part))
        return result.matched

    def _update(
        self,
        question: Hashable | None,
        known: _Result[T] | None,
        participants: Participants,
        build_select: Callable[[], Select[T]],
    ) -> Steps[_Result[T]]:
        last, mark, members = GENERATIONS.last, participants.mark, participants.members
        if question is None or len(members) < 2:  # questions about each member in turn would drive out those about all
            parts = yield from _select_all(build_select(), members, repeat(None))
            return _Result(last, mark, [], parts, Ordered(parts))
        generations = list(map(self._generation, members))
        if known is not None and known.generations == generations:
            result = known._replace(last=last, mark=mark)
        else:
            before = {} if known is None else dict(zip(known.generations, known.parts, strict=True))
            parts = yield from _select_all(build_select(), members, map(before.get, generations))
            result = _Result(last, mark, generations, parts, Ordered(parts))
        self._results.put(question, result, len(result.matched))
        return result


def _select_all(
    select: Select[T], members: Sequence[Member], known: Iterable[Sequence[T] | None]
) -> Steps[list[Sequence[T]]]:
    """The part of each member: the one that is known, or found anew."""
    parts: list[Sequence[T]] = []
    for member, part in zip(members, known, strict=False):
        parts.append((yield from select(member)) if part is None else part)
    return parts
