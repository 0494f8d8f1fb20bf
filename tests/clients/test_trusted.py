"""A server that trusts what Relay's compiler persisted: that is run, however it is asked, and nothing else."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import async_playwright

from tests.clients.serving import SIGNING_KEY
from tests.processes import RunningServer, free_port, open_server
from tests.required import need


async def ask(server: RunningServer, token: str, body: dict[str, object]) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{server.url}/graphql", json=body) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def test_a_server_runs_what_the_compiler_persisted_and_nothing_else(
    compiled: Path, trusting: RunningServer
) -> None:
    texts = json.loads((compiled / "persisted.json").read_text())
    ids = {name: next(key for key, text in texts.items() if f"query {name}" in text) for name in ("AppPageQuery",)}
    token = await trusting.sign_in()
    first = await ask(trusting, token, {"documentId": ids["AppPageQuery"], "variables": {"first": 5}})
    after = first[1]["data"]["pods"]["pageInfo"]["endCursor"]
    second = await ask(trusting, token, {"documentId": ids["AppPageQuery"], "variables": {"first": 5, "after": after}})
    own = await ask(trusting, token, {"query": "{ viewer { name } }"})
    pages = [[edge["node"]["name"] for edge in page["data"]["pods"]["edges"]] for _, page in (first, second)]
    assert [len(page) for page in pages] == [5, 5]
    assert not set(pages[0]) & set(pages[1])
    assert (own[0], own[1]["errors"][0]["extensions"]) == (403, {"code": "FORBIDDEN"})


async def test_live_transports_run_nothing_else_either(trusting: RunningServer) -> None:
    token = await trusting.sign_in()
    own = {"query": "subscription { clusterEvents { type } }"}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        headers = {"Accept": "text/event-stream"}
        async with session.post(f"{trusting.url}/graphql", json=own, headers=headers) as stream:
            events = (stream.status, await stream.json(content_type=None))
        async with session.ws_connect(f"{trusting.url}/graphql", protocols=["graphql-transport-ws"]) as socket:
            await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
            assert (await socket.receive_json(timeout=10))["type"] == "connection_ack"
            await socket.send_json({"type": "subscribe", "id": "1", "payload": own})
            told = await socket.receive_json(timeout=10)
    assert (events[0], events[1]["errors"][0]["extensions"]) == (403, {"code": "FORBIDDEN"})
    assert (told["type"], told["payload"][0]["extensions"]) == ("error", {"code": "FORBIDDEN"})


@pytest.mark.browser
async def test_graphiql_says_why_it_can_ask_nothing(trusting: RunningServer) -> None:
    chromium = need("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = await browser.new_page()
            await page.goto(f"{trusting.url}/graphql")
            await page.fill("input[name=username]", "openmcp")
            await page.fill("input[name=password]", "keti")
            await page.click("button[type=submit]")
            await page.wait_for_selector(".result-window >> text=trusted documents only")
        finally:
            await browser.close()


async def test_a_manifest_that_is_none_stops_the_start_and_says_why(tmp_path: Path) -> None:
    manifest, port = tmp_path / "manifest.json", free_port()
    manifest.write_text("[]")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("{apiVersion: v1, kind: Config}")
    environment = {
        "OPENMCP_TRUSTED_DOCUMENTS": str(manifest),
        "OPENMCP_SIGNING_KEY": SIGNING_KEY,
        "OPENMCP_KUBECONFIG": str(kubeconfig),
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(port),
        "OPENMCP_OPS_PORT": str(free_port()),
    }
    with pytest.raises(AssertionError, match=r"OPENMCP_TRUSTED_DOCUMENTS is '.*manifest.json', which is neither"):
        async with open_server("serve", environment=environment, port=port, log=tmp_path / "log"):
            raise RuntimeError("it has started")
