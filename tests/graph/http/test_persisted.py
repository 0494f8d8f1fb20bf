"""Documents that are named by an id, over HTTP: automatic persisted queries and trusted documents."""

import hashlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from graph.http.persisted import ENTRY_BYTES, Documents
from graph.http.persisted_manifest import ManifestInvalid, read_manifest
from graph.http.protocol import GRAPHQL_TYPE
from graph.operation import Refused
from tests.graph.conftest import OpenGraph
from tests.graph.http.test_served import ME, open_served, send

ANSWER = {"data": {"viewer": {"name": "ann"}}}
OTHER = "{ clusters { name } }"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def persisted(sha: str, version: int = 1) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": version, "sha256Hash": sha}}}


async def post(session: aiohttp.ClientSession, body: dict[str, Any], accept: str = GRAPHQL_TYPE) -> tuple[int, Any]:
    answer = await send(session, "POST", "/graphql", json=body, headers={"Accept": accept})
    return answer.status, await answer.json(content_type=None)


async def test_a_document_is_sent_once_and_named_after_that(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        unknown = await post(session, persisted(digest(ME)))
        taught = await post(session, {"query": ME, **persisted(digest(ME))})
        named = await post(session, persisted(digest(ME)))
        by_id = await post(session, {"documentId": f"sha256:{digest(ME)}"})
        parameters = {name: json.dumps(value) for name, value in persisted(digest(ME)).items()}
        fetched = await send(
            session, "GET", "/graphql", params=parameters, headers={"Accept": f"text/html, {GRAPHQL_TYPE}"}
        )
        assert await fetched.json(content_type=None) == ANSWER
    (error,) = unknown[1]["errors"]
    assert (unknown[0], error["message"]) == (400, "PersistedQueryNotFound")
    assert error["extensions"] == {"code": "PERSISTED_QUERY_NOT_FOUND"}
    assert taught == named == by_id == (200, ANSWER)


@pytest.mark.parametrize(("accept", "status"), [("application/json", 200), (GRAPHQL_TYPE, 400)])
async def test_a_document_that_is_not_kept_has_the_status_of_its_answer_type(
    open_graph: OpenGraph, accept: str, status: int
) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        assert (await post(session, persisted(digest(ME)), accept))[0] == status


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"query": ME, **persisted(digest(OTHER))}, "is not the SHA-256 of `query`"),
        (persisted(digest(ME), version=2), "`version` 1"),
        (persisted("abc"), "64 digits"),
        ({"extensions": {"persistedQuery": True}}, "is an object"),
        ({"documentId": 7}, "`documentId` is not a string"),
        ({"documentId": "abc"}, "OPENMCP_TRUSTED_DOCUMENTS"),
        ({"documentId": f"sha256:{digest(ME)}", "query": ME}, "not both"),
    ],
)
async def test_a_wrong_name_is_refused_and_nothing_is_kept(
    open_graph: OpenGraph, body: dict[str, Any], said: str
) -> None:
    documents = Documents(max_bytes=1 << 20)
    async with open_graph("c1") as graph, open_served(graph, documents=documents) as session:
        status, answer = await post(session, body)
    assert (status, answer["errors"][0]["extensions"]) == (400, {"code": "BAD_USER_INPUT"})
    assert said in answer["errors"][0]["message"]
    assert len(documents.kept) == 0


