"""What the Flux store alone does: its questions, their number, and answers that are not whole."""

import time
from collections.abc import Collection

import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient

from fleet.metrics.influx import flux as flux_store
from fleet.metrics.influx.flux import FluxStore
from fleet.metrics.influx.flux_http import build_extern
from fleet.metrics.influx.flux_rows import decode_rows
from fleet.metrics.influx.flux_text import MOST_NAMED, build_latest
from fleet.metrics.influx.layout import LAYOUTS, Names, Query, Value
from fleet.metrics.influx.opening import open_influx_store
from fleet.metrics.influx.options import Dialect, InfluxOptions
from fleet.metrics.influx.pool import open_influx_pool
from fleet.metrics.pool import Call
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Aggregate, Kind, Measure, Point, TimeRange
from realfleet.influx2 import Influx2
from tests.fleet.metrics.influx.test_faults import head, open_talker
from tests.fleet.metrics.stores import open_filled_flux, reopen
from tests.fleet.metrics.test_contract import HOSTILE_NAMES

WEB = PodKey("cluster1", "default", "web-0")
RECEIVED = frozenset({Measure.NETWORK_RECEIVE_BYTES})
MEANS = frozenset({(Measure.CPU_CORES, Aggregate.MEAN)})
PODS = LAYOUTS[Kind.POD]

HEADER = "#datatype,string,long,dateTime:RFC3339,string,string\r\n,result,table,_time,pod,CPUUsageNanoCores\r\n"
ROW = ",_result,0,2020-07-14T07:23:08.917378367Z,web-0,1\r\n"
ERROR_HEADER = "#datatype,string,string\r\n,error,reference\r\n"
WHOLE = f"{HEADER}{ROW}{ROW}\r\n"


def latest(keys: Collection[PodKey]) -> Query:
    return build_latest(PODS, keys, {Measure.CPU_CORES}, since_ns=1)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_the_text_is_the_same_whatever_is_asked_for(name: str) -> None:
    few, plain = [PodKey(name, name, name)], [WEB]
    many, others = ([PodKey(text, text, f"{text}{i}") for i in range(9)] for text in (name, "web"))
    assert latest(few).text == latest(plain).text
    assert latest(many).text == latest(others).text


@pytest.mark.parametrize(("count", "bound"), [(1, "pod0"), (4, "pod3"), (5, "pods"), (MOST_NAMED, "pods")])
def test_few_names_are_compared_and_many_are_one_expression(count: int, bound: str) -> None:
    query = latest([PodKey("c", "n", f"web-{number}") for number in range(count)])
    assert list(query.params)[-1] == bound
    assert (query.text.count("r.pod ==") or 1) <= 4


def test_more_names_than_are_worth_naming_are_left_to_the_reader() -> None:
    query = latest([PodKey("c", "n", f"web-{number}") for number in range(MOST_NAMED + 1)])
    assert "r.pod" not in query.text
    assert set(query.params) == {"start", "end", "cluster0", "namespace0"}


def test_values_are_bound_as_the_client_library_binds_them() -> None:
    params: dict[str, Value] = {"bucket": "Metrics", "name": 'x") |> drop(', "start": -5, "end": 2**62}
    client = InfluxDBClient("http://127.0.0.1:9", token="t")
    with client:
        theirs = client.query_api()._create_query("text", params=params)
        expected = client.api_client.sanitize_for_serialization(theirs)["extern"]  # type: ignore[no-untyped-call]
    ours = build_extern(Query("text", params))
    assert (ours["body"], ours["imports"]) == (expected["body"], expected["imports"])


def test_names_are_quoted_in_expressions() -> None:
    expression = build_extern(Query("", {"names": Names((".*", "a|b", "\ud800"))}))["body"][0]["assignment"]["init"]
    assert expression == {"type": "RegexpLiteral", "value": "^(?:\\.\\*|a\\|b|\ufffd)$"}


def test_rows_keep_every_digit_of_their_time() -> None:
    (series,) = decode_rows(WHOLE.encode(), ["pod"], ["CPUUsageNanoCores", "FsUsedBytes"])
    assert (series.tags, series.values[0]) == ({"pod": "web-0"}, [1594711388917378367, "1", ""])
    assert decode_rows(b"\r\n", ["pod"], []) == []


@pytest.mark.parametrize("size", range(len(WHOLE)))
def test_no_beginning_of_an_answer_is_taken_for_the_whole(size: int) -> None:
    with pytest.raises(MetricsUnavailable, match="cut short"):
        decode_rows(WHOLE[:size].encode(), ["pod"], [])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            f"{HEADER}{ROW}\r\n#datatype,string,string\r\n,error,reference\r\n,secret words,897\r\n\r\n",
            "reports an error",
        ),
        (f"{HEADER}{ROW}\r\nerror,reference\r\nsecret words,897\r\n\r\n", "reports an error"),
        (",error,reference\r\n,memory allocation limit reached,1\r\n\r\n", "limit of InfluxDB \\(memory\\)"),
        (WHOLE.replace("_time", "_moment"), "cut short"),
        (WHOLE.replace("08.917378367Z,", "soon,"), "cut short"),
        (WHOLE.replace(",web-0,1", ",web-0"), "cut short"),
        (WHOLE.replace("#datatype", "#group"), "cut short"),
        (WHOLE.replace(",string\r\n", ",double\r\n").replace("web-0,1", "web-0,many"), "cut short"),
        ("<html>Welcome</html>\r\n\r\n", "cut short"),
        ('{"results":[]}', "cut short"),
    ],
)
def test_what_is_not_a_whole_answer_is_refused(body: str, said: str) -> None:
    with pytest.raises(MetricsUnavailable, match=said) as refused:
        decode_rows(body.encode(), ["pod"], ["CPUUsageNanoCores"])
    assert "secret words" not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            "403 Forbidden",
            '{"code":"forbidden","message":"insufficient permissions"}',
            "does not let this server's token",
        ),
        ("403 Forbidden", "Flux query service disabled.", "answered 403 to a query"),
        ("404 Not Found", "404 page not found", "there is no InfluxDB 2.x"),
        ("503 Service Unavailable", "", "answered 503 to a query"),
        ("500 Internal Server Error", '{"code":"internal error","message":"secret words"}', "the log has its words"),
        ("302 Found", "", "answered 302 to a query"),
    ],
)
async def test_refusals_are_named(status: str, body: str, said: str) -> None:
    answer = head(status, f"Content-Length: {len(body)}") + body.encode()
    async with open_talker(answer) as url:
        options = InfluxOptions(url, "b", org="o", token="secret-word", dialect=Dialect.FLUX)
        async with open_influx_store(options) as store:
            with pytest.raises(MetricsUnavailable, match=said) as refused:
                await store.latest(Kind.POD, frozenset({WEB}), RECEIVED)
    assert "secret" not in str(refused.value)
    assert "secret-word" not in repr(options)


