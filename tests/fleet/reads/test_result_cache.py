"""What is remembered of caches is always what they hold, and never more of it than its bounds."""

import random
from collections.abc import Sequence
from functools import partial

import pytest

from fleet.aio.turns import Steps, finish
from fleet.members.member import FleetOptions, Member
from fleet.members.watching import Watching
from fleet.model.kinds import PODS
from fleet.model.objects import Pod
from fleet.model.queries import NameFilter, PodFilter
from fleet.model.selectors import parse_label_selector
from fleet.model.visibility import Role, Scope
from fleet.reads.availability_cache import Participants
from fleet.reads.filtering import MemberFilter
from fleet.reads.result_cache import ResultCache, Select
from tests.fakes.kubernetes import FakeSource, build_spec
from tests.fakes.records import build_pod_record

SCOPES = (Scope(Role.VIEW), Scope(Role.VIEW, namespaces=("sh*",)), Scope(Role.VIEW, clusters=("c1", "c2")))
FILTERS = (
    PodFilter(),
    PodFilter(labels=parse_label_selector("app=a1")),
    PodFilter(labels=parse_label_selector("app!=a1")),
    PodFilter(namespaces=frozenset({"ops"})),
)


def build_members(*names: str) -> list[Member]:
    return [Member(build_spec(name), Watching(FakeSource(), FleetOptions()), FleetOptions()) for name in names]


def put(member: Member, number: int, app: int = 0) -> None:
    namespace = ("shop", "ops")[number % 2]
    member.pods.put(build_pod_record(member.name, namespace, f"p{number:02}", labels=(("app", f"a{app}"),)))


def ask(members: list[Member]) -> Participants:
    return Participants(members, (), object())


def build_select(question: PodFilter, scope: Scope) -> Select[Pod]:
    selection = MemberFilter(PODS, question, scope)
    return lambda member: selection.scan(member.pods, member.name)


@pytest.mark.parametrize("seed", range(20))
async def test_what_is_found_is_what_the_caches_hold(seed: int) -> None:
    chance, members, pods = random.Random(seed), build_members("c1", "c2", "c3"), ResultCache(PODS)
    marks: dict[tuple[str, ...], object] = {}
    for _ in range(150):
        member = chance.choice(members)
        event = chance.randrange(6)
        if event == 0:
            member.pods.drop((chance.choice(("shop", "ops")), f"p{chance.randrange(20):02}"))
        elif event == 1:
            staged = member.pods.stage()
            staged.add(member.pods.all()[: chance.randrange(9)])
            staged.commit()
        elif event <= 3:
            put(member, chance.randrange(20), chance.randrange(3))
        question, scope = chance.choice(FILTERS), chance.choice(SCOPES)
        answering = [member for member in members if chance.random() < 0.9]
        select = build_select(question, scope)
        mark = marks.setdefault(tuple(member.name for member in answering), object())
        matched = finish(
            pods.find((scope, question), Participants(answering, (), mark), partial(build_select, question, scope))
        )
        assert list(matched) == [pod for member in answering for pod in finish(select(member))]


async def test_only_members_that_changed_are_searched_again() -> None:
    members, searched, pods = build_members("c1", "c2", "c3"), list[str](), ResultCache(PODS)

    def build() -> Select[Pod]:
        def select(member: Member) -> Steps[Sequence[Pod]]:
            searched.append(member.name)
            yield
            return member.pods.all()

        return select

    for number, member in enumerate(members):
        put(member, number)
    for _ in range(2):
        assert len(finish(pods.find("all", ask(members), build))) == 3
    put(members[1], 7)
    assert len(finish(pods.find("all", ask(members), build))) == 4
    assert searched == ["c1", "c2", "c3", "c2"]


async def test_no_more_is_kept_than_the_bounds_allow() -> None:
    members, searched = build_members("c1", "c2"), list[str]()
    pods = ResultCache(PODS, most_questions=3, most_objects=10)
    for member in members:
        for number in range(6):
            put(member, number)

    def put_question(name: str, most: int) -> None:
        def build() -> Select[Pod]:
            searched.append(name)
            names = frozenset(f"p{number:02}" for number in range(most))
            selection = MemberFilter(PODS, PodFilter(name=NameFilter(one_of=names)), SCOPES[0])
            return lambda member: selection.scan(member.pods, member.name)

        finish(pods.find(name, ask(members), build))

    for name, most in (("a", 1), ("b", 1), ("c", 1), ("a", 1), ("d", 1), ("b", 1), ("a", 1)):
        put_question(name, most)
    assert searched == ["a", "b", "c", "d", "b"], "the one that was not asked for longest goes first"
    for name, most in (("large", 4), ("b", 1), ("a", 1), ("larger", 6), ("a", 1), ("larger", 6)):
        put_question(name, most)
    assert searched[5:] == ["large", "b", "a", "larger", "larger"]
