"""Roles may have names that a URL gives a meaning to: through this server as directly."""

import json
import ssl
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from tests.kubectl.conftest import Both
from tests.kubectl.running import Kubectl, Outcome

pytestmark = pytest.mark.real

NAMES = ["odd name:a b#c?d", " ends ", "back\\slash", "a?watch=1&x=y", "a,b=c;d+e", "운영 (서울)", "...", "status"]
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
}


@pytest.mark.parametrize("name", NAMES)
async def test_kubectl_does_the_same_with_a_role_of_any_name(both: Both, name: str) -> None:
    through, directly = await _play(both.through, name), await _play(both.directly, name)
    assert [run.normalised() for run in through] == [run.normalised() for run in directly]
    assert [run.code for run in through] == [0] * (len(through) - 1) + [1]


async def _play(kubectl: Kubectl, name: str) -> list[Outcome]:
    lines = (
        ["create", "clusterrole", name, "--verb=get", "--resource=pods"],
        ["get", "clusterrole", name, "-o", "yaml"],
        ["get", "clusterrole", f"--field-selector=metadata.name={_escaped(name)}", "-o", "name"],
        ["describe", "clusterrole", name],
        ["patch", "clusterrole", name, "--type=merge", "-p", '{"metadata":{"labels":{"a":"b"}}}'],
        ["edit", "clusterrole", name],
        ["auth", "reconcile", "-f", "-"],
        ["wait", "clusterrole", name, "--for=jsonpath={.metadata.labels.a}=b", "--timeout=10s"],
        ["create", "rolebinding", name, f"--clusterrole={name}", "--user=nobody", "--namespace=default"],
        ["get", "rolebinding", name, "--namespace=default", "-o", "jsonpath={.roleRef.name}"],
        ["delete", "rolebinding", name, "--namespace=default"],
        ["delete", "clusterrole", name, "--timeout=10s"],
        ["get", "clusterrole", name],
    )
    role = json.dumps(ROLE | {"metadata": {"name": name}})
    return [await kubectl.run(line, role, KUBE_EDITOR="sed -i s/get/watch/") for line in lines]


def _escaped(name: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\,=" else sign for sign in name)


@pytest.mark.parametrize("name", ["a%b", "..", ".", "a/b"])
async def test_what_is_no_name_is_refused_by_all(both: Both, name: str) -> None:
    through, directly = [await run.run(["get", "clusterrole", name]) for run in (both.through, both.directly)]
    assert through == directly
    status, _ = await _ask(both, f"/clusters/cluster1{_path(name)}")
    assert status == 400


@pytest.mark.parametrize("name", NAMES)
async def test_the_other_ways_to_a_member_read_the_name_too(both: Both, name: str) -> None:
    await both.directly.must(["create", "clusterrole", name, "--verb=get", "--resource=pods"])
    try:
        legacy = await _ask(both, f"{_path(name)}?clustername=cluster1")
        at_version = await _ask(both, f"/clusters/cluster1{_path(name)}?resourceVersion=0")
        asked = json.dumps(name, ensure_ascii=False)
        kind = 'apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole"'
        wanted = f'filter: {{ name: {{ eq: {asked} }}, clusters: ["cluster1"] }}'
        query = (
            f'{{ resource(cluster: "cluster1", {kind}, name: {asked}) {{ name events {{ reason }} }}'
            f" resources({kind}, {wanted}) {{ items {{ name }} }} }}"
        )
        graph = await _ask(both, "/graphql", query)
    finally:
        await both.directly.must(["delete", "clusterrole", name])
    assert [(status, body["metadata"]["name"]) for status, body in (legacy, at_version)] == [(200, name)] * 2
    assert graph[1] == {"data": {"resource": {"name": name, "events": []}, "resources": {"items": [{"name": name}]}}}


def _path(name: str) -> str:
    return f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{quote(name, safe='')}"


async def _ask(both: Both, path: str, query: str | None = None) -> tuple[int, dict[str, Any]]:
    tls = ssl.create_default_context(cafile=both.ca_file)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {both.token}"}) as session:
        method, body = ("GET", None) if query is None else ("POST", {"query": query})
        url = URL(both.server.url + path, encoded=True)
        async with session.request(method, url, json=body, ssl=tls) as answer:
            return answer.status, json.loads(await answer.read())