async def test_without_room_clients_are_told_to_send_the_text(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph, open_served(graph, documents=Documents(max_bytes=0)) as session:
        _, answer = await post(session, persisted(digest(ME)))
    assert answer["errors"][0]["message"] == "PersistedQueryNotSupported"
    assert answer["errors"][0]["extensions"] == {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}


def test_the_longest_unused_go_first_and_bytes_are_bounded() -> None:
    documents = Documents(max_bytes=3 * (ENTRY_BYTES + 100))
    a, b, c, d, long = "a" * 100, "b" * 100, "c" * 100, "é" * 50, "x" * 3 * (ENTRY_BYTES + 100)
    for text in (a, b, c, a, long, d):
        assert documents.complete({"query": text, **persisted(digest(text))})["query"] == text
    kept = [documents.kept.get(digest(text)) is not None for text in (a, b, c, d, long)]
    assert kept == [True, False, True, True, False]
    assert documents.kept.weight == documents.kept.most_weight
    assert len(documents.kept) == 3


@pytest.mark.parametrize(
    "body",
    [{"documentId": "me"}, {"documentId": f"sha256:{digest(ME)}"}, persisted(digest(ME)), {"query": ME}],
    ids=["its own id", "its digest", "as Apollo's client sends it", "its text"],
)
async def test_a_trusted_document_is_run_however_it_is_named(open_graph: OpenGraph, body: dict[str, Any]) -> None:
    documents = Documents(max_bytes=1 << 20, trusted={"me": ME, digest(ME): ME})
    async with open_graph("c1") as graph, open_served(graph, documents=documents) as session:
        assert await post(session, body) == (200, ANSWER)


@pytest.mark.parametrize(
    "body",
    [
        {"query": OTHER},
        {"query": f"{ME} "},
        {"query": "{ __schema { queryType { name } } }"},
        {"query": OTHER, **persisted(digest(OTHER))},
        {"query": OTHER, **persisted(digest(ME))},
        {"documentId": "other"},
        persisted(digest(OTHER)),
        {},
    ],
)
async def test_nothing_but_trusted_documents_is_run(open_graph: OpenGraph, body: dict[str, Any]) -> None:
    documents = Documents(max_bytes=1 << 20, trusted={"me": ME, digest(ME): ME})
    async with open_graph("c1") as graph, open_served(graph, documents=documents) as session:
        status, answer = await post(session, body)
    assert (status, set(answer)) == (403, {"errors"})
    assert answer["errors"][0]["extensions"] == {"code": "FORBIDDEN"}
    assert "trusted documents only" in answer["errors"][0]["message"]
    assert "introspection and GraphiQL" in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    "written",
    [
        {"me": ME},
        {
            "format": "apollo-persisted-query-manifest",
            "version": 1,
            "operations": [{"id": "me", "name": "Me", "type": "query", "body": ME}],
        },
    ],
    ids=["Relay's", "Apollo's"],
)
def test_manifests_of_both_forms_are_read(tmp_path: Path, written: object) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(written))
    assert read_manifest(manifest) == {"me": ME}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "is not JSON"),
        ("[]", "is neither"),
        ("{}", "has no documents"),
        ('{"a": 7}', "not strings: 'a'"),
        ('{"a": "{ viewer"}', "no GraphQL, 'a'"),
        ('{"format": "other", "operations": []}', "apollo-persisted-query-manifest, version 1"),
        ('{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [7]}', "`id` and `body`"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(tmp_path: Path, written: str, said: str) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(written)
    with pytest.raises(ManifestInvalid, match=said):
        read_manifest(manifest)
    with pytest.raises(ManifestInvalid, match="can't be read"):
        read_manifest(tmp_path / "none.json")


def test_two_texts_with_one_id_are_a_mistake(tmp_path: Path) -> None:
    operations = [{"id": "me", "body": body} for body in (ME, OTHER)]
    manifest = tmp_path / "manifest.json"
    manifest.write_text(
        json.dumps({"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations})
    )
    with pytest.raises(ManifestInvalid, match="two texts with the id 'me'"):
        read_manifest(manifest)


def test_a_digest_in_capitals_is_the_same_and_an_empty_text_is_none() -> None:
    documents = Documents(max_bytes=1 << 20)
    documents.complete({"query": ME, **persisted(digest(ME).upper())})
    assert documents.complete(persisted(digest(ME)))["query"] == ME
    assert documents.complete({"query": "", **persisted(digest(ME))})["query"] == ME
    with pytest.raises(Refused, match="PersistedQueryNotFound"):
        documents.complete(persisted(digest(OTHER)))
