"""Defects of the original that no other test is about; `docs/reference/compatibility.md` lists them all."""

import asyncio
import json

import pytest

from tests.rest_compat.serving import Client
from tests.rest_compat.upstream import LIST_BODY, Upstream

PODS = "/api/v1/namespaces/shop/pods"


async def test_a_thousand_wrong_names_ask_no_member_anything(client: Client, upstream: Upstream) -> None:
    """The original made all of its clients anew for each."""
    for start in range(0, 1_000, 20):
        names = (f"wrong-{number}" for number in range(start, start + 20))
        answers = await asyncio.gather(*(client.ask("GET", f"{PODS}?clustername={name}") for name in names))
        assert {answer.status for answer in answers} == {404}
    assert (await client.ask("GET", f"{PODS}?clustername=cluster1")).body == LIST_BODY
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_is_answered(client: Client, upstream: Upstream, method: str) -> None:
    """HEAD and OPTIONS ended the original's connection."""
    answer = await client.ask(method, f"{PODS}/web?clustername=cluster1")
    assert (answer.status, [seen.method for seen in upstream.seen]) == (201 if method == "POST" else 200, [method])


@pytest.mark.parametrize("body", [b"{}", b'{"username":"","password":""}', b'{"username":null,"password":null}', b""])
async def test_nothing_said_is_no_credential(client: Client, body: bytes) -> None:
    answer = await client.ask("POST", "/token", body=body, Authorization="")
    content = json.loads(answer.body)
    assert (answer.status, list(content), type(content["error"])) == (400, ["error"], str)


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics", "/metrics/", "/metrics/nodes", "/metrics/namespaces/x/pods", "/metrics/other/x", "/status/x"),
        *("/", "/token/", "/join/", "/joinCloud/", "/joinable/x", "/nowhere", "/apix"),
    ],
)
async def test_no_path_is_answered_with_an_empty_success(client: Client, path: str) -> None:
    answer = await client.ask("GET", path)
    assert (answer.status, isinstance(json.loads(answer.body), dict)) == (404, True)


async def test_a_pod_that_is_named_like_exec_is_a_pod(client: Client, upstream: Upstream) -> None:
    for name in ("executor-0", "exec"):
        assert (await client.ask("GET", f"{PODS}/{name}?clustername=cluster1")).body == LIST_BODY
    assert [seen.target for seen in upstream.seen] == [f"{PODS}/executor-0", f"{PODS}/exec"]
