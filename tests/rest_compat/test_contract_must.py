"""What yesterday's clients rely on, a test for each line; `docs/reference/compatibility.md` names more."""

import asyncio
import base64
import json
from pathlib import Path

import aiohttp
import jwt
import pytest

from fleet.model.objects import NodeKey
from fleet.model.usage import NANOSECONDS, Point
from realfleet.fleet import Fleet
from realfleet.membership import OPENMCP_PATH
from tests.processes import free_port, open_server
from tests.rest_compat.hostile import status_of
from tests.rest_compat.serving import IMPATIENT, Client, Points, open_client
from tests.rest_compat.upstream import LIST_BODY, NOT_FOUND, Upstream, answering, hanging

PODS = "/api/v1/namespaces/shop/pods"
NINE = 1_599_123_600 * NANOSECONDS  # 2020-09-03 09:00:00 UTC


async def test_connections_close_when_asked_and_are_kept_otherwise(client: Client) -> None:
    host, _, port = client.url.removeprefix("http://").partition(":")
    head = f"GET {PODS}?clustername=cluster1 HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {client.token}\r\n"
    for closing, answers in (("Connection: close\r\n", 1), ("", 2)):
        reader, writer = await asyncio.open_connection(host, int(port))
        got = b""
        for _ in range(answers):
            writer.write(f"{head}{closing}\r\n".encode())
            got += await reader.readuntil(LIST_BODY)
        assert status_of(got) == 200
        if closing:
            assert await reader.read() == b""
        writer.close()


@IMPATIENT
async def test_a_get_without_accept_is_answered_in_time(client: Client, upstream: Upstream) -> None:
    upstream.answers[PODS] = hanging()
    assert (await client.ask("GET", f"{PODS}?clustername=cluster1")).status == 504


@pytest.mark.parametrize(
    ("query", "body", "content_type"),
    [
        ("", b'{"UserName":"openmcp","PASSWORD":"keti"}', "text/plain"),
        ("?username=openmcp&password=keti", None, "application/json"),
        ("", b"username=openmcp&password=keti", "application/x-www-form-urlencoded"),
    ],
)
async def test_a_token_is_had_by_json_query_and_form(
    client: Client, query: str, body: bytes | None, content_type: str
) -> None:
    answer = await client.ask("POST", f"/token{query}", body=body, Authorization="", Content_Type=content_type)
    content = json.loads(answer.body)
    assert (answer.status, list(content), type(content["token"])) == (200, ["token"], str)


async def test_a_token_is_hs256_with_user_iat_and_exp(client: Client) -> None:
    claims = jwt.decode(client.token, options={"verify_signature": False})
    assert jwt.get_unverified_header(client.token)["alg"] == "HS256"
    assert (sorted(claims), claims["user"], claims["exp"] - claims["iat"]) == (["exp", "iat", "user"], "openmcp", 3600)
    for scheme in ("Bearer", "bearer", "BEARER"):
        answer = await client.ask("GET", "/api?clustername=cluster1", Authorization=f"{scheme} {client.token}")
        assert answer.status == 200
    refused = await client.ask("GET", "/api?clustername=cluster1", Authorization=f"Bearer {client.token}x")
    assert (refused.status, refused.body) == (401, b"signature is invalid\n")


async def test_the_first_clustername_counts_and_an_empty_one_is_the_host(client: Client, upstream: Upstream) -> None:
    assert (await client.ask("GET", f"{PODS}?clustername=nowhere&clustername=cluster1")).status == 404
    for query in ("clustername=cluster1&clustername=x", "clustername=&clustername=x", "clustername"):
        assert (await client.ask("GET", f"{PODS}?a=1&{query}&b=%2C")).status == 200
    assert [seen.target for seen in upstream.seen] == [f"{PODS}?a=1&b=%2C"] * 3


