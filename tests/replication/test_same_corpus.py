"""Odd but legal objects of a real API server are shown by who follows as by who watches, with their manifests."""

import pytest

from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.registry import FleetOptions
from realfleet.fleet import Fleet
from realfleet.nats import NatsServer
from tests.fakes.kubernetes import FakeSource
from tests.fakes.waiting import until
from tests.graph.compiled.test_own_graph import Asked
from tests.graph.conftest import ADMIN, Graph
from tests.graph.corpus.corpus import created, list_names
from tests.graph.corpus.test_as_kubectl import HERE, NODES, PODS
from tests.replication.sharing import open_federations
from tests.replication.test_same_answers import answer

pytestmark = pytest.mark.real

WHOLE = "id manifest labels { key value } annotations { key value }"
ASKED = {
    "pods": PODS,
    "nodes": NODES,
    "manifests of pods": f"{{ pods{HERE % ''} {{ items {{ {WHOLE} }} }} }}",
    "manifests of nodes": f"{{ nodes{HERE % ''} {{ items {{ {WHOLE} }} }} }}",
    "workloads": f"""{{ workloads{HERE % ""} {{ items {{ id kind name desired ready rollout restarts images
      labels {{ key value }} pods(first: 20) {{ totalCount items {{ name }} }} }} }} }}""",
    "namespaces": '{ cluster(name: "openmcp") { namespaces { name labels { key value } } } }',
    "problems": "{ problems(first: 100) { totalCount items { cause reason count examples { name message } } } }",
}


async def test_odd_objects_are_shown_alike(real_fleet: Fleet, nats_server: NatsServer) -> None:
    with created(real_fleet):
        async with (
            open_kubeconfig_source((real_fleet.kubeconfig,)) as source,
            open_federations(source, nats_server.url, FleetOptions(fresh_seconds=2.0)) as federations,
        ):
            watching, following = (Graph(FakeSource(), federation) for federation in federations)

            async def is_alike(text: str) -> bool:
                asked = Asked(ADMIN, {}, encoded=False)
                shown = await answer(watching, text, asked)
                assert b'"data":null' not in shown
                return shown == await answer(following, text, asked)

            for text in ASKED.values():
                await until(lambda text=text: is_alike(text), what=text, every=0.1)  # type: ignore[misc]
            names = {item["name"] for item in (await following.ask(PODS))["pods"]["items"]}
            assert names >= set(list_names("Pod"))
