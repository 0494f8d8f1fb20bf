"""64 clients at once with different queries on one worker: how much longer the slowest wait than half of them."""

from itertools import cycle

from bench.load import Ask, run_load
from bench.metric_data import fill_file, list_nodes, list_pods
from bench.row import Row, amount, build_row
from bench.servers import Running, open_server, open_simulated, wait_pods

CLIENTS = 64
MEMBERS = 5
PODS = 1_000
SECONDS = 3.0
GOAL = amount(5, "x")

_FIELDS = "id namespace name phase status ready restarts createdAt nodeName podIP cluster { name }"
_RUNNING = '{clusters: ["cluster2"], phases: [RUNNING]}'
_AMOUNTS = "{ cpuCores memoryBytes }"
_POD = 'pod(cluster: "cluster1", namespace: "NAMESPACE", name: "NAME")'
_QUERIES = (
    f"{{ {_POD} {{ id phase status containers {{ name image }} }} }}",
    f"{{ pods(first: 50) {{ items {{ {_FIELDS} }} pageInfo {{ endCursor }} }} }}",
    f"{{ clusters {{ name health version region allocatable {_AMOUNTS} requested {_AMOUNTS} }} }}",
    f"{{ pods(first: 20, filter: {_RUNNING}) {{ totalCount items {{ {_FIELDS} }} }} }}",
    f"{{ nodes(first: 15) {{ items {{ id name ready usage {_AMOUNTS} }} }} }}",
    "{ pods(first: 20) { items { id name usage { cpuCores cpuPercent memoryBytes } } } }",
    "{ clusters { name podCounts(by: PHASE) { key count } } }",
    "{ viewer { name } }",
)


async def measure(rounds: int) -> list[Row]:
    """All clients ask without a pause, each time the next of the queries."""
    async with open_simulated(MEMBERS, PODS) as fleet, open_server(fleet.kubeconfig) as server:
        asks = cycle(await build_asks(server))
        await run_load(asks, CLIENTS, SECONDS)
        loads = [await run_load(asks, CLIENTS, SECONDS) for _ in range(rounds)]
    title = f"{CLIENTS} clients, mixed queries, one worker"
    return [build_row(f"{title}: p99 to p50", "x", [load.p99 / load.p50 for load in loads], goal=GOAL)]


async def build_asks(server: Running) -> list[Ask]:
    """The queries, once the server has all pods, and an hour of usage of them."""
    await wait_pods(server, MEMBERS * PODS)
    pods = [pod for number in range(MEMBERS) for pod in await list_pods(server, f"cluster{number + 1}")]
    await fill_file(server.usage_file, pods, await list_nodes(server))
    named = [query.replace("NAMESPACE", pods[0].namespace).replace("NAME", pods[0].name) for query in _QUERIES]
    return [server.ask_graph(query) for query in named]
