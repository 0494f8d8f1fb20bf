"""What a member is asked about a subject, and what is made of its answers."""

import asyncio
from contextlib import AbstractAsyncContextManager

import msgspec
import pytest

from fleet.kubernetes.access_reviews import AT_ONCE, load_rights, may
from fleet.model.errors import ClusterAnswerInvalid, ClusterError, ClusterForbidden
from fleet.model.request_info import parse_request
from fleet.model.rights import Subject
from fleet.ports import Answer, Call, StreamedAnswer, Upgraded

ANN = Subject("ann", ("team-a",))
READS = ["get", "list", "watch"]
ALL = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
PODS = {"verbs": READS, "apiGroups": [""], "resources": ["pods"]}


class Member:
    """The reviews of a member whose RBAC has these rules by namespace (`*`: everywhere).

    Its `webhook` allows and denies by verb, resource and namespace before RBAC is asked.
    """

    cluster = "c1"

    def __init__(self, rules: dict[str, list[object]], webhook: dict[tuple[str, str, str], bool] | None = None) -> None:
        self.rules = rules
        self.webhook = webhook
        self.asked: list[str] = []
        self.broken: Answer | None = None
        self.broken_in: str | None = None
        self.at_once = self.most_at_once = 0

    async def request(self, call: Call) -> Answer:
        assert call.acting_for == ANN
        assert isinstance(call.body, bytes)
        kind = call.path.rpartition("/")[2]
        self.asked.append(kind)
        spec = msgspec.json.decode(call.body)["spec"]
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.broken is not None:
            return self.broken
        if self.broken_in is not None and spec.get("namespace") == self.broken_in:
            return Answer(403, {}, b"{}")
        if kind == "selfsubjectrulesreviews":
            found = self.rules.get("*", []) + self.rules.get(spec["namespace"], [])
            return _answer({"resourceRules": found, "incomplete": self.webhook is not None})
        of = spec["resourceAttributes"]
        question = (of["verb"], of["resource"], of.get("namespace", ""))
        return _answer({"allowed": (self.webhook or {}).get(question, False)})

    def open_stream(self, call: Call) -> AbstractAsyncContextManager[StreamedAnswer]:
        raise NotImplementedError

    def open_upgrade(self, call: Call) -> AbstractAsyncContextManager[Upgraded]:
        raise NotImplementedError

    async def close(self) -> None: ...


def _answer(status: object) -> Answer:
    return Answer(201, {}, msgspec.json.encode({"status": status}))


async def test_who_reads_everything_everywhere_is_asked_about_once() -> None:
    member = Member({"*": [ALL]})
    rights = await load_rights(member, ANN, ["a", "b"], 5.0)
    assert member.asked == ["selfsubjectrulesreviews"]
    assert rights.allows("list", "deployments.apps", "a")
    assert not rights.namespaces


async def test_others_are_asked_about_in_each_namespace() -> None:
    member = Member({"*": [{**PODS, "verbs": ["get"]}], "a": [PODS]})
    rights = await load_rights(member, ANN, [f"n{number}" for number in range(40)] + ["a"], 5.0)
    assert member.asked == ["selfsubjectrulesreviews"] * 42
    assert [rights.allows("list", "pods", name) for name in ("a", "n1", None)] == [True, False, False]
    assert rights.allows("get", "pods", None)
    assert rights.namespaces.keys() == {"a"}


async def test_of_incomplete_rules_none_counts_and_each_kind_is_asked_about() -> None:
    webhook = {("list", "pods", "a"): True, ("watch", "nodes", ""): True, ("get", "namespaces", "b"): True}
    member = Member({"*": [ALL]}, webhook)
    rights = await load_rights(member, ANN, ["a", "b"], 5.0)
    assert [rights.allows("list", "pods", name) for name in ("a", "b", None)] == [True, False, False]
    assert rights.allows("watch", "nodes", None)
    assert [rights.allows("list", "namespaces", name) for name in ("a", "b")] == [False, True]
    assert not rights.allows("list", "secrets", "a")
    assert member.most_at_once == AT_ONCE


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Answer(403, {}, b"{}"), ClusterForbidden, "rights to impersonate users and groups"),
        (Answer(201, {}, b'{"status": {"resourceRules": 7}}'), ClusterAnswerInvalid, "answered a review with none"),
        (Answer(201, {}, b"nonsense"), ClusterAnswerInvalid, "is not JSON"),
    ],
)
async def test_what_is_no_answer_is_an_error_of_the_member(
    answer: Answer, error: type[ClusterError], said: str
) -> None:
    member = Member({})
    member.broken = answer
    with pytest.raises(error, match=said):
        await load_rights(member, ANN, [], 5.0)


async def test_what_fails_in_one_namespace_is_an_error_of_the_member() -> None:
    member = Member({})
    member.broken_in = "n7"
    with pytest.raises(ClusterForbidden):
        await load_rights(member, ANN, [f"n{number}" for number in range(20)], 5.0)


async def test_a_single_request_is_asked_about_as_it_is() -> None:
    member = Member({}, {("create", "pods", "a"): True})
    path = "/api/v1/namespaces/{}/pods/web/exec"
    assert [await may(member, ANN, parse_request("POST", path.format(name), ""), 5.0) for name in "ab"] == [True, False]
