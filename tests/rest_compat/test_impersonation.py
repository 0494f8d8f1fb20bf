"""Who asks to act as somebody else is refused, and told why: left out, the headers would make it another request."""

import json

import aiohttp
import pytest

from tests.processes import RunningServer
from tests.rest_compat.hostile import Raw, status_of
from tests.rest_compat.serving import Client, open_client

PODS = "/api/v1/namespaces/shop/pods"
HEADERS = ["Impersonate-User", "impersonate-group", "Impersonate-Uid", "Impersonate-Extra-scopes", "Impersonate_User"]


@pytest.mark.parametrize("header", [*HEADERS, "IMPERSONATE_EXTRA_a", "Impersonate-"])
async def test_no_request_that_names_somebody_else_reaches_a_member(raw: Raw, header: str) -> None:
    upgrade = (b"Connection: Upgrade", b"Upgrade: websocket")
    for method, target, lines in (
        (b"GET", PODS.encode() + b"?clustername=cluster1", ()),
        (b"DELETE", PODS.encode() + b"/web?clustername=cluster1", ()),
        (b"GET", b"/clusters/cluster1/version", ()),
        (b"GET", b"/clusters/cluster1" + PODS.encode() + b"/web/exec?command=x", upgrade),
        (b"POST", PODS.encode() + b"/web/exec?clustername=cluster1&podname=web", (b"Content-Length: 0",)),
    ):
        answer = await raw.ask(target, header.encode() + b": nobody", *lines, method=method)
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert (status_of(answer), body["reason"], body["code"]) == (403, "Forbidden", 403), target
        assert header.lower() in body["message"].lower()
    assert raw.member.seen == []


@pytest.mark.parametrize("path", ["/metrics/nodes/a", "/metrics/pods/a", "/status", "/joinable", "/join"])
async def test_own_routes_refuse_as_well(client: Client, path: str) -> None:
    answer = await client.ask("GET", f"{path}?clustername=cluster1", Impersonate_User="nobody")
    assert (answer.status, b"somebody else" in answer.body) == (403, True)


async def test_who_is_nobody_yet_is_asked_for_a_token_first(client: Client) -> None:
    answer = await client.ask("GET", f"{PODS}?clustername=cluster1", token="x", Impersonate_User="nobody")
    assert answer.status == 401


@pytest.mark.real
async def test_the_graph_refuses_in_all_of_its_protocols(fleet_server: RunningServer) -> None:
    token, asked = await fleet_server.sign_in(), {"query": "{ viewer { name } }"}
    async with open_client(fleet_server.url, token) as client:
        for accept in ("application/json", "application/graphql-response+json", "text/event-stream"):
            headers = {"Accept": accept, "Content-Type": "application/json", "Impersonate-User": "nobody"}
            answer = await client.ask("POST", "/graphql", body=json.dumps(asked).encode(), **headers)
            (error,) = json.loads(answer.body)["errors"]
            assert (answer.status, error["extensions"]["code"]) == (403, "FORBIDDEN")
        url = f"{client.url}/graphql"
        headers = {"Impersonate-User": "nobody"}
        async with client.session.ws_connect(url, protocols=["graphql-transport-ws"], headers=headers) as socket:
            message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4400)
