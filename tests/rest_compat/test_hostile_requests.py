"""What a caller may send to be misread: each is refused, or arrives at the member exactly as it was sent."""

import pytest

from fleet.aio.request_context import VIA
from tests.rest_compat.hostile import MEMBER_TOKEN, Raw, status_of

PODS = b"/api/v1/namespaces/shop/pods"
NAMED = b"clustername=cluster1"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/api/v1/%2e%2e/secrets?" + NAMED, 400),
        (b"/api/v1/namespaces/shop/pods/%2E%2E/secrets?" + NAMED, 400),
        (b"/api/v1/../secrets?" + NAMED, 400),
        (b"/api/v1/./pods?" + NAMED, 400),
        (PODS + b"/a%2fb?" + NAMED, 400),
        (PODS + b"/a%2Flog?" + NAMED, 400),
        (PODS + b"/a%5cb?" + NAMED, 400),
        (b"/api//v1/pods?" + NAMED, 400),
        (b"//api/v1/pods?" + NAMED, 404),
        (PODS + b"/web%3fwatch=1?" + NAMED, 400),
        (PODS + b"/web%23a?" + NAMED, 400),
        (PODS + b"/web%00?" + NAMED, 400),
        (PODS + b"/web%0d%0aX-Evil:1?" + NAMED, 400),
        (PODS + b"/%252e%252e?" + NAMED, 400),
        (PODS + b"/%zz?" + NAMED, 400),
        (PODS + b"/%ff?" + NAMED, 400),
        (PODS + b"/\xc3\xa9?" + NAMED, 400),
        (PODS + b"\x00?" + NAMED, 400),
        (PODS + b"\x01?" + NAMED, 400),
        (PODS + b"?clustername=http://evil.example/", 404),
        (PODS + b"?clustername=http%3A%2F%2F169.254.169.254%2F", 404),
        (PODS + b"?clustername=cluster1%00", 404),
        (PODS + b"?clustername=cluster1%0d%0aX:1", 404),
        (PODS + b"?clustername=../cluster1", 404),
        (PODS + b"?clustername=" + b"c" * 20_000, 404),
        (PODS + b"?clustername=nowhere&clustername=cluster1", 404),
        (PODS + b"?" + NAMED + b"&labelSelector=\xff", 400),
        (b"/api/" + b"a" * 9_000 + b"?" + NAMED, 400),
        (b"/api/" + b"a" * 70_000 + b"?" + NAMED, 431),
        (b"/clusters/..%2fcluster1/api/v1/pods", 404),
        (b"/clusters/cluster1/api/v1/%2e%2e/%2e%2e/metrics", 400),
        (b"/clusters/http:%2F%2Fevil.example/api/v1/pods", 404),
        (b"/clusters/cluster1/api/v1/pods?clustername=other", 400),
        (b"/metrics/nodes/%2e%2e?" + NAMED, 200),
        (b"*", 404),
        (b"api/v1/pods?" + NAMED, 400),
    ],
)
async def test_a_target_with_two_readings_reaches_no_member(raw: Raw, target: bytes, status: int) -> None:
    answer = await raw.ask(target)
    assert (status_of(answer), raw.member.seen) == (status, [])
    assert b"X-Evil" not in answer.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize(
    ("target", "arrives"),
    [
        (PODS + b"/a;b=c?" + NAMED, PODS + b"/a;b=c"),
        (PODS + b"/?" + NAMED, PODS + b"/"),
        (PODS + b"/w%65b?" + NAMED, PODS + b"/w%65b"),
        (
            PODS + b"?" + NAMED + b"&labelSelector=a%3Db%2Cc;d&x=%0d%0a&y=+",
            PODS + b"?labelSelector=a%3Db%2Cc;d&x=%0d%0a&y=+",
        ),
        (PODS + b"?" + NAMED + b"&clustername=nowhere&limit=1", PODS + b"?limit=1"),
        (PODS + b"?cluster%6Eame=cluster1&a", PODS + b"?a"),
        (b"http://evil.example" + PODS + b"?" + NAMED, PODS),
        (b"http://user:secret@evil.example:1" + PODS + b"?" + NAMED, PODS),
    ],
)
async def test_what_has_one_reading_arrives_as_it_was_sent(raw: Raw, target: bytes, arrives: bytes) -> None:
    assert status_of(await raw.ask(target)) == 200
    assert raw.member.targets == [arrives]
    assert b"evil.example" not in raw.member.seen[0]


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
        [b"Content-Length: 5", b"Content-Length: 6"],
        [b"Content-Length: 5", b"Content-Length: 5"],
        [b"Content-Length: 5, 5"],
        [b"Content-Length: +5"],
        [b"Content-Length: 0x5"],
        [b"Content-Length: -5"],
        [b"Content-Length: 99999999999999999999999"],
        [b"Content-Length : 5"],
        [b"Transfer-Encoding: chunked, identity"],
        [b"Transfer-Encoding: xchunked"],
        [b"Transfer-Encoding : chunked"],
        [b"Transfer-Encoding:\x0bchunked"],
        [b"X-Fold: a\r\n b", b"Content-Length: 5"],
        [b"\tX-Fold: a"],
        [b"No-Colon"],
        [b"X-Nul: a\x00b"],
        [b"X-Cr: a\rb"],
        [b"X y: a"],
        [b": a"],
        [b"Host: a", b"Host: b"],
        [b"X-Long: " + b"a" * 70_000],
        [b"X-Many-%d: %s" % (number, b"a" * 100) for number in range(1_000)],
    ],
    ids=lambda lines: lines[0][:40].decode("latin-1"),
)
async def test_a_request_whose_end_is_in_doubt_is_refused_and_its_connection_ended(
    raw: Raw, lines: list[bytes]
) -> None:
    smuggled = b"GET /api/v1/secrets?clustername=cluster1 HTTP/1.1\r\nHost: here\r\n" + raw.authorization + b"\r\n\r\n"
    body = b"0\r\n\r\n" + smuggled
    host = [] if lines[0].startswith(b"Host") else [b"Host: here"]
    head = [b"POST " + PODS + b"?" + NAMED + b" HTTP/1.1", *host, raw.authorization, *lines]
    answer = await raw.send(b"\r\n".join(head) + b"\r\n\r\n" + body)
    assert status_of(answer) in (400, 431)
    assert (answer.count(b"HTTP/1.1 "), raw.member.seen) == (1, [])


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhelloXX0\r\n\r\n",
        b"zz\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
    ],
)
async def test_a_body_in_broken_chunks_is_never_taken_for_a_whole_one(raw: Raw, body: bytes) -> None:
    answer = await raw.ask(PODS + b"?" + NAMED, b"Transfer-Encoding: chunked", method=b"POST", body=body)
    assert status_of(answer) == 400
    assert [seen for seen in raw.member.seen if seen.endswith(b"0\r\n\r\n")] == []


