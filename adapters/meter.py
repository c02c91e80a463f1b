"""What this process counts for Prometheus (platform.md 10.2)."""

import os
from collections.abc import Mapping
from typing import Any, Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from domain.ports.measures import Measure

SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Names the directory in which several processes of one host add up; it is set before any of them is born."""

_QUICK: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)


class _Collected:
    """Measures of one look, as the client library takes them."""

    def __init__(self, measures: list[Measure]) -> None:
        self._measures = measures

    def collect(self) -> list[GaugeMetricFamily]:
        return [_family(measure) for measure in self._measures]


def _family(measure: Measure) -> GaugeMetricFamily:
    label = measure.label
    family = GaugeMetricFamily(f"defarm_{measure.name}", measure.text, labels=[label] if label else [])
    for value, number in measure.values.items():
        family.add_metric([value] if label else [], number)
    return family


class Meter:
    """Counters, gauges and histograms of this process. Labels are templates and names, never ids."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, version: str, storage: str) -> None:
        # One more series for each counter and histogram, of when it began, helps nobody.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._shared = SHARED in os.environ
        self.registry = CollectorRegistry()
        if not self._shared:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
        self._requests = self._counter("http_requests", "Requests answered.", "method", "route", "status")
        self._seconds = self._histogram("http_request_seconds", "Time to answer.", "method", "route")
        self._failures = self._counter("auth_failures", "Credentials refused.", "reason")
        self._limited = self._counter("rate_limited", "Requests refused by a limit.", "policy")
        self._passwords = self._histogram("password_seconds", "Time of one hash.")
        self._units = self._counter("units", "Units ended.", "outcome")
        self._store = self._histogram("store_seconds", "Time of one call of the store.", "facet", "verb")
        self._store_errors = self._counter("store_errors", "Calls of the store that failed.", "kind")
        self._cache = self._counter("cache_requests", "Reads of the cache.", "kind", "result")
        self._deliveries = self._counter("webhook_deliveries", "Attempts to deliver.", "result")
        self._told = self._histogram("notification_delivery_seconds", "From the news to its reader.", "transport")
        self._lag = self._histogram("event_loop_lag_seconds", "How late a timer of the event loop came.")
        self._gauges = {name: self._gauge(name, text, mode, *labels) for name, (text, mode, *labels) in _GAUGES.items()}
        self._gauges["build_info"].labels(version=version, storage=storage).set(1)
        self._bound: dict[Any, Any] = {}
        self._seen: dict[tuple[str, ...], float] = {}

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"defarm_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"defarm_{name}", text, labels, buckets=_QUICK, registry=self.registry)

    def _gauge(self, name: str, text: str, mode: Any, *labels: str) -> Gauge:
        return Gauge(f"defarm_{name}", text, labels, registry=self.registry, multiprocess_mode=mode)

    def request(self, method: str, route: str | None, status: int, seconds: float, code: str | None) -> None:
        """Count one request that has been answered."""
        key = (method, route, status)
        bound = self._bound.get(key)
        if bound is None:
            known = method if method in _METHODS else "other"
            where = route or "none"
            bound = self._bound[key] = (
                self._requests.labels(known, where, str(status)).inc,
                self._seconds.labels(known, where).observe,
            )
        bound[0]()
        bound[1](seconds)
        if status == 401:
            self._failures.labels(code or "unauthenticated").inc()

    def limited(self, policy: str) -> None:
        """Count one refusal by a limit."""
        self._limited.labels(policy).inc()

    def password(self, seconds: float) -> None:
        """Count one hash."""
        self._passwords.observe(seconds)

    def store(self, facet: str, verb: str, seconds: float, error: str | None) -> None:
        """Count one call of the store; a `commit` is the end of a unit."""
        key = (facet, verb)
        bound = self._bound.get(key)
        if bound is None:
            bound = self._bound[key] = self._store.labels(facet, verb).observe
        bound(seconds)
        if error is not None:
            self._store_errors.labels(error).inc()
        if verb == "commit":
            self._units.labels(error or "committed").inc()

    def delivery(self, result: str) -> None:
        """Count one attempt to deliver."""
        self._deliveries.labels(result).inc()

    def told(self, transport: str, seconds: float) -> None:
        """Count one notification that a stream has carried, `seconds` after it came to be."""
        self._told.labels(transport).observe(seconds)

    def lag(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self._lag.observe(seconds)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge. Raises KeyError for one that is not declared."""
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def cache(self, kind: str, totals: Mapping[str, int]) -> None:
        """Take over counters that are kept elsewhere, by what they have grown since the last time."""
        for result, total in totals.items():
            known = self._seen.get((kind, result), 0)
            if total > known:
                self._cache.labels(kind, result).inc(total - known)
                self._seen[kind, result] = total

    def text(self, measures: list[Measure]) -> bytes:
        """Return everything in Prometheus text, this look's measures of the store included."""
        registry = self.registry
        if self._shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            ProcessCollector(registry=registry)
        extra = CollectorRegistry()
        extra.register(_Collected(measures))
        return generate_latest(registry) + generate_latest(extra)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GAUGES: Final[Mapping[str, tuple[str, ...]]] = {
    "http_in_flight": ("Requests under way.", "livesum"),
    "limiter_degraded": ("1 while limits are counted per instance.", "livemax"),
    "password_queue": ("Passwords that wait for a thread.", "livesum"),
    "pool_connections": ("Connections to the database.", "livesum", "state"),
    "pool_waiting": ("Calls that wait for a connection.", "livesum"),
    "cache_degraded": ("1 while the cache is not used.", "livemax"),
    "cache_pending_invalidations": ("Marks whose unit has ended and that still stand.", "livesum"),
    "write_behind_queue": ("Units acknowledged before PostgreSQL had them.", "livesum"),
    "write_behind_lag_seconds": ("Age of the oldest of them.", "livemax"),
    "streams": ("Open streams.", "livesum", "transport"),
    "ready": ("1 while requests are served.", "livemin"),
    "build_info": ("What runs.", "livemax", "version", "storage"),
}
