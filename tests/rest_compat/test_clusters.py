"""`/clusters/NAME/...`: which paths lead to the member, what arrives there, and what is refused as a Status."""

import json

import pytest

from tests.rest_compat.serving import Client
from tests.rest_compat.upstream import LIST_BODY, Upstream, answering


@pytest.mark.parametrize(
    ("target", "arrives"),
    [
        ("/clusters/cluster1/api", "/api"),
        ("/clusters/cluster1/api/v1/pods?limit=5&labelSelector=a%3Db", "/api/v1/pods?limit=5&labelSelector=a%3Db"),
        ("/clusters/cluster1/apis/apps/v1/namespaces/a/deployments/", "/apis/apps/v1/namespaces/a/deployments/"),
        ("/clusters/cluster1/version?timeout=32s", "/version?timeout=32s"),
        ("/clusters/cluster1/openapi/v2", "/openapi/v2"),
        ("/clusters/cluster1/openapi/v3/apis/apps/v1?hash=A1", "/openapi/v3/apis/apps/v1?hash=A1"),
        ("/clusters/cluster1/readyz?verbose", "/readyz?verbose"),
        ("/clusters/cluster1/livez/ping", "/livez/ping"),
        ("/clusters/cluster1/healthz", "/healthz"),
        ("/clusters/cluster%31/api/v1/pods", "/api/v1/pods"),
        ("/clusters/cluster1/api/v1/pods?clustername=cluster1&limit=1", "/api/v1/pods?limit=1"),
    ],
)
async def test_what_is_below_a_cluster_arrives_as_it_was_sent(
    client: Client, upstream: Upstream, target: str, arrives: str
) -> None:
    answer = await client.ask("GET", target, User_Agent="kubectl/v1.36.3", Accept="*/*")
    (seen,) = upstream.seen
    assert (answer.status, answer.body, seen.target) == (200, LIST_BODY, arrives)
    assert seen.header("user-agent") == "kubectl/v1.36.3"  # it names the managers of fields


@pytest.mark.parametrize(
    ("target", "status", "reason", "message"),
    [
        ("/clusters", 404, "NotFound", "the URL of a cluster is /clusters/NAME"),
        ("/clusters/", 404, "NotFound", "the URL of a cluster is /clusters/NAME"),
        ("/clusters/cluster1", 404, "NotFound", "'/' is not passed on"),
        ("/clusters/cluster1/metrics", 404, "NotFound", "'/metrics' is not passed on"),
        ("/clusters/cluster1/apisix", 404, "NotFound", "'/apisix' is not passed on"),
        ("/clusters/cluster1/openapi", 404, "NotFound", "'/openapi' is not passed on"),
        ("/clusters/cluster1/logs/x", 404, "NotFound", "is not passed on"),
        ("/clusters//api/v1/pods", 404, "NotFound", "names no cluster"),
        ("/clusters/cluster1//api/v1/pods", 404, "NotFound", "is not passed on"),
        ("/clusters/cluster1/api/v1/../../metrics", 400, "BadRequest", "segments are not accepted"),
        ("/clusters/cluster1/api/v1/%2e%2e/secrets", 400, "BadRequest", "segments are not accepted"),
        ("/clusters/cluster1/healthz/%2e%2e/metrics", 400, "BadRequest", "segments are not accepted"),
        ("/clusters/cluster1%2fapi/v1/pods", 404, "NotFound", "is not passed on"),
        ("/clusters/%2e%2e/api/v1/pods", 404, "NotFound", "no cluster is named '..'"),
        ("/clusters/cluster1/api/v1/pods?clustername=openmcp", 400, "BadRequest", "name one of them"),
        ("/clusters/nowhere/api/v1/pods", 404, "NotFound", "no cluster is named 'nowhere'"),
        ("/clusters/down/api/v1/pods", 503, "ServiceUnavailable", "cluster down"),
    ],
)
async def test_what_is_refused_is_a_genuine_status(
    client: Client, upstream: Upstream, target: str, status: int, reason: str, message: str
) -> None:
    answer = await client.ask("GET", target)
    body = json.loads(answer.body)
    assert (answer.status, body["status"], body["reason"], body["code"]) == (status, "Failure", reason, status)
    assert message in body["message"]
    assert upstream.seen == []


async def test_rights_are_those_of_the_other_urls(client: Client, upstream: Upstream, viewer: str) -> None:
    for target, status in (
        ("/clusters/cluster1/api/v1/namespaces/shop/pods", 200),
        ("/clusters/cluster1/version", 200),
        ("/clusters/cluster1/api/v1/namespaces/shop/secrets", 403),
        ("/clusters/cluster1/api/v1/namespaces/other/pods", 403),
        ("/clusters/cluster1/api/v1/pods", 403),
        ("/clusters/openmcp/api/v1/namespaces/shop/pods", 404),
    ):
        assert (await client.ask("GET", target, token=viewer)).status == status, target
    assert (await client.ask("POST", "/clusters/cluster1/version", token=viewer)).status == 403


async def test_without_a_token_nothing_is_told(client: Client, upstream: Upstream) -> None:
    answer = await client.ask("GET", "/clusters/nowhere/api", token="wrong")
    assert (answer.status, json.loads(answer.body)["reason"]) == (401, "Unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_members_error_passes_unchanged(client: Client, upstream: Upstream) -> None:
    said = b'{"kind":"Status","status":"Failure","message":"no","reason":"Conflict","code":409}\n'
    upstream.answers["/api/v1/pods"] = answering(409, said)
    answer = await client.ask("GET", "/clusters/cluster1/api/v1/pods")
    assert (answer.status, answer.body) == (409, said)
