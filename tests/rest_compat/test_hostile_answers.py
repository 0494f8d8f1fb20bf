"""What a member may answer to do harm: told as its fault, or passed on exactly; its credential goes nowhere else."""

import gzip
import json

import pytest

from tests.fleet.kubernetes.servers import open_raw_server
from tests.rest_compat.hostile import MEMBER_TOKEN, OK, Raw, RawMember, status_of
from tests.rest_compat.serving import IMPATIENT

TARGET = b"/api/v1/pods?clustername=cluster1"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB = gzip.compress(bytes(50_000_000))


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"", 503),
        (b"nonsense\r\n\r\n", 502),
        (b"HTTP/1.1 abc OK\r\n\r\n", 502),
        (b"HTTP/1.1 200", 503),
        (b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n", 502),
        (HEAD + b"Content-Length: abc\r\n\r\n{}", 502),
        (HEAD + b"Content-Length: -2\r\n\r\n{}", 502),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 502),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 502),
        (HEAD + b"X-Nul: a\x00b\r\nContent-Length: 2\r\n\r\n{}", 502),
        (HEAD + b"X y: a\r\nContent-Length: 2\r\n\r\n{}", 502),
        (HEAD + b"X-Long: " + b"a" * 70_000 + b"\r\nContent-Length: 2\r\n\r\n{}", 502),
        (HEAD + b"X-Endless: " + b"a" * 4_000_000, 502),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Many: a\r\n" * 200_000, 502),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 9000000\r\n\r\n" + b"a" * 2_000_000, 502),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 502),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 20\r\n\r\ncut", 503),
    ],
    ids=lambda value: value[:60].decode("latin-1") if isinstance(value, bytes) else None,
)
async def test_nonsense_is_told_as_the_members_fault(raw: Raw, answer: bytes, status: int) -> None:
    raw.member.answer = answer
    got = await raw.ask(TARGET)
    content = json.loads(got.partition(b"\r\n\r\n")[2])
    assert (status_of(got), content["kind"], content["status"], content["items"]) == (status, "Status", {}, [])
    assert MEMBER_TOKEN.encode() not in got


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 20\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 200_000,
    ],
    ids=lambda value: value[-40:].decode("latin-1"),
)
async def test_a_body_that_is_cut_is_never_a_whole_answer(raw: Raw, answer: bytes) -> None:
    """Either its start is not out yet, and it is an error; or the connection ends before the length, or last chunk."""
    raw.member.answer = answer
    got = await raw.ask(TARGET)
    head, _, body = got.partition(b"\r\n\r\n")
    if status_of(got) == 200:
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
        assert not body.endswith(b"0\r\n\r\n") if length is None else len(body) < int(length.split(b":")[1])
    else:
        assert status_of(got) in (502, 503)
        assert json.loads(body)["items"] == []


async def test_a_compressed_body_is_passed_on_compressed(raw: Raw) -> None:
    length = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB)
    raw.member.answer = HEAD + length + BOMB
    got = await raw.ask(TARGET, b"Accept-Encoding: gzip")
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head.lower()
    assert body == BOMB


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br"])
async def test_a_compressed_error_does_not_unfold_here(raw: Raw, encoding: bytes) -> None:
    length = b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding, len(BOMB))
    raw.member.answer = b"HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\n" + length + BOMB
    got = await raw.ask(TARGET)
    head, _, body = got.partition(b"\r\n\r\n")
    assert (status_of(got), b"content-encoding" in head.lower(), json.loads(body)["items"]) == (500, False, [])
    assert len(body) < 10_000


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
async def test_interim_answers_are_not_the_answer(raw: Raw, interim: bytes) -> None:
    raw.member.answer = b"HTTP/1.1 " + interim + b"\r\nLink: </x>\r\n\r\n" + OK
    got = await raw.ask(TARGET)
    assert (status_of(got), got.count(b"HTTP/1.1 "), got[-2:]) == (200, 1, b"{}")
    assert b"link" not in got.lower()


@IMPATIENT
async def test_endless_interim_answers_end_in_time(raw: Raw) -> None:
    raw.member.answer, raw.member.stays = b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000, True
    assert status_of(await raw.ask(TARGET)) in (502, 504)


async def test_a_switch_of_protocols_that_nobody_asked_for_is_no_answer(raw: Raw) -> None:
    raw.member.answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\nevil"
    got = await raw.ask(TARGET)
    assert status_of(got) in (502, 503, 504)
    assert b"evil" not in got


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_passed_on_and_not_followed(raw: Raw, status: int) -> None:
    other = RawMember()
    async with open_raw_server(other.serve) as elsewhere:
        location = f"{elsewhere}/api/v1/pods"
        raw.member.answer = f"HTTP/1.1 {status} Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
        got = await raw.ask(TARGET)
    assert (status_of(got), other.seen, len(raw.member.seen)) == (status, [], 1)
    assert f"location: {location}".encode() in got.lower()


@pytest.mark.parametrize(
    "header",
    [
        *(b"Connection: X-Own", b"Keep-Alive: 5", b"Proxy-Authenticate: Basic", b"Trailer: x", b"Upgrade: h2c"),
        *(b"Set-Cookie: a=b", b"Strict-Transport-Security: max-age=1", b'Alt-Svc: h3=":1"', b"Server: nginx"),
    ],
)
async def test_headers_that_would_speak_for_this_server_are_not_passed_on(raw: Raw, header: bytes) -> None:
    raw.member.answer = HEAD + header + b"\r\nX-Own: x\r\nX-Kept: k\r\nContent-Length: 2\r\n\r\n{}"
    got = await raw.ask(TARGET)
    assert status_of(got) == 200
    assert header.lower() not in got.lower()
    assert b"x-kept: k" in got
    assert (b"x-own" in got) == (header != b"Connection: X-Own")


async def test_what_follows_an_answer_is_nobodys(raw: Raw) -> None:
    """A second answer that nobody asked for must not be taken for that of the next request."""
    raw.member.answer = OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    first, second = await raw.ask(TARGET), await raw.ask(TARGET)
    assert b"evil" not in first + second
    assert status_of(first) == 200


@IMPATIENT
async def test_a_silent_member_is_answered_for_in_time(raw: Raw) -> None:
    raw.member.answer, raw.member.stays = b"HTTP/1.1 200 OK\r\nX-Slow:", True
    got = await raw.ask(TARGET)
    assert (status_of(got), json.loads(got.partition(b"\r\n\r\n")[2])["items"]) == (504, [])