@pytest.mark.real
async def test_one_question_is_one_request(real_influx2: Influx2) -> None:
    now = time.time_ns()
    keys = frozenset(PodKey(f"c{i % 3}", f"ns{i % 7}", f"web-{i}") for i in range(1000))
    nodes = frozenset(NodeKey("c", str(i)) for i in range(100))
    async with open_filled_flux(real_influx2) as flux, open_influx_pool(flux.options) as pool:
        await flux.write((key, Point(time_ns=now - 10**9, cpu_cores=1.0, network_receive_bytes=1)) for key in keys)
        store = FluxStore(flux.options, pool)
        await store.check()  # from then on the types of fields are known, for a while
        sent = pool.calls_sent
        assert len(await store.latest(Kind.POD, keys, ALL_MEASURES)) == 1000
        assert (
            len(await store.history(Kind.POD, keys, TimeRange(now - 60 * NANOSECONDS, now, NANOSECONDS), MEANS)) == 1000
        )
        await store.latest(Kind.NODE, nodes, ALL_MEASURES)
        await store.placements(keys, start_ns=now - NANOSECONDS, end_ns=now)
        assert pool.calls_sent == sent + 4


@pytest.mark.real
@pytest.mark.parametrize(
    ("seconds", "rate", "requests"),
    [
        ((10, 20, 30), 19970.0, 1),
        ((10, 2000), 17990.0, 1),
        ((2000, 2010, 3000), 15990.0, 2),
        ((10,), None, 1),
        ((2000,), None, 2),
    ],
    ids=["both of late", "one of late", "none of late", "a single one", "a single old one"],
)
async def test_a_rate_is_between_the_two_newest_points_however_old(
    real_influx2: Influx2, seconds: tuple[int, ...], rate: float | None, requests: int
) -> None:
    now = time.time_ns()
    counted = {second: (10_000 - second) ** 2 for second in seconds}
    points = [Point(time_ns=now - s * NANOSECONDS, cpu_cores=1.0, network_receive_bytes=n) for s, n in counted.items()]
    async with open_filled_flux(real_influx2) as flux, open_influx_pool(flux.options) as pool:
        await flux.write((WEB, point) for point in points)
        store = FluxStore(flux.options, pool)
        await store.check()
        sent = pool.calls_sent
        usage = await store.latest(Kind.POD, frozenset({WEB}), RECEIVED)
        assert pool.calls_sent == sent + requests
    assert usage[WEB].time_ns == points[0].time_ns
    assert usage[WEB].network_receive_bytes_per_second == rate


@pytest.mark.real
async def test_a_short_lookback_bounds_rates_as_well(real_influx2: Influx2) -> None:
    now = time.time_ns()
    counted = {now - second * NANOSECONDS: (10_000 - second) ** 2 for second in (5, 8, 100)}
    points = [Point(time_ns=time_ns, cpu_cores=1.0, network_receive_bytes=n) for time_ns, n in counted.items()]
    async with open_filled_flux(real_influx2) as flux, reopen(flux, lookback=30.0) as store:
        await flux.write((WEB, point) for point in points)
        usage = await store.latest(Kind.POD, frozenset({WEB}), RECEIVED)
    assert usage[WEB].network_receive_bytes_per_second == 19987.0


@pytest.mark.real
@pytest.mark.parametrize(
    "refused", [("build_types_call",), ("build_bucket_call",), ("build_types_call", "build_bucket_call")]
)
async def test_what_the_server_does_not_tell_costs_no_point(
    real_influx2: Influx2, monkeypatch: pytest.MonkeyPatch, refused: tuple[str, ...]
) -> None:
    for name in refused:
        monkeypatch.setattr(flux_store, name, lambda *_: Call("/nowhere", {}, b"", "GET"))
    now = time.time_ns() // NANOSECONDS * NANOSECONDS
    day = 86_400 * NANOSECONDS
    asked = TimeRange(now - 29 * day, now, 29 * day)
    async with open_filled_flux(real_influx2) as flux, reopen(flux, lookback=60.0 * 86_400) as store:
        for days, cell in ((28, '"1"'), (14, "2i"), (1, "3.0")):
            flux.write_cells(WEB, now - days * day, CPUUsageNanoCores=cell)
        history = (await store.history(Kind.POD, frozenset({WEB}), asked, MEANS))[WEB]
        usage = (await store.latest(Kind.POD, frozenset({WEB}), frozenset({Measure.CPU_CORES})))[WEB]
    assert (history.columns[Measure.CPU_CORES, Aggregate.MEAN], usage.cpu_cores) == ([2.0], 3.0)
