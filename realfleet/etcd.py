"""One etcd for all API servers of a fleet: each keeps its keys below a prefix of its own."""

from realfleet.cache import Binaries
from realfleet.ports import list_free_ports
from realfleet.processes import Servers


def start_etcd(servers: Servers, binaries: Binaries) -> str:
    """Starts etcd and gives its client URL. Nobody need wait for it: API servers retry until it answers."""
    client, peer = (f"http://127.0.0.1:{port}" for port in list_free_ports(2))
    servers.start(
        "etcd",
        [
            str(binaries.controlplane),
            "etcd",
            "--name=fleet",
            f"--data-dir={servers.folder / 'etcd'}",
            # What a fleet holds is thrown away, so no write needs to survive a power cut.
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=fleet={peer}",
            "--log-level=warn",
        ],
    )
    return client
