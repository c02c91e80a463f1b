"""Whether this process tells a collector of traces (platform.md 11)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from entrypoints.spans import Spans


def collector_named(environment: Mapping[str, str]) -> bool:
    """Tell whether `OTEL_*` name a collector of traces."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter not in ("", "otlp"):
        return False
    places = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return exporter == "otlp" or any(environment.get(name, "").strip() for name in places)


def spans_of(environment: Mapping[str, str], instance_id: str, release: str) -> "Spans | None":
    """Return what tells the collector, None where none is named; a missing extra is warned about."""
    if not collector_named(environment):
        return None
    try:
        from entrypoints.spans import Spans  # noqa: PLC0415 -- of an extra
    except ModuleNotFoundError as missing:
        hint = "OTEL_* names a collector, but the extra is missing: install defarm-engine[tracing]"
        structlog.get_logger("engine").warning("tracing.off", reason=missing.name, detail=hint)
        return None
    return Spans(instance_id, release)
