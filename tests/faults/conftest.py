"""The server that the rows share."""

import ssl
from collections.abc import AsyncIterator

import pytest

from realfleet.fleet import Fleet
from realfleet.kubeconfig import Access, build_kubeconfig
from tests.fakes.faults import open_proxy
from tests.fakes.http_faults import open_http_faults
from tests.faults.serving import ILL, MEMBER_TIMEOUT, WELL, Certificates, Served
from tests.processes import free_port, open_server


@pytest.fixture(scope="package")
async def served(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("faults")
    certificates = Certificates(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.trusted)
    member = real_fleet.cluster(ILL)
    behind = ssl.create_default_context(cafile=str(member.ca_file))
    async with (
        open_http_faults(member.url, upstream_tls=behind, tls=tls) as (http_url, http),
        open_proxy(http_url) as (url, line),
    ):
        access = Access(ILL, url, certificates.authority.read_bytes(), member.token)
        kubeconfig = folder / "kubeconfig"
        accesses = real_fleet.cluster(WELL).access, access
        kubeconfig.write_text(build_kubeconfig(accesses))
        environment = real_fleet.environment(kubeconfig) | {
            "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port := free_port()),
            "OPENMCP_OPS_PORT": "0",
            "OPENMCP_MEMBER_TIMEOUT": f"{MEMBER_TIMEOUT}s",
            "OPENMCP_HEARTBEAT": "1s",
        }
        del environment["OPENMCP_HOST_CONTEXT"]
        async with open_server("serve", environment=environment, port=port, log=folder / "log") as server:
            token = await server.sign_in()
            yield Served(server, token, line, http, tls, certificates, kubeconfig, accesses)
