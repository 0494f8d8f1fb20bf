"""Parsers of what members and metric stores answer: HTTP, lists, watch lines, discovery, usage."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, cast

from hypothesis import strategies as st

from fleet.collector.readings import ReadAt, decode_metrics, decode_summary
from fleet.kubernetes.auth.encoding import decode_base64
from fleet.kubernetes.auth.endpoint import parse_endpoint, parse_proxy
from fleet.kubernetes.codec.codec import EVENTS, NAMESPACES, NODES, PODS, WORKLOADS, Codec
from fleet.kubernetes.codec.convert import parse_time
from fleet.kubernetes.codec.nodes import decode_namespace, decode_node
from fleet.kubernetes.codec.pods import decode_pod
from fleet.kubernetes.codec.tables import TableCodec, decode_objects
from fleet.kubernetes.codec.watch import iter_lines
from fleet.kubernetes.codec.wire import DecodeError, refusal_text, status_message
from fleet.kubernetes.discovery import Served, load_catalog
from fleet.kubernetes.http1.content import decompress
from fleet.kubernetes.http1.framing import AnswerProblem, Framing
from fleet.kubernetes.http1.reader import Reader
from fleet.kubernetes.sources.custom_objects import decode_custom
from fleet.kubernetes.sources.kubefed_member import MemberProblemError, build_access, offline_message
from fleet.kubernetes.sources.kubefed_objects import (
    kubefed_clusters,
    openmcp_clusters,
    platform_info,
    secrets,
)
from fleet.metrics.influx.cells import CellReader
from fleet.metrics.influx.cluster_status import SCORES, WARNINGS, read_statuses
from fleet.metrics.influx.field_types import merge_casts, read_mixed_fields
from fleet.metrics.influx.flux_http import decode_shard_seconds, explain_refusal
from fleet.metrics.influx.flux_rows import decode_rows, decode_values
from fleet.metrics.influx.influxql_answer import decode_answer
from fleet.metrics.influx.layout import FIELDS, LAYOUTS
from fleet.metrics.influx.options import InfluxOptions
from fleet.metrics.influx.pool import InfluxAnswer
from fleet.metrics.influx.rows import read_columns, read_newest, read_points, read_sightings
from fleet.model.errors import ClusterError, MetricsUnavailable
from fleet.model.objects import PodKey
from fleet.model.quantities import parse_bytes, parse_cores, parse_count, parse_nanos
from fleet.model.request_info import RequestInfo
from fleet.model.unreadable import UNREADABLE
from fleet.model.usage import Kind, Measure
from fleet.ports import Answer, Call, Connection
from rest_compat.errors import build_deletion_status
from rest_compat.last_words import Frames
from tests.fleet.collector.summaries import build_metrics, build_summary
from tests.fleet.kubernetes.codec.objects import pod, running, terminated, waiting
from tests.fuzz.hostile import ODD_VALUES, blobs, spoilt_bytes, spoilt_json, texts
from tests.fuzz.parsers import Parser

TIME = "2026-01-01T00:00:00Z"
META = {
    "name": "a",
    "namespace": "n",
    "uid": "u",
    "resourceVersion": "7",
    "creationTimestamp": TIME,
    "labels": {"app": "web", "node-role.kubernetes.io/x": ""},
    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "o", "controller": True}],
}
CONDITION = {"type": "Ready", "status": "False", "reason": "R", "message": "m", "lastTransitionTime": TIME}
AMOUNTS = {"cpu": "1500m", "memory": "2Gi", "ephemeral-storage": "1e3", "pods": 110, "nvidia.com/gpu": "2"}
RESOURCES = {"requests": AMOUNTS, "limits": AMOUNTS}
POD = pod(
    "Running",
    [
        running(restartCount=2, lastState={"terminated": {"exitCode": 1, "finishedAt": TIME}}),
        waiting("CrashLoopBackOff"),
    ],
    init=[terminated(137, "OOMKilled", 9)],
    sidecars=1,
    spec={
        "nodeName": "n1",
        "containers": [{"name": "c", "image": "i:1", "resources": RESOURCES, "ports": [{"containerPort": 80}]}],
        "overhead": AMOUNTS,
        "resources": RESOURCES,
        "schedulingGates": [{"name": "g"}],
        "readinessGates": [{"conditionType": "x"}],
    },
    metadata=META,
    conditions=[CONDITION],
    startTime=TIME,
    podIPs=[{"ip": "10.0.0.1"}],
    qosClass="Burstable",
    reason="Evicted",
)
NODE = {
    "metadata": META,
    "spec": {"unschedulable": True, "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]},
    "status": {
        "conditions": [CONDITION],
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1", "osImage": "o", "architecture": "a"},
        "capacity": AMOUNTS,
        "allocatable": AMOUNTS,
    },
}
EVENT = {
    "metadata": META,
    "involvedObject": {"kind": "Pod", "namespace": "n", "name": "a", "uid": "u"},
    "type": "Warning",
    "reason": "R",
    "message": "m" * 2_000,
    "count": 3,
    "firstTimestamp": TIME,
    "eventTime": TIME,
    "source": {"component": "c"},
    "series": {"count": 4, "lastObservedTime": TIME},
}
WORKLOAD = {
    "metadata": META | {"generation": 2, "annotations": {"deployment.kubernetes.io/revision": "3"}},
    "spec": {
        "replicas": 3,
        "paused": False,
        "suspend": True,
        "schedule": "* * * * *",
        "completions": 2,
        "parallelism": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
        "template": {"spec": {"containers": [{"image": "i"}]}},
    },
    "status": {
        "observedGeneration": 2,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "desiredNumberScheduled": 3,
        "numberReady": 3,
        "succeeded": 1,
        "failed": 1,
        "active": [{"name": "j"}],
        "conditions": [CONDITION],
        "lastScheduleTime": TIME,
    },
}
KUBEFED = {
    "metadata": META,
    "spec": {
        "apiEndpoint": "https://a:1",
        "secretRef": {"name": "a"},
        "caBundle": "YQ==",
        "proxyURL": "http://p:1",
        "disabledTLSValidations": ["SubjectName"],
    },
    "status": {"conditions": [{"type": "Offline", "status": "True", "message": "m"}], "region": "r", "zones": ["z"]},
}
OPENMCP = {
    "metadata": META,
    "spec": {"clusterPlatformType": "GKE", "joinStatus": "JOIN", "nodeInfo": {"region": "r", "zone": "a,b"}},
}
SECRET = {"metadata": META, "data": {"token": "YQ=="}}
TABLE = {
    "kind": "Table",
    "metadata": {"resourceVersion": "1", "continue": "c"},
    "columnDefinitions": [{"name": "Name", "type": "string", "priority": 0, "description": "d", "format": "name"}],
    "rows": [{"cells": ["a", 1, None], "object": {"kind": "Widget", "apiVersion": "a.io/v1", "metadata": META}}],
}
STATUS = {"kind": "Status", "code": 410, "reason": "Expired", "message": "m"}
AGGREGATED = {
    "kind": "APIGroupDiscoveryList",
    "items": [
        {
            "metadata": {"name": "apps"},
            "versions": [
                {
                    "version": "v1",
                    "resources": [
                        {
                            "resource": "deployments",
                            "scope": "Namespaced",
                            "responseKind": {"kind": "Deployment"},
                            "verbs": ["list"],
                        }
                    ],
                }
            ],
        }
    ],
}
PLAIN = {
    "kind": "APIVersions",
    "versions": ["v1"],
    "groups": [{"versions": [{"groupVersion": "apps/v1"}]}],
    "resources": [{"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["list"]}],
}
SERIES = {
    "name": "Pods",
    "tags": {"cluster": "c", "namespace": "n", "pod": "p", "node": "w"},
    "columns": ["time", *FIELDS.values(), "cluster", "namespace", "pod", "node"],
    "values": [[1, *["1"] * len(FIELDS), "c", "n", "p", "w"]],
}
STATUSES = {
    "name": "ClusterStatus",
    "columns": ["time", *SCORES, *WARNINGS],
    "values": [[1, *[1.5] * len(SCORES), *[True] * len(WARNINGS)]],
}
KEYS = {"name": "Pods", "columns": ["fieldKey", "fieldType"], "values": [["cpuScore", "float"], ["cpuScore", "string"]]}
CASTS = {"columns": ["time", "cpuScore::float", "cpuScore::integer"], "values": [[1, 1.5, 2]]}
FLUX = (
    b"#datatype,string,long,dateTime:RFC3339,string,string,double\r\n,result,table,_time,cluster,_field,_value\r\n"
    b",,0,2026-01-01T00:00:00.123456789Z,c,CPUUsageNanoCores,1.5\r\n\r\n"
)
OPTIONS = InfluxOptions("http://i:1", "Metrics", org="o", token="t")
SERVED = Served("a.io/v1", "Widget", "widgets", True, frozenset({"list"}))
HEAD = (
    *(
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 101 S\r\n",
        b"HTTP/1.1 100 C\r\n",
        b"HTTP/1.0 204 N\r\n",
        b"Content-Length: 3\r\n",
    ),
    *(b"Transfer-Encoding: chunked\r\n", b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"\r\n", b"3\r\nabc\r\n"),
    *(b"0\r\n\r\n", b";ext=1", b"ffffffffffffffffff\r\n", b"-1\r\n", b"A: b\r\n c\r\n", b"abc"),
)


class _Member:
    """A connection that answers everything alike."""

    cluster = "c"

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def request(self, call: Call) -> Answer:
        return Answer(200, {}, self._body)


def listed(kind: str, sample: Any) -> st.SearchStrategy[bytes]:
    return spoilt_json(
        {"kind": f"{kind}List", "metadata": {"resourceVersion": "1", "continue": "c"}, "items": [sample]}
    )


def watched(sample: Any) -> st.SearchStrategy[bytes]:
    lines = st.sampled_from(("ADDED", "DELETED", "BOOKMARK", "ERROR", "x"))
    written = st.tuples(lines, spoilt_json(sample)).map(
        lambda pair: b'{"type":"%s","object":%s}' % (pair[0].encode(), pair[1])
    )
    return written | spoilt_json({"type": "ERROR", "object": STATUS})


def codec_parsers(codec: Codec[Any] | TableCodec, kind: str, sample: Any) -> tuple[Parser, ...]:
    named = f"fleet.kubernetes.codec.codec.Codec of {kind}"

    def read_list(body: bytes) -> object:
        return codec.build_records(codec.read_list(body).items or (), "c")

    table = isinstance(codec, TableCodec)
    return (
        Parser(read_list, spoilt_json(TABLE) if table else listed(kind, sample), (DecodeError,), (f"{named}, lists",)),
        Parser(lambda line: codec.decode_event(line, "c"), watched(sample), (DecodeError,), (f"{named}, lines",)),
    )


def feed(pieces: list[bytes]) -> None:
    """Answers as they may arrive, to a request and to one that may switch protocols."""

    async def parse() -> None:
        reader = Reader(asyncio.get_running_loop())
        for may_switch in (False, True):
            framing = Framing(reader)
            framing.begin(head_only=False, may_switch=may_switch)
            for piece in pieces:
                framing.feed(piece)

    asyncio.run(parse())


def feed_frames(pieces: list[bytes]) -> None:
    """However what a member says over a stream arrives, its frames end in the same places."""
    for protocol in ("websocket", "spdy/3.1"):
        whole, parts = Frames(protocol, "v4.channel.k8s.io"), Frames(protocol, "v4.channel.k8s.io")
        whole.feed(b"".join(pieces))
        for piece in pieces:
            while piece:
                piece = piece[parts.feed(piece, one=True) :]
        assert whole.at_end == parts.at_end


def read_watch(pieces: list[bytes]) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def read() -> None:
        async for _ in iter_lines(chunks(), max_line_bytes=50):
            pass

    asyncio.run(read())


def influx(series: dict[str, Any], *rows: list[Any]) -> st.SearchStrategy[InfluxAnswer]:
    """Spoilt answers of a series, and of the series with each of these rows."""
    several = (series, *({**series, "values": [row]} for row in rows))
    samples = [{"results": [{"series": [each], "messages": []}]} for each in several]
    whole = st.sampled_from(samples).flatmap(spoilt_json)
    return whole.map(lambda body: InfluxAnswer(body, "1.8", "application/json"))


def read_all(raw: InfluxAnswer) -> None:
    """Everything that is made of an answer about points."""
    for read in (
        lambda answer: read_columns(answer, LAYOUTS[Kind.POD], [PodKey("c", "n", "p")], list(Measure), CellReader()),
        lambda answer: read_newest(answer, LAYOUTS[Kind.POD], [PodKey("c", "n", "p")], list(Measure), CellReader()),
        lambda answer: read_points(answer, CellReader()),
        read_sightings,
        merge_casts,
    ):
        answer = decode_answer(raw, "Metrics")[0]
        try:
            read(answer)
        except MetricsUnavailable:
            continue


def build_member(given: tuple[bytes, bytes, bytes]) -> None:
    """A member as KubeFed's objects say it; what can't be read is left out, as lists do it."""
    cluster_codec, secret_codec, platform_codec = kubefed_clusters("k"), secrets("k"), openmcp_clusters("o")
    clusters = cluster_codec.decode_list(given[0], "c").records
    found = secret_codec.decode_list(given[1], "c").records
    platforms = platform_codec.decode_list(given[2], "c").records
    for cluster in clusters:
        offline_message(cluster)
        platform_info(cluster, platforms[0] if platforms else None)
        build_access(cluster, "k", {secret.name: secret for secret in found}, None)


USAGE_ERRORS = (MetricsUnavailable,)

MEMBERS = (
    Parser(
        feed_frames,
        st.lists(
            blobs(b"\x82\x03abc", b"\x82\x7e\x00\x01a", b"\x89\x80", b"\x80\x03", b"\x00\x00\x00\x01"), max_size=4
        ),
        (),
        ("rest_compat.last_words.Frames.feed",),
    ),
    *codec_parsers(PODS, "Pod", POD),
    *codec_parsers(NODES, "Node", NODE),
    *codec_parsers(NAMESPACES, "Namespace", {"metadata": META, "status": {"phase": "Active"}}),
    *codec_parsers(EVENTS, "Event", EVENT),
    *(one for (kind, _), codec in WORKLOADS.items() for one in codec_parsers(codec, kind, WORKLOAD)),
    *codec_parsers(TableCodec(SERVED), "Widget", TABLE),
    Parser(
        lambda body: decode_objects(body, SERVED, "c"),
        spoilt_json(TABLE) | listed("Widget", TABLE["rows"]),
        (DecodeError,),
        ("fleet.kubernetes.codec.tables.decode_objects",),
    ),
    *(
        Parser(decode, spoilt_json(sample), UNREADABLE)
        for decode, sample in ((decode_pod, POD), (decode_node, NODE), (decode_namespace, NODE))
    ),
    Parser(
        build_member,
        st.tuples(listed("KubeFedCluster", KUBEFED), listed("Secret", SECRET), listed("OpenMCPCluster", OPENMCP)),
        (DecodeError, MemberProblemError),
        ("fleet.kubernetes.sources.kubefed_member.build_access",),
    ),
    Parser(
        lambda body: asyncio.run(load_catalog(cast("Connection", _Member(body)), 1)),
        spoilt_json(AGGREGATED) | spoilt_json(PLAIN) | spoilt_json(PLAIN | {"kind": "APIGroupList"}),
        (ClusterError,),
        ("fleet.kubernetes.discovery.load_catalog",),
    ),
    Parser(
        feed, st.lists(blobs(*HEAD), max_size=5), (AnswerProblem,), ("fleet.kubernetes.http1.framing.Framing.feed",)
    ),
    Parser(
        lambda given: decompress(given[0], given[1], 100),
        st.tuples(blobs(b"\x1f\x8b\x08", b"x\x9c"), st.sampled_from(("gzip", "deflate", "br", "GZIP", ""))),
        (AnswerProblem,),
        ("fleet.kubernetes.http1.content.decompress",),
    ),
    Parser(
        read_watch,
        st.lists(blobs(b"\n", b"\r\n", b"{}", b"x" * 60), max_size=6),
        (DecodeError,),
        ("fleet.kubernetes.codec.watch.iter_lines",),
    ),
    *(Parser(read, spoilt_json(STATUS)) for read in (refusal_text, status_message)),
    Parser(
        lambda body: build_deletion_status(RequestInfo("delete"), body),
        spoilt_json({"kind": "Service", "metadata": META}),
        (),
        ("rest_compat.errors.build_deletion_status",),
    ),
    Parser(
        lambda body: decode_summary(body, "c", "n", ReadAt(1)),
        spoilt_json(json.loads(build_summary("n", ("s", "p")))),
        (ValueError,),
        ("fleet.collector.readings.decode_summary",),
    ),
    Parser(
        lambda given: decode_metrics(given[0], given[1], "c", lambda _: None, ReadAt(1)),
        st.tuples(*(spoilt_json(json.loads(body)) for body in build_metrics())),
        (ValueError,),
        ("fleet.collector.readings.decode_metrics",),
    ),
    *(
        Parser(parse, texts("1", "9", ".", "-", "n", "Ki", "E", "e3", "e999999999"), (ValueError,))
        for parse in (parse_cores, parse_bytes, parse_count, parse_nanos)
    ),
    Parser(parse_time, texts("2026-01-01T00:00:00", "Z", ".1", "+25:00", "0000") | st.none()),
    Parser(decode_base64, texts("YQ==", "\n", "=", "-"), (ValueError,)),
    *(
        Parser(parse, texts("https://", "socks5://", "a", ":", "1", "@", "[", "]", "/", "?", "#", "%"), (ValueError,))
        for parse in (parse_endpoint, parse_proxy)
    ),
    Parser(read_all, influx(SERIES), USAGE_ERRORS, ("fleet.metrics.influx.influxql_answer.decode_answer",)),
    Parser(
        lambda raw: read_all(InfluxAnswer(raw, "1.8", "application/x-msgpack")),
        blobs(b"\x81\xa7results\x91\x81\xa6series\x90", b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x91" * 2_000),
        USAGE_ERRORS,
        ("fleet.metrics.influx.influxql_answer.decode_answer, packed",),
    ),
    Parser(
        lambda raw: read_statuses(decode_answer(raw, "m")[0]),
        influx(STATUSES),
        USAGE_ERRORS,
        ("fleet.metrics.influx.cluster_status.read_statuses",),
    ),
    Parser(
        lambda raw: read_mixed_fields(decode_answer(raw, "m")[0]),
        influx(KEYS, ["cpuScore"], [["cpuScore"], None]),
        USAGE_ERRORS,
        ("fleet.metrics.influx.field_types.read_mixed_fields",),
    ),
    Parser(
        lambda raw: merge_casts(decode_answer(raw, "m")[0]),
        influx(CASTS, [1, 1.5, 10**400]),
        USAGE_ERRORS,
        ("fleet.metrics.influx.field_types.merge_casts",),
    ),
    Parser(
        lambda cells: [CellReader().read(measure, cells) for measure in Measure],
        st.lists(texts("1", "9", "n", "Ki", ",", "\n", ".") | st.sampled_from(ODD_VALUES), max_size=4),
        (),
        ("fleet.metrics.influx.cells.CellReader.read",),
    ),
    *(
        Parser(partial(decode, tags=["cluster"], columns=["_value"]), spoilt_bytes(FLUX), USAGE_ERRORS, (name,))
        for decode, name in (
            (decode_rows, "fleet.metrics.influx.flux_rows.decode_rows"),
            (decode_values, "fleet.metrics.influx.flux_rows.decode_values"),
        )
    ),
    Parser(
        lambda parts: decode_values(b"".join(parts) + b"\r\n\r\n", ["cluster"], ["CPUUsageNanoCores"]),
        st.lists(
            st.sampled_from([*FLUX.split(b","), b",", b"\r\n", b"long", b"#datatype", b'"', b"error,reference"]),
            max_size=20,
        ),
        USAGE_ERRORS,
        ("fleet.metrics.influx.flux_rows.decode_values, put together",),
    ),
    Parser(
        decode_custom,
        spoilt_json({"metadata": {"name": "a", "labels": {"env": "b"}}, "spec": {"deep": [{}]}, "status": {"x": "y"}}),
        UNREADABLE,
    ),
    Parser(
        decode_shard_seconds,
        spoilt_json({"buckets": [{"retentionRules": [{"shardGroupDurationSeconds": 1}]}]}),
        USAGE_ERRORS,
    ),
    Parser(
        lambda body: explain_refusal(OPTIONS, 400, body),
        spoilt_json({"code": "c", "message": "organization not found"}),
        (),
        ("fleet.metrics.influx.flux_http.explain_refusal",),
    ),
)
