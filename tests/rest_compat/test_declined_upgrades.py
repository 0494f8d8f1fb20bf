"""Upgrades that are not taken: the request is answered as without the offer (RFC 9110, 7.8), its body included."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from realfleet.fleet import Fleet
from tests.fakes.waiting import PATIENCE
from tests.processes import RunningServer
from tests.required import go_without
from tests.rest_compat.hostile import Raw, status_of

PODS = b"/api/v1/namespaces/shop/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
NAMED = "clustername=cluster1"
DRY_RUN = b'{"kind":"DeleteOptions","apiVersion":"v1","dryRun":["All"]}'

H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
OFFERS = [
    H2C,
    (b"Connection: Upgrade", b"Upgrade: foo/1"),
    (b"Connection: upgrade", b"Connection: HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA"),
    (b"Connection: close, Upgrade", b"Upgrade: TLS/1.0, HTTP/1.1"),
    (b"Connection: Upgrade", b"Upgrade: websocket"),
    (b"Connection: Upgrade", b"Upgrade: SPDY/3.1"),
    (b"Upgrade: websocket",),
]

CLIENT = """
import java.net.URI; import java.net.http.*;
public class Calls {
  public static void main(String[] given) throws Exception {
    HttpClient client = HttpClient.newHttpClient();
    for (int i = 1; i < given.length; i += 3) {
      HttpRequest request = HttpRequest.newBuilder(URI.create(given[i + 1]))
        .header("Authorization", given[0]).header("Content-Type", "application/json")
        .method(given[i], HttpRequest.BodyPublishers.ofString(given[i + 2])).build();
      System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
    }
  }
}
"""


def framed(body: bytes, *, chunked: bool) -> tuple[bytes, bytes]:
    """The header that says where a body ends, and its bytes."""
    if chunked:
        return b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return b"Content-Length: %d" % len(body), body


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE"])
@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: b" ".join(offer)[:60].decode())
async def test_a_body_arrives_at_the_member_whatever_was_offered(
    raw: Raw, offer: tuple[bytes, ...], method: bytes, chunked: bool
) -> None:
    said, sent = framed(DRY_RUN, chunked=chunked)
    for target in (PODS + b"/web?clustername=cluster1", b"/clusters/cluster1" + PODS + b"/web"):
        answer = await raw.ask(target, *offer, said, method=method, body=sent)
        assert status_of(answer) == 200, answer
    first, second = raw.member.seen
    assert DRY_RUN in first
    assert DRY_RUN in second
    assert b"upgrade" not in first.lower()


async def test_a_connection_goes_on_after_offers_in_pieces_and_in_a_row(raw: Raw) -> None:
    said, sent = framed(b'{"username":"openmcp","password":"keti"}', chunked=False)
    head = b"\r\n".join([b"POST /token HTTP/1.1", b"Host: here", *H2C, said]) + b"\r\n\r\n"
    last = b"GET /nowhere HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", raw.port)
    pieces = [head[:30], head[30:-2], head[-2:] + sent[:5], sent[5:] + head + sent + last]
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)  # so that they arrive apart
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200, 200, 404]


async def test_a_thousand_offers_at_once_are_a_thousand_requests(raw: Raw) -> None:
    one = b"GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    answer = await raw.send(one * 1000 + one.replace(b"upgrade\r", b"upgrade, close\r"), seconds=30)
    assert answer.count(b"HTTP/1.1 404") == 1001


async def test_bounds_and_doubts_are_the_same_behind_an_offer(raw: Raw) -> None:
    for lines in ((b"Content-Length: 5", b"Transfer-Encoding: chunked"), (b"Host: a", b"Host: b"), (b"No-Colon",)):
        answer = await raw.ask(PODS, *H2C, *lines, method=b"POST", body=b"hello")
        assert (status_of(answer), raw.member.seen) == (400, [])


async def ask_raw(server: RunningServer, method: str, target: str, token: str, body: bytes, *lines: bytes) -> bytes:
    """The whole answer to one request that offers h2c."""
    head = [f"{method} {target} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {token}".encode(), *H2C, *lines]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\r\n".join([*head, b"\r\n"]) + body)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return answer


@pytest.mark.real
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_every_route_reads_the_body_behind_an_offer(
    real_fleet: Fleet, fleet_server: RunningServer, chunked: bool
) -> None:
    token, member = await fleet_server.sign_in(), real_fleet.cluster("cluster1").client
    made = f"offered-{chunked}".lower()
    json_type, merge = b"Content-Type: application/json", b"Content-Type: application/merge-patch+json"
    named = f"{MAPS}/{made}?{NAMED}"
    config_map = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made}}).encode()
    precondition = b'{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"another"}}'
    form = b'--b\r\nContent-Disposition: form-data; name="data"\r\n\r\nx\r\n--b--\r\n'
    for method, target, content_type, body, status, said in (
        ("POST", "/graphql", json_type, b'{"query":"{viewer{name}}"}', 200, b'"name":"openmcp"'),
        ("POST", "/token", json_type, b'{"username":"openmcp","password":"keti"}', 200, b'"token"'),
        ("POST", f"{MAPS}?{NAMED}", json_type, config_map, 201, made.encode()),
        ("PATCH", named, merge, b'{"data":{"a":"b"}}', 200, b'"a":"b"'),
        ("PATCH", f"/clusters/cluster1{MAPS}/{made}", merge, b'{"data":{"a":"c"}}', 200, b'"a":"c"'),
        ("DELETE", named, json_type, precondition, 409, b"recondition"),
        ("DELETE", named, json_type, DRY_RUN, 200, b'"Success"'),
        ("POST", "/join", b"Content-Type: multipart/form-data; boundary=b", form, 403, b"OPENMCP_JOIN"),
    ):  # fmt: skip
        framing, sent = framed(body, chunked=chunked)
        answer = await ask_raw(fleet_server, method, target, token, sent, content_type, framing)
        assert (status_of(answer), said in answer) == (status, True), (target, answer)
        assert answer.count(b"HTTP/1.1 200") == 1 + (status == 200), answer
    status, _ = await asyncio.to_thread(member.read, "GET", f"{MAPS}/{made}")
    assert status == 200
    await asyncio.to_thread(member.read, "DELETE", f"{MAPS}/{made}")


@pytest.mark.real
@pytest.mark.parametrize("program", ["curl", "java"])
async def test_stock_clients_that_offer_h2c_are_answered(
    fleet_server: RunningServer, tmp_path: Path, program: str
) -> None:
    if (found := shutil.which(program)) is None:
        go_without(f"install {program}")
    token, url = await fleet_server.sign_in(), fleet_server.url
    made = f"offered-by-{program}"
    config_map = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made}})
    calls = [
        ("POST", f"{url}/graphql", '{"query":"{viewer{name}}"}', 200),
        ("POST", f"{url}/token", '{"username":"openmcp","password":"keti"}', 200),
        ("POST", f"{url}{MAPS}?{NAMED}", config_map, 201),
        ("DELETE", f"{url}{MAPS}/{made}?{NAMED}", DRY_RUN.decode(), 200),
        ("DELETE", f"{url}{MAPS}/{made}?{NAMED}", '{"dryRun":["All"]}', 200),
        ("DELETE", f"{url}/clusters/cluster1{MAPS}/{made}", "{}", 200),
        ("DELETE", f"{url}/clusters/cluster1{MAPS}/{made}", "{}", 404),
    ]
    words = [word for method, target, body, _ in calls for word in (method, target, body)]
    if program == "java":
        source = tmp_path / "Calls.java"
        source.write_text(CLIENT)
        output = await run(found, str(source), f"Bearer {token}", *words)
    else:
        head = ["-sS", "-o", "/dev/null", "-w", "%{http_code}\n", "--http2", "-H", f"Authorization: Bearer {token}"]
        head += ["-H", "Content-Type: application/json"]
        each = [[*head, "-X", method, target, "-d", body] for method, target, body, _ in calls]
        output = await run(found, *[word for call in each for word in ("--next", *call)][1:])
    assert [int(line) for line in output.split()] == [status for *_, status in calls]


async def run(program: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(program, *arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, output
    return output.decode()
