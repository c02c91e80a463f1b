"""`/metrics` of a serving process: who may read it, and what it counts (platform.md 10.2)."""

import http.server
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.process import PATIENCE, Served, until
from tests.live.test_metrics import SPECIFIED

TOKEN = "a token of the scraper"


def scrape(server: Served, bearer: str = TOKEN) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/metrics")
    request.add_header("authorization", f"Bearer {bearer}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def value(text: str, name: str, **labels: str) -> float:
    """Return the sum of the samples of a name that carry these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


class Collector(http.server.ThreadingHTTPServer):
    """Takes what OpenTelemetry is told of, and keeps the names of spans by their trace."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.traces: dict[str, set[str]] = {}

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                self.traces.setdefault(span.trace_id.hex(), set()).add(span.name)


class _Taking(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.take(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Served]:
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    with Served(tmp_path_factory.mktemp("metrics"), DEFARM_METRICS_TOKEN=TOKEN, **told) as server:
        yield server.ready()


def test_a_collector_that_is_named_is_told_of_requests_by_the_trace_of_their_answers(
    running: Served, collector: Collector
) -> None:
    nobody = {"username": "nobody", "password": "seven brown oxen graze"}
    trace = running.ask("/api/auth/login", "POST", nobody).headers["x-trace-id"]
    until(lambda: {"POST /api/auth/login", "commit unit"} <= collector.traces.get(trace, set()))


def test_the_scraper_an_administrator_and_nobody_else_may_read(running: Served) -> None:
    assert scrape(running)[0] == 200
    assert scrape(running, "another token of a scraper")[0] == 401
    assert running.ask("/metrics").status == 401
    assert running.ask("/api/auth/profile", authorization=f"Bearer {TOKEN}").status == 401
    ana = {"username": "ana", "email": "ana@example.org", "password": "seven brown oxen graze"}
    token = running.ask("/api/auth/register", "POST", ana).body["access_token"]
    assert scrape(running, token)[0] == 403
    setup = next(line.strip() for line in running.err.splitlines() if line.strip().startswith("dfs_"))
    root = {"setup_token": setup, "username": "root", "email": "root@example.org", "password": "a long enough secret"}
    token = running.ask("/api/auth/setup", "POST", root).body["access_token"]
    assert scrape(running, token)[0] == 200


def test_it_counts_requests_by_template_and_names_nobody(running: Served) -> None:
    who = "018f3a00-0000-7000-8000-00000000ffff"
    for _ in range(3):
        running.ask(f"/api/items/{who}")
        running.ask(f"/nowhere/{who}")
    _, text = scrape(running)
    assert value(text, "defarm_http_requests_total", route="/api/items/{dfid}", status="401") == 3
    assert value(text, "defarm_http_requests_total", route="none", status="404") >= 3
    assert value(text, "defarm_auth_failures_total", reason="unauthenticated") >= 3
    assert value(text, "defarm_ready") == 1
    assert value(text, "defarm_units_total", outcome="committed") > 0
    assert value(text, "defarm_store_seconds_count", facet="outbox") > 0
    assert value(text, "defarm_pool_connections") >= 1
    assert value(text, "defarm_outbox_dead", kind="webhook_delivery") == 0
    assert value(text, "defarm_audit_tree_size") + value(text, "defarm_audit_unsequenced") > 0
    assert value(text, "process_resident_memory_bytes") > 0
    found = set(re.findall(r"^# TYPE defarm_(\S+)", text, re.MULTILINE))
    assert found >= {name + "_total" * (kind == "counter") for name, (kind, _) in SPECIFIED.items()}
    for private in (who, "ana", "127.0.0.1", TOKEN):
        assert private not in text


def test_several_processes_of_one_host_add_up(tmp_path: Path) -> None:
    with Served(tmp_path / "many", "--workers", "2", DEFARM_METRICS_TOKEN=TOKEN) as server:
        server.ready()
        for _ in range(40):
            assert server.ask("/health").status == 200
        counted = {"route": "/health", "status": "200"}
        until(lambda: value(scrape(server)[1], "defarm_http_requests_total", **counted) >= 40)
        assert value(scrape(server)[1], "defarm_build_info") == 1
        assert server.end() == 0
