"""A Kubernetes API server a cluster, simulated: lists, watches and writes over HTTP on loopback, with faults on demand.

Belongs here: the protocol, the objects it is shown with, and ways to make it ill. Never here: anything the product
needs; nothing outside `demo`, `bench` and the tests imports it.

    async with open_simulated_fleet(clusters=3, pods=100) as fleet:
        fleet.kubeconfig                    # contexts openmcp, cluster1 ...
        fleet["cluster1"].faults.hang()     # accepts, never answers; .resume() ends it
"""

from demo.simulator.faults import Faults
from demo.simulator.fleet import SimulatedCluster, SimulatedFleet, open_simulated_fleet
from demo.simulator.server import Certificate

__all__ = ["Certificate", "Faults", "SimulatedCluster", "SimulatedFleet", "open_simulated_fleet"]
