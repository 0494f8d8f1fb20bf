"""Parsers of what replicas tell each other through the shared state."""

from hypothesis import strategies as st

from fleet.kubernetes.codec.codec import PODS
from fleet.members.standing import Standing
from fleet.model.unreadable import UNREADABLE
from fleet.replication.marks import Mark, decode_mark, encode_mark
from fleet.replication.pod_records import decode_pod, encode_pod
from fleet.replication.records import RecordUnreadable
from fleet.replication.usage import decode_usage, encode_usage
from tests.fleet.replication.test_usage import NODE as NODE_POINT
from tests.fleet.replication.test_usage import POD as POD_POINT
from tests.fuzz.hostile import as_json, spoilt_bytes
from tests.fuzz.members import POD
from tests.fuzz.parsers import Parser


def packed() -> st.SearchStrategy[bytes]:
    return spoilt_bytes(encode_pod(PODS.build(as_json(POD), "c"), b"m"))


MARK = encode_mark(Mark(writer="r", complete=True, age=0.1, standing=Standing(version="v1")))
REPLICATION = (
    Parser(
        lambda body: decode_usage(body, "c"),
        spoilt_bytes(encode_usage([POD_POINT], [NODE_POINT])[0]),
        (ValueError,),
        ("fleet.replication.usage.decode_usage",),
    ),
    Parser(decode_mark, spoilt_bytes(MARK), (RecordUnreadable,)),
    Parser(lambda body: decode_pod(body, "c"), packed(), UNREADABLE, ("fleet.replication.pod_records.decode_pod",)),
)
