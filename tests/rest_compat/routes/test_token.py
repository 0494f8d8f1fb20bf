"""A token can be had in every way its clients ever asked for one."""

import asyncio
import json
import re

import pytest

from auth.attempts import FREE_OF_A_PAIR
from tests.fakes.waiting import PATIENCE, until
from tests.rest_compat.serving import Client, open_served

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
RIGHT = "username=openmcp&password=keti"


@pytest.mark.parametrize(
    ("method", "query", "body", "content_type"),
    [
        ("GET", f"?{RIGHT}", None, JSON),
        ("GET", f"?{RIGHT}&timeStart=&timeEnd=2020-09-03_09:00:15", None, JSON),
        ("POST", "", b'{"username":"openmcp","password":"keti"}', JSON),
        ("POST", "", b'{"USERNAME":"openmcp","Password":"keti","extra":[1]}', None),
        ("POST", "", b'  {"username":"openmcp","password":"keti"}\nand more', FORM),
        ("POST", "", RIGHT.encode(), FORM),
        ("POST", "", RIGHT.encode(), None),
        ("PUT", "", b'{"username":"openmcp","password":"keti"}', "text/plain"),
        ("DELETE", f"?{RIGHT}", None, None),
        ("OPTIONS", f"?{RIGHT}", None, None),
        ("POST", "?username=someone&password=else", RIGHT.encode(), FORM),
        ("GET", f"?{RIGHT}&username=second", None, None),
    ],
)
async def test_name_and_password_give_a_token(
    client: Client, method: str, query: str, body: bytes | None, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content_Type": content_type}
    answer = await client.ask(method, f"/token{query}", body=body, Authorization="", **headers)
    assert (answer.status, answer.headers["content-type"]) == (200, JSON)
    assert re.fullmatch(rb'\{"token":"[\w-]+\.[\w-]+\.[\w-]+"\}', answer.body)
    token = json.loads(answer.body)["token"]
    assert (await client.ask("GET", "/api?clustername=cluster1", token=token)).status == 200


async def test_a_form_in_parts_gives_a_token(client: Client) -> None:
    parts = (
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("username", "openmcp"), ("password", "keti"))
    )
    body = f"{''.join(parts)}--x--\r\n".encode()
    answer = await client.ask("POST", "/token", body=body, Content_Type="multipart/form-data; boundary=x")
    assert (answer.status, list(json.loads(answer.body))) == (200, ["token"])


@pytest.mark.parametrize(
    ("status", "query", "body", "error"),
    [
        (401, "?username=openmcp&password=wrong", None, "^invalid_credentials$"),
        (401, "?username=nobody&password=keti", None, "^invalid_credentials$"),
        (400, "", None, "username and password are needed"),
        (400, "?username=openmcp", None, "username and password are needed"),
        (400, "?username=openmcp&password=", None, "username and password are needed"),
        (400, "", b"{", "begins as JSON"),
        (400, "", b'{"a":' * 10_000, "begins as JSON"),
        (400, "", b'{"username":{},"password":"keti"}', "must be strings"),
        (400, "", b"a&" * 2_000, "1000 parameters"),
        (413, "", b"a" * 70_000, "65536 bytes at most"),
    ],
)
async def test_refusals_are_flat_json(client: Client, status: int, query: str, body: bytes | None, error: str) -> None:
    answer = await client.ask("POST", f"/token{query}", body=body, Authorization="")
    content = json.loads(answer.body)
    assert (answer.status, answer.headers["content-type"], list(content)) == (status, JSON, ["error"])
    assert re.search(error, content["error"])


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
async def test_a_body_in_another_coding_is_refused_by_its_name(client: Client, coding: str) -> None:
    answer = await client.ask("POST", "/token", body=b"\x1f\x8b", Content_Encoding=coding)
    content = json.loads(answer.body)
    assert (answer.status, list(content), f"in {coding}" in content["error"]) == (415, ["error"], True)


async def test_a_byte_order_mark_is_passed_over(client: Client) -> None:
    body = b'\xef\xbb\xbf{"username":"openmcp","password":"keti"}'
    assert (await client.ask("POST", "/token", body=body)).status == 200


async def test_a_broken_form_in_parts_is_refused(client: Client) -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = await client.ask("POST", "/token", body=b"--y nothing", Content_Type=content_type)
        assert (answer.status, list(json.loads(answer.body))) == (400, ["error"])


async def test_a_token_is_renewed_for_who_sends_it_alone(client: Client) -> None:
    renewed = json.loads((await client.ask("POST", "/token")).body)["token"]
    assert (await client.ask("GET", "/api?clustername=cluster1", token=renewed)).status == 200
    again = await client.ask("GET", "/token", token=renewed)
    assert (again.status, list(json.loads(again.body))) == (200, ["token"])


async def test_a_token_that_does_not_count_is_not_renewed(client: Client) -> None:
    answer = await client.ask("POST", "/token", token="a.b.c")
    assert (answer.status, b"token is malformed" in answer.body) == (401, True)


async def test_a_name_and_a_password_go_before_a_token(client: Client) -> None:
    assert (await client.ask("POST", "/token?username=openmcp&password=wrong")).status == 401
    assert (await client.ask("POST", "/token?username=openmcp")).status == 400


class Busy:
    """Signs nobody in; says who still waits."""

    def __init__(self) -> None:
        self.waiting: list[str] = []

    async def login(self, username: str, password: str, *, address: str) -> str:
        self.waiting.append(address)
        try:
            await asyncio.Event().wait()
        finally:
            self.waiting.remove(address)
        raise AssertionError


async def test_a_sign_in_ends_with_its_client() -> None:
    busy = Busy()
    async with open_served({"authenticator": busy, "request_timeout": PATIENCE}) as url:
        host, port = url.removeprefix("http://").split(":")
        for body in (b"", b"username=a&password=b"):
            _, writer = await asyncio.open_connection(host, int(port))
            head = f"POST /token?username=a&password=b HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await until(lambda: busy.waiting == ["127.0.0.1"], what="the sign-in")
            writer.close()
            await until(lambda: not busy.waiting, what="the end of the sign-in")


async def test_too_many_guesses_are_told_when_to_ask_again(client: Client) -> None:
    headers = {"Authorization": "", "X_Forwarded_For": "192.0.2.1"}
    for _ in range(FREE_OF_A_PAIR):
        answer = await client.ask("GET", "/token?username=openmcp&password=wrong", **headers)
        assert answer.status == 401
    answer = await client.ask("GET", f"/token?{RIGHT}", **headers)
    assert (answer.status, answer.body) == (429, b'{"error":"too_many_logins"}')
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert (await client.ask("GET", f"/token?{RIGHT}", Authorization="")).status == 200
