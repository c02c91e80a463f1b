"""What a decoder found wrong, cheap to make and to place."""

import difflib
from collections.abc import Iterable
from typing import Any

from domain.errors import Fault

SUGGESTIONS = 100
"""Only so many faults of a call get a suggestion: looking for one costs far more than finding the fault."""


class Mistake:
    """One fault before its place is known: `path` grows from the inside out."""

    __slots__ = ("code", "detail", "known", "path")

    def __init__(self, code: str, detail: str, known: tuple[str, ...] = ()) -> None:
        self.code = code
        self.detail = detail
        self.path: list[str] = []
        self.known = known

    def fault(self, suggest: bool) -> Fault:
        """Return it as a fault with a JSON Pointer."""
        pointer = "".join("/" + _escape(token) for token in reversed(self.path))
        suggestion = nearest(self.path[0], self.known) if suggest and self.known else None
        return Fault(self.code, self.detail, pointer=pointer, suggestion=suggestion)


class Wrong:
    """What a converter returns instead of a value."""

    __slots__ = ("mistakes",)

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes

    def at(self, token: str) -> list[Mistake]:
        """Return the mistakes as seen from the object or array around."""
        for mistake in self.mistakes:
            mistake.path.append(token)
        return self.mistakes

    def faults(self, suggestions: int = SUGGESTIONS) -> tuple[Fault, ...]:
        """Return them as faults, in the order of the document."""
        return tuple(mistake.fault(index < suggestions) for index, mistake in enumerate(self.mistakes))


def wrong(code: str, detail: str) -> Wrong:
    """Return one mistake at this very place."""
    return Wrong([Mistake(code, detail)])


def mistyped(value: Any, expected: str) -> Wrong:
    """Return the mistake of a value of another JSON type."""
    if value is None:
        return wrong("null_not_allowed", f"{expected} is expected, null is not allowed.")
    return wrong("type", f"{expected} is expected.")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, if one is close."""
    close = difflib.get_close_matches(name, known, 1) if len(name) <= 64 else []
    return close[0] if close else None


def between(low: float, high: float | None, what: str) -> str:
    """Return the sentence that names two bounds."""
    return f"At least {low} {what}." if high is None else f"{low} to {high} {what}."


def _escape(token: str) -> str:
    return token[:256].replace("~", "~0").replace("/", "~1")
