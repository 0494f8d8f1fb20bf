"""The namespace of a list of rules is read in each form that an API server takes."""

import json

import pytest

from rest_compat.errors import NotReadable
from rest_compat.self_reviews import read_namespace
from tests.rest_compat.serving import Client
from tests.rest_compat.upstream import Upstream, answering


def field(number: int, content: bytes) -> bytes:
    size, digits = len(content), bytearray()
    while size > 0x7F:
        digits.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *digits, size]) + content


def build_protobuf(namespace: bytes, metadata: bytes = b"") -> bytes:
    review = field(1, metadata) + field(2, field(1, namespace)) + field(3, b"")
    return b"k8s\0" + field(1, b"authorization.k8s.io/v1") + field(2, review) + field(3, b"") + field(4, b"")


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":"SelfSubjectRulesReview","spec":{"namespace":"shop"}}',
        b"kind: SelfSubjectRulesReview\nspec:\n  namespace: shop\n",
        build_protobuf(b"shop"),
        build_protobuf(b"shop", b"m" * 200),
        build_protobuf(b"shop", b"m" * 20_000),
    ],
)
def test_the_namespace_is_read(body: bytes) -> None:
    assert read_namespace(body) == "shop"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"spec: {namespace: [a]}", b"[" * 5_000, b"k8s\0", b"k8s\0\x12", b"k8s\0\x12\xff\xff", b"\xff"],
)
def test_what_names_none_is_refused(body: bytes) -> None:
    with pytest.raises(NotReadable, match="names no namespace"):
        read_namespace(body)


@pytest.mark.parametrize(
    ("allowed", "verb", "expected"), [(True, "get", True), (False, "get", False), (True, "delete", False)]
)
async def test_what_the_member_and_this_server_allow_is_allowed(
    client: Client, upstream: Upstream, viewer: str, allowed: bool, verb: str, expected: bool
) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    review = {"spec": {"resourceAttributes": {"namespace": "shop", "verb": verb, "resource": "pods"}}}
    upstream.answers[path] = answering(201, json.dumps(review | {"status": {"allowed": allowed}}).encode())

    for target in (f"{path}?clustername=cluster1", f"/clusters/cluster1{path}"):
        answer = await client.ask("POST", target, token=viewer, body=json.dumps(review))
        assert (answer.status, json.loads(answer.body)["status"]["allowed"]) == (201, expected)


async def test_only_administrators_learn_whose_credential_is_asked_about(
    client: Client, upstream: Upstream, viewer: str
) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    target = f"{path}?clustername=cluster1"
    review = {"spec": {"resourceAttributes": {"namespace": "shop", "verb": "get", "resource": "pods"}}}
    reason = 'RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "all" to ServiceAccount "hidden/server"'
    status = {"allowed": True, "reason": reason, "evaluationError": "https://10.0.0.1/hidden: EOF"}
    refused = {"kind": "Status", "message": 'selfsubjectaccessreviews is forbidden: User "hidden" cannot create'}
    for code, answered in ((201, review | {"status": status}), (403, refused)):
        upstream.answers[path] = answering(code, json.dumps(answered).encode())
        told = await client.ask("POST", target, token=viewer, body=json.dumps(review))
        assert (told.status, b"hidden" in told.body) == (code, False)
        assert b"hidden" in (await client.ask("POST", target, body=json.dumps(review))).body
