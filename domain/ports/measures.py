"""Numbers about the store, taken when somebody looks (platform.md 10.2)."""

from collections.abc import Mapping
from typing import Protocol

import attrs


@attrs.frozen
class Measure:
    """One number, or one for each value of `label`; `name` is without the prefix of the engine."""

    name: str
    text: str
    values: Mapping[str, float]
    label: str | None = None


class Meter(Protocol):
    """Counts what happens in one process. Labels are templates and names, never ids."""

    @property
    def content_type(self) -> str:
        """The media type of `text`."""
        ...

    def request(self, method: str, route: str | None, status: int, seconds: float, code: str | None) -> None:
        """Count one request that has been answered; `code` is that of its refusal."""
        ...

    def limited(self, policy: str) -> None:
        """Count one refusal by a limit."""
        ...

    def password(self, seconds: float) -> None:
        """Count one hash."""
        ...

    def store(self, facet: str, verb: str, seconds: float, error: str | None) -> None:
        """Count one call of the store; a `commit` is the end of a unit."""
        ...

    def delivery(self, result: str) -> None:
        """Count one attempt to deliver."""
        ...

    def told(self, transport: str, seconds: float) -> None:
        """Count one notification that a stream has carried, `seconds` after it came to be."""
        ...

    def lag(self, seconds: float) -> None:
        """Note how late the event loop was."""
        ...

    def cache(self, kind: str, totals: Mapping[str, int]) -> None:
        """Take over counters that are kept elsewhere."""
        ...

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge. Raises KeyError for one that is not declared."""
        ...

    def text(self, measures: list[Measure]) -> bytes:
        """Return everything, this look's measures of the store included."""
        ...
