"""What an engine answers when it will not do what was asked.

    DomainError
    ├── Refusal        one code of the catalogue (http.md 5), with the members its problem carries
    └── Invalid        faults of shape, reported together (http.md 6)

Entrypoints turn these into answers; engines never name an HTTP status.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import attrs


class DomainError(Exception):
    """Root of everything an engine refuses."""


@attrs.frozen
class Fault:
    """One thing wrong with a request: where (exactly one of the three places), which code, in words."""

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None
    suggestion: str | None = None

    def under(self, prefix: str) -> "Fault":
        """Return the same fault seen from an enclosing document, `prefix` being a JSON Pointer."""
        return attrs.evolve(self, pointer=prefix + (self.pointer or ""))


class Refusal(DomainError):
    """A rule says no. `code` is stable and in the catalogue; `members` extend the problem object.

    `hides` is set where something exists that the caller may not know of; it never leaves the engine.
    """

    hides = False

    def __init__(self, code: str, detail: str = "", **members: Any) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.members: Mapping[str, Any] = MappingProxyType(members)


class Invalid(DomainError):
    """The request cannot be right whatever is stored: 422 `validation_failed` with every fault found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.pointer or fault.parameter}: {fault.code}" for fault in self.faults))


def not_found(*, hides: bool = False) -> Refusal:
    """The one answer for *absent* and *not yours* (http.md 3, step 8); `hides` tells them apart for the audit."""
    refusal = Refusal("not_found", "There is nothing here, or it is not for you.")
    refusal.hides = hides
    return refusal
