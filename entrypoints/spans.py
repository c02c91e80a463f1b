"""Spans of requests and of what they ask of the store, for OpenTelemetry (platform.md 11; the extra `tracing`).

The trace of a request is the one that its answer, its log record and its audit entries name. What a collector is told
names routes, facets and verbs: no id, no name, no value.
"""

import os
import time
from hashlib import blake2b
from threading import Thread
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from entrypoints.http.exchange import REQUEST, Exchange

PATIENCE: Final = 5.0
"""Seconds for which the end of the process waits for the collector."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS: Final = (b"traceparent", b"tracestate")
_propagator = TraceContextTextMapPropagator()


class _Ids(IdGenerator):
    """Gives the next span the ids that its request has, random ones to all others."""

    def __init__(self) -> None:
        self.next: tuple[int, int] | None = None
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        return self._random.generate_trace_id() if self.next is None else self.next[0]

    def generate_span_id(self) -> int:
        return self._random.generate_span_id() if self.next is None else self.next[1]


class Spans:
    """Tells a collector of requests, once each has been answered. Nothing waits for the collector.

    `exporter` is by default the one that `OTEL_EXPORTER_OTLP_*` describe, over HTTP.
    """

    def __init__(self, instance_id: str, release: str, exporter: SpanExporter | None = None) -> None:
        own = {"service.name": "defarm-engine", "service.version": release, "service.instance.id": instance_id}
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=Resource.create(own).merge(OTELResourceDetector().detect()),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("defarm-engine", release)

    def request(self, method: str, route: str | None, status: int, seconds: float, code: str | None) -> None:
        """Tell of one request that has been answered, with the members that a meter is told."""
        exchange = REQUEST.get()
        if exchange is None:
            return
        end = time.time_ns()
        known = method if method in _METHODS else "_OTHER"
        told: dict[str, Any] = {"http.request.method": known, "http.response.status_code": status}
        told |= {name: value for name, value in (("http.route", route), ("error.type", code)) if value is not None}
        self._ids.next = int(exchange.trace_id, 16), _span_id(exchange)
        try:
            span = self._tracer.start_span(
                f"{known} {route}" if route is not None else known,
                _caller(exchange),
                SpanKind.SERVER,
                told,
                start_time=end - int(seconds * 1e9),
            )
        finally:
            self._ids.next = None
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)

    def store(self, facet: str, verb: str, seconds: float, error: str | None) -> None:
        """Tell of one call of the store, if it was made for a request."""
        exchange = REQUEST.get()
        if exchange is None:
            return
        end = time.time_ns()
        told = {"db.operation.name": verb, "db.collection.name": facet}
        span = self._tracer.start_span(
            f"{verb} {facet}",
            self._within(exchange),
            SpanKind.CLIENT,
            told if error is None else told | {"error.type": error},
            start_time=end - int(seconds * 1e9),
        )
        if error is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)

    def close(self) -> None:
        """Send what is left, and stop; a collector that does not take it is not waited for."""
        sending = Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(PATIENCE)

    def _within(self, exchange: Exchange) -> Context:
        """Return where spans inside a request belong: to its own, which is told when the request has ended."""
        trace_id = int(exchange.trace_id, 16)
        chosen = self._provider.sampler.should_sample(_caller(exchange), trace_id, "").decision
        sampled = chosen is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        own = SpanContext(trace_id, _span_id(exchange), is_remote=False, trace_flags=flags)
        return set_span_in_context(NonRecordingSpan(own), Context())


def _caller(exchange: Exchange) -> Context:
    """Return the span of who called, as `traceparent` names it, an empty context without one."""
    sent = {name.decode(): exchange.headers[name].decode("latin-1") for name in _HEADERS if name in exchange.headers}
    return _propagator.extract(sent, Context())


def _span_id(exchange: Exchange) -> int:
    """Return the one span id of a request, the same whenever it is asked for."""
    named = f"{exchange.trace_id} {exchange.started!r} {os.getpid()}".encode()
    return int.from_bytes(blake2b(named, digest_size=8).digest())
