"""Traces for a collector, by the extra `tracing` (platform.md 11)."""

import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from structlog.testing import capture_logs

from entrypoints.http.exchange import REQUEST, Exchange
from entrypoints.spans import Spans
from entrypoints.tracing import collector_named, spans_of

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def nothing(*_: Any) -> Any:
    return None


def told(flags: str | None, method: str = "GET", status: int = 200) -> dict[str, ReadableSpan]:
    """Return the spans of one request that read an item, by name."""
    headers = [] if flags is None else [(b"traceparent", f"00-{TRACE}-{CALLER}-{flags}".encode())]
    scope = {"type": "http", "method": method, "path": "/", "query_string": b"", "headers": headers}
    exporter = InMemorySpanExporter()
    spans = Spans("one", "1.2.3", exporter)
    spans.store("outbox", "select", 0.01, None)
    exchange = Exchange(scope, nothing, nothing)
    token = REQUEST.set(exchange)
    spans.store("items", "fetch", 0.01, "Unavailable")
    spans.request(method, "/api/items/{dfid}", status, 0.02, "unavailable" if status >= 500 else None)
    REQUEST.reset(token)
    spans.close()
    found = {span.name: span for span in exporter.get_finished_spans()}
    assert {f"{span.context.trace_id:032x}" for span in found.values()} <= {exchange.trace_id}
    return found


@pytest.mark.parametrize("flags", [None, "01"])
def test_a_request_and_what_it_asks_of_the_store_are_spans_of_its_trace(flags: str | None) -> None:
    """What no request asks for is told to nobody."""
    found = told(flags)
    assert found.keys() == {"GET /api/items/{dfid}", "fetch items"}
    request, read = found["GET /api/items/{dfid}"], found["fetch items"]
    assert read.parent is not None and read.parent.span_id == request.context.span_id
    assert (request.parent is None) is (flags is None)
    assert request.parent is None or f"{request.parent.span_id:016x}" == CALLER
    assert (request.kind, read.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert dict(request.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/api/items/{dfid}",
    }
    assert request.resource.attributes["service.instance.id"] == "one"
    assert (request.status.is_ok, read.status.is_ok) == (True, False)
    assert 19e6 < (request.end_time or 0) - (request.start_time or 0) < 21e6


def test_a_caller_who_does_not_trace_is_not_traced_and_no_foreign_word_is_told() -> None:
    assert told("00") == {}
    failed = told("01", "LEAK-ME", 503)["_OTHER /api/items/{dfid}"]
    assert not failed.status.is_ok and (failed.attributes or {})["error.type"] == "unavailable"
    assert "LEAK-ME" not in failed.to_json()


def test_the_service_is_called_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "farm")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert told(None) == {}
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    assert {span.resource.attributes["service.name"] for span in told(None).values()} == {"farm"}


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
    ],
)
def test_nothing_is_told_unless_a_collector_is_named(environment: dict[str, str], named: bool) -> None:
    assert collector_named(environment) is named


def test_without_the_extra_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "entrypoints.spans")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert spans_of({}, "one", "1.2.3") is None
    with capture_logs() as logs:
        assert spans_of({"OTEL_TRACES_EXPORTER": "otlp"}, "one", "1.2.3") is None
    assert [log["event"] for log in logs] == ["tracing.off"]
    assert "defarm-engine[tracing]" in logs[0]["detail"]
