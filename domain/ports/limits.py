"""The rate-limiter port (platform.md 5.1)."""

from collections.abc import Callable, Mapping
from typing import Protocol

import attrs


@attrs.frozen
class Window:
    """At most `quota` within `seconds`."""

    quota: int
    seconds: int


@attrs.frozen
class Policy:
    """Windows that all must hold, none for a policy that is off. `exact` ones count every single hit's instant."""

    windows: tuple[Window, ...]
    exact: bool = False


Policies = Mapping[str, Policy]


@attrs.frozen(slots=False)
class Verdict:
    """What a limiter says about one policy and key: of its windows the refusing one, else that with the least left."""

    allowed: bool
    policy: str
    quota: int
    window_seconds: int
    remaining: int
    reset_seconds: int
    retry_after_seconds: int

    def after(self, remaining: int) -> "Verdict":
        """Return the same verdict with so many hits left."""
        return Verdict(
            self.allowed,
            self.policy,
            self.quota,
            self.window_seconds,
            remaining,
            self.reset_seconds,
            self.retry_after_seconds,
        )


class RateLimiter(Protocol):
    """Counts hits by policy and key. Answers None for a policy that is off; never raises for want of its store."""

    @property
    def degraded(self) -> bool:
        """Whether hits are counted per instance because the shared store is out of reach."""
        ...

    def listen(self, refused: Callable[[str], None]) -> None:
        """Let `refused` hear of every policy that is found used up."""
        ...

    async def hit(
        self, policy: str, key: str, cost: int = 1, windows: tuple[Window, ...] | None = None
    ) -> Verdict | None:
        """Charge every window of a policy, smallest first; the first refusal decides, later ones are not charged.

        `windows` stand instead of the policy's, as those that an API key has of its own.
        """
        ...

    async def peek(self, policy: str, key: str) -> Verdict | None:
        """Say what a hit of cost 1 would be answered, without charging."""
        ...

    async def clear(self, policy: str, key: str) -> None:
        """Forget what was counted."""
        ...

    async def aclose(self) -> None:
        """Let go of every connection."""
        ...
