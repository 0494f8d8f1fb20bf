"""A scrape target a member: what really runs there, as kubelets, node-exporter and kube-state-metrics would show it.

Prometheus and VictoriaMetrics scrape it at `/CLUSTER/metrics`; the cluster's label comes of relabeling by that path.
Figures of kubelets have times of their own, as cAdvisor gives them.
"""

import http.server
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo.metric_server import MetricServerConfig
from fleet.metrics.remote_write.encode import Labels, Series
from realfleet.apiserver import ApiServer
from realfleet.cadvisor import Figures, Row, node_rows, pod_info, pod_rows
from realfleet.client import KubeError
from realfleet.readings import Readings, Running
from realfleet.usage import Amounts

_COUNTED_BEFORE = 7200
_SCRAPE_MS = 200
"""How long after it was measured by a kubelet something is scraped."""
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Exporter:
    """The targets of all members. Made by `open_exporter`."""

    def __init__(self, apis: Sequence[ApiServer], port: int) -> None:
        began = time.time() - _COUNTED_BEFORE
        self.port = port
        self._members = {api.cluster: Readings(api, began) for api in apis}
        self._cpu: dict[tuple[str, ...], tuple[float, float]] = defaultdict(lambda: (0.0, began))
        self._lock = threading.Lock()

    def build_config(self, interval: float, rules: Path | None = None) -> MetricServerConfig:
        """A server that scrapes all members, and evaluates `rules` as often (seconds); VictoriaMetrics knows none."""
        every = f"{interval:g}s"
        job = {
            "job_name": "fleet",
            "scrape_interval": every,
            "scrape_timeout": every,
            "honor_labels": True,
            "static_configs": [
                {"targets": [f"127.0.0.1:{self.port}"], "labels": {"__metrics_path__": f"/{cluster}/metrics"}}
                for cluster in self._members
            ],
            "relabel_configs": [
                {"source_labels": ["__metrics_path__"], "regex": "/(.+)/metrics", "target_label": "cluster"}
            ],
        }
        ruling = {} if rules is None else {"rule_files": [str(rules)], "global": {"evaluation_interval": every}}
        return MetricServerConfig(further={"scrape_configs": [job], **ruling})

    def build_text(self, cluster: str) -> str:
        """What a scrape is answered. Raises KubeError, and KeyError for a cluster that is not there."""
        now = time.time()
        lines = []
        for name, labels, value in self._build_rows(self._members[cluster].load(), now):
            shown = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
            own_time = f" {int(now * 1000)}" if _has_own_time(name) else ""
            lines.append(f"{name}{{{shown}}} {value!r}{own_time}\n")
        return "".join(lines)

    def build_past(self, times: Sequence[float]) -> list[Series]:
        """All that scrapes at these times would have brought, for what runs now.

        To be written before anything is scraped: counters go on from here. Raises KubeError.
        """
        found: dict[Labels, list[tuple[float, int]]] = defaultdict(list)
        for cluster, readings in self._members.items():
            running = readings.load()
            for moment in times:
                for name, labels, value in self._build_rows(running, moment):
                    key = tuple(sorted({"__name__": name, "cluster": cluster, **labels}.items()))
                    found[key].append((float(value), int(moment * 1000) + (0 if _has_own_time(name) else _SCRAPE_MS)))
        return list(found.items())

    def _build_rows(self, running: Running, now: float) -> Iterator[Row]:
        pods, nodes = running.measure(now)
        for pod in pods:
            figures = self._count((running.cluster, pod.namespace, pod.name), pod.amounts, now)
            yield from pod_rows(pod.namespace, pod.name, pod.node, figures)
            yield pod_info(pod.namespace, pod.name, pod.node)
        for node, amounts in nodes:
            yield from node_rows(node, self._count((running.cluster, node), amounts, now))

    def _count(self, key: tuple[str, ...], amounts: Amounts, now: float) -> Figures:
        """CPU as seconds so far: what is used now was used since the scrape before."""
        with self._lock:
            seconds, last = self._cpu[key]
            seconds += amounts.cpu / 1e9 * max(0.0, now - last)
            self._cpu[key] = (seconds, max(now, last))
        return Figures(
            seconds,
            amounts.memory_working_set,
            amounts.memory_usage,
            amounts.memory_available or None,
            amounts.fs_used,
            amounts.fs_capacity,
            amounts.fs_available,
            amounts.network_received,
            amounts.network_sent,
        )


def _has_own_time(name: str) -> bool:
    return name.startswith("container_")


@contextmanager
def open_exporter(apis: Sequence[ApiServer]) -> Iterator[Exporter]:
    """Serves the targets on a free port of loopback until left."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                status, body = 200, exporter.build_text(self.path.split("/")[1]).encode()
            except KeyError:
                status, body = 404, b""
            except KubeError as error:
                status, body = 503, str(error).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        exporter = Exporter(apis, server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, name="exporter", daemon=True)
        thread.start()
        try:
            yield exporter
        finally:
            server.shutdown()
            thread.join()