@pytest.mark.parametrize("path", ["/api/", "/apis/", f"{PODS}/", f"{PODS}/web/"])
async def test_a_slash_at_the_end_is_served_and_not_redirected(client: Client, upstream: Upstream, path: str) -> None:
    assert (await client.ask("GET", f"{path}?clustername=cluster1")).status == 200
    assert upstream.seen[-1].target == path


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        *("application/yaml", "application/json-patch+json", "application/merge-patch+json"),
        *("application/strategic-merge-patch+json", "application/apply-patch+yaml", "Application/JSON; Charset=utf-8"),
    ],
)
async def test_a_content_type_arrives_exactly_or_not_at_all(
    client: Client, upstream: Upstream, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content_Type": content_type}
    body = b"a: b # \xff\r\n"
    await client.ask("PATCH", f"{PODS}/web?clustername=cluster1", body=body, **headers)
    assert (upstream.seen[0].header("content-type"), upstream.seen[0].body) == (content_type, body)


async def test_a_success_is_the_members_bytes(client: Client, upstream: Upstream) -> None:
    upstream.answers["/api/v1/nodes"] = answering(202, LIST_BODY)
    answer = await client.ask("GET", "/api/v1/nodes?clustername=cluster1")
    assert (answer.status, answer.body) == (202, LIST_BODY)


async def test_an_error_is_a_status_that_its_reader_survives(client: Client, upstream: Upstream) -> None:
    upstream.answers[PODS] = answering(404, NOT_FOUND)
    read = json.loads((await client.ask("GET", f"{PODS}?clustername=cluster1")).body)
    written = json.loads((await client.ask("POST", f"{PODS}?clustername=cluster1", body=b"{}")).body)
    assert (read["kind"], read["status"], read["items"], read["code"]) == ("Status", {}, [], 404)
    assert (written["kind"], written["status"], type(written["message"])) == ("Status", "Failure", str)


async def test_metrics_have_their_names_and_strings_over_half_open_utc_ranges(client: Client, points: Points) -> None:
    points.stored[NodeKey("cluster1", "n")] = [Point(time_ns=NINE + 5 * n * NANOSECONDS, cpu_cores=n) for n in range(4)]
    ranged = "timeStart=2020-09-03_09:00:05&timeEnd=2020-09-03_09:00:15"
    for query, seconds in (("", ["15"]), (ranged, ["05", "10"])):
        answer = await client.ask("GET", f"/metrics/nodes/n?clustername=cluster1&{query}")
        entries = json.loads(answer.body)["nodemetrics"]
        assert [entry["time"] for entry in entries] == [f"2020-09-03T09:00:{second}Z" for second in seconds]
        leaves = [
            leaf for entry in entries for part in ("cpu", "memory", "fs", "network") for leaf in entry[part].values()
        ]
        assert all(isinstance(leaf, str) for leaf in leaves)
    empty = await client.ask("GET", "/metrics/nodes/none?clustername=cluster1")
    assert json.loads(empty.body) == {"nodemetrics": None}
    assert json.loads((await client.ask("GET", "/status?clustername=cluster1")).body) == {"cluster_status": None}


async def test_a_delete_drops_what_is_no_delete_options(client: Client, upstream: Upstream) -> None:
    for body in (b"kind: Pod\nmetadata: {name: web}\n", b'{"kind":"DeleteOptions","gracePeriodSeconds":0}'):
        await client.ask("DELETE", f"{PODS}/web?clustername=cluster1", body=body, Content_Type="application/yaml")
    assert [seen.body for seen in upstream.seen] == [b"", b'{"kind":"DeleteOptions","gracePeriodSeconds":0}']


@pytest.mark.real
async def test_join_and_join_cloud_take_a_form_behind_a_switch(real_fleet: Fleet, tmp_path: Path) -> None:
    """The kubeconfig of a real member is tried there, and registered in the real host."""
    port = free_port()
    ports = {"OPENMCP_HOST": "127.0.0.1", "OPENMCP_PORT": str(port), "OPENMCP_OPS_PORT": str(free_port())}
    environment = real_fleet.environment() | ports | {"OPENMCP_JOIN": "true"}
    member, host = real_fleet.cluster("cluster2"), real_fleet.host.client
    kubeconfig = member.kubeconfig.read_bytes()
    async with (
        open_server("serve", environment=environment, port=port, log=tmp_path / "log") as server,
        open_client(server.url, await server.sign_in()) as client,
    ):
        assert (await client.ask("POST", "/join", body=b"")).body == b"INVALID_FILE"
        form = _form(kubeconfig)
        target = "/joinCloud?clustername=handed&clustertype=EKS&clusterlocation=us-east-1"
        answer = await client.ask("POST", target, body=form, Content_Type=form.headers["Content-Type"])
        assert (answer.status, answer.body) == (200, b"OK\n")
        stored = host.get(f"{OPENMCP_PATH}/handed")["spec"]
        listed = json.loads((await client.ask("GET", "/joinable")).body)["items"]
        host.delete(f"{OPENMCP_PATH}/handed")
        assert (stored["joinStatus"], stored["nodeInfo"]) == ("UNJOIN", {"region": "US", "zone": "Virginia"})
        assert member.api.tokens.admin in base64.b64decode(stored["kubeconfigInfo"]).decode()
        assert {"name": "handed", "endpoint": member.url}.items() <= listed[0].items()


def _form(kubeconfig: bytes) -> aiohttp.MultipartWriter:
    form = aiohttp.FormData()
    form.add_field("file", kubeconfig, filename="config")
    written = form()
    assert isinstance(written, aiohttp.MultipartWriter)
    return written