async def test_the_length_of_a_body_is_said_once_and_truly(raw: Raw) -> None:
    lines = (b"Content-Length: 5", b"Trailer: X-Evil", b"TE: trailers")
    assert status_of(await raw.ask(PODS + b"?" + NAMED, *lines, method=b"POST", body=b"hello")) == 200
    (seen,) = raw.member.seen
    head, _, body = seen.partition(b"\r\n\r\n")
    assert (head.lower().count(b"content-length"), b"transfer-encoding" in head.lower(), body) == (1, False, b"hello")


async def test_trailers_of_a_body_are_not_passed_on(raw: Raw) -> None:
    body = b"5\r\nhello\r\n0\r\nAuthorization: Bearer evil\r\n\r\n"
    answer = await raw.ask(PODS + b"?" + NAMED, b"Transfer-Encoding: chunked", method=b"POST", body=body)
    assert status_of(answer) == 200
    assert raw.member.seen[0].endswith(b"5\r\nhello\r\n0\r\n\r\n")
    assert b"evil" not in raw.member.seen[0]


async def test_what_is_hop_by_hop_or_says_who_calls_stays_here(raw: Raw) -> None:
    dropped = [b"Keep-Alive: 5", b"TE: trailers", b"Proxy-Connection: x", b"Proxy-Authorization: x", b"X-Own: x"]
    dropped += [b"Cookie: x", b"Forwarded: x", b"X-Forwarded-For: x", b"X-Real-IP: x", b"Via: x", b"Expect: x"]
    dropped += [b"X-Remote-User: x", b"X-Remote-Group: x", b"X_Remote_User: x", b"X_Forwarded_For: x", b"X_Real_IP: x"]
    dropped += [b"Baggage: user=bob"]
    kept = [b"Accept: a/b", b"X-Kept: v", b"If-None-Match: w"]
    answer = await raw.ask(PODS + b"?" + NAMED, b"Connection: X-Own", *dropped, *kept)
    (seen,) = raw.member.seen
    names = {line.partition(b":")[0].lower() for line in seen.split(b"\r\n")[1:-2]}
    assert status_of(answer) == 200
    assert names & {line.partition(b":")[0].lower() for line in dropped} == {b"via"}  # this server's own
    assert [line for line in seen.split(b"\r\n") if line.startswith(b"Via: ")] == [b"Via: " + VIA]
    assert names >= {b"accept", b"x-kept", b"if-none-match"}
    assert b"Authorization: Bearer " + MEMBER_TOKEN.encode() in seen
    assert raw.token.encode() not in seen


@pytest.mark.parametrize("host", [b"evil.example", b"127.0.0.1:1", b"cluster2", b"a@b", b""])
async def test_the_host_header_chooses_nothing(raw: Raw, host: bytes) -> None:
    lines = (b"Host: " + host, b"X-Forwarded-Host: evil.example", b"X-Original-URL: /api/v1/secrets")
    assert status_of(await raw.ask(PODS + b"?" + NAMED, *lines)) == 200
    assert raw.member.targets == [PODS]
    assert b"Host: " + host + b"\r\n" not in raw.member.seen[0]


async def test_a_request_of_http_1_1_without_a_host_is_refused(raw: Raw) -> None:
    head = b"GET " + PODS + b"?" + NAMED + b" HTTP/1.%d\r\n" + raw.authorization + b"\r\n\r\n"
    assert (status_of(await raw.send(head % 1)), raw.member.seen) == (400, [])
    assert status_of(await raw.send(head % 0)) == 200


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE", b"get", b"PRI", b"G\x00T"])
async def test_other_methods_are_refused(raw: Raw, method: bytes) -> None:
    target = b"evil.example:443" if method == b"CONNECT" else PODS + b"?" + NAMED
    assert (status_of(await raw.ask(target, method=method)) in (400, 404, 405), raw.member.seen) == (True, [])


async def test_pipelined_requests_are_answered_in_their_order(raw: Raw) -> None:
    lines = b" HTTP/1.1\r\nHost: here\r\n" + raw.authorization + b"\r\n"
    first = b"GET " + PODS + b"?" + NAMED + lines + b"\r\n"
    last = b"GET /nowhere" + lines + b"Connection: close\r\n\r\n"
    answer = await raw.send(first + last)
    assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200, 404]
