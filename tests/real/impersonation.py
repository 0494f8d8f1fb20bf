"""Users of a real member, what it lets them see, and a server that shows them no more."""

import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from auth.passwords import hash_password
from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from realfleet.client import KubeClient, KubeError
from realfleet.cluster import Cluster

PASSWORD = "a password of these tests"
GROUPS = ("team-a", "team-b")
MOST_USERS = 400
RBAC = "/apis/rbac.authorization.k8s.io/v1"
_GROUP = "rbac.authorization.k8s.io"
_numbers = itertools.count()


@dataclass(frozen=True)
class Binding:
    """A rule for a user or a group (`group:NAME`), in a namespace or, for None, in the whole cluster."""

    subject: str
    verbs: tuple[str, ...]
    kinds: tuple[str, ...]
    namespace: str | None = None
    names: tuple[str, ...] = ()

    @property
    def rule(self) -> dict[str, Any]:
        groups = {kind.partition(".")[2] for kind in self.kinds}
        rule: dict[str, Any] = {"verbs": self.verbs, "apiGroups": sorted(groups)}
        rule["resources"] = sorted({kind.partition(".")[0] for kind in self.kinds})
        return rule | ({"resourceNames": self.names} if self.names else {})


def name_users() -> Iterator[str]:
    return (f"user-{number}" for number in range(MOST_USERS))


def write_users(path: Path) -> Path:
    """A users file: all of them administrators here, half of them in each group."""
    hashed = hash_password(PASSWORD)
    names = enumerate(name_users())
    save_users(path, [User(name, hashed, Scope(Role.ADMIN), (GROUPS[number % 2],)) for number, name in names])
    return path


@contextmanager
def bound(client: KubeClient, *bindings: Binding) -> Iterator[list[str]]:
    """The bindings while inside the `with`: paths of the binding objects."""
    made: list[str] = []
    roles: list[str] = []
    try:
        for binding in bindings:
            name = f"random-{next(_numbers)}"
            space = "" if binding.namespace is None else f"/namespaces/{binding.namespace}"
            kind = "ClusterRole" if binding.namespace is None else "Role"
            where = f"{RBAC}{space}/{kind.lower()}"
            head = {"apiVersion": f"{_GROUP}/v1", "metadata": {"name": name}}
            client.create(f"{where}s", head | {"kind": kind, "rules": [binding.rule]})
            roles.append(f"{where}s/{name}")
            group, _, of = binding.subject.rpartition(":")
            subject = {"apiGroup": _GROUP, "kind": "Group" if group else "User", "name": of}
            reference = {"apiGroup": _GROUP, "kind": kind, "name": name}
            client.create(
                f"{where}bindings", head | {"kind": f"{kind}Binding", "roleRef": reference, "subjects": [subject]}
            )
            made.append(f"{where}bindings/{name}")
        yield made
    finally:
        for path in (*made, *roles):
            try:
                client.delete(path)
            except KubeError as error:
                if error.status != 404:
                    raise


class AsUser(KubeClient):
    """The member's API as one of its users, by the member's own impersonation."""

    def __init__(self, member: Cluster, user: str, group: str) -> None:
        super().__init__(member.url, member.api.files.ca, member.api.tokens.admin)
        self._headers |= {"Impersonate-User": user, "Impersonate-Group": group}

    def list_names(self, root: str, resource: str, namespaces: Iterable[str] = ()) -> set[tuple[str, str]]:
        """Namespace and name of all that it may list: of all namespaces, or of each by itself."""
        answers = [self._list_items(f"{root}/{resource}")]
        answers += [
            self._list_items(f"{root}/namespaces/{name}/{resource}") for name in namespaces if answers[0] is None
        ]
        heads = [item["metadata"] for items in answers for item in items or ()]
        return {(head.get("namespace", ""), head["name"]) for head in heads}

    def list_events(self, namespaces: Iterable[str]) -> set[tuple[str, str, str]]:
        """Namespace, reason and the name of the object of all events that it may list."""
        answers = [self._list_items("/api/v1/events")]
        if answers[0] is None:
            answers = [self._list_items(f"/api/v1/namespaces/{name}/events") for name in namespaces]
        found = [item for items in answers for item in items or ()]
        return {(one["metadata"]["namespace"], one["reason"], one["involvedObject"]["name"]) for one in found}

    def holds(self, binding: Binding) -> bool:
        """Whether the member's authorizer knows of it."""
        resource, _, group = binding.kinds[0].partition(".")
        asked = {"verb": binding.verbs[0], "group": group, "resource": resource, "namespace": binding.namespace or ""}
        spec = {"resourceAttributes": asked | {"name": binding.names[0] if binding.names else ""}}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
        return bool(self.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)["status"]["allowed"])

    def may_read(self, path: str) -> bool:
        return self.read("GET", path)[0] == 200

    def _list_items(self, path: str) -> list[Any] | None:
        status, body = self.read("GET", path)
        assert status in (200, 403), body
        return list(json.loads(body)["items"]) if status == 200 else None


@dataclass(frozen=True)
class Asker:
    """A signed-in user of the server under test."""

    url: str
    token: str
    session: aiohttp.ClientSession = field(repr=False)

    async def ask(self, query: str) -> dict[str, Any]:
        """The whole GraphQL answer."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.session.post(f"{self.url}/graphql", json={"query": query}, headers=headers) as answer:
            return dict(await answer.json(content_type=None))

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        given = {"Authorization": f"Bearer {self.token}", **headers}
        content = None if body is None else json.dumps(body)
        async with self.session.request(method, f"{self.url}{path}", data=content, headers=given) as answer:
            return answer.status, await answer.read()
