"""What must be committed together with the result of a unit, without the use case knowing it (http.md 9)."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from domain.ports.storage import Unit

completion: ContextVar[Callable[[Unit, Any], Awaitable[None]] | None] = ContextVar("completion", default=None)
renewal: ContextVar[Callable[[Unit], Awaitable[None]] | None] = ContextVar("renewal", default=None)


async def complete(unit: Unit, result: Any) -> None:
    """Run the completion that the caller of this request has set, inside the unit of the effect."""
    step = completion.get()
    if step is not None:
        await step(unit, result)


@contextmanager
def parts() -> Iterator[None]:
    """Units opened within are parts of a longer effect, as of an import: they renew its lease and complete nothing.

    Use it as well around a unit that records something other than the effect the caller asked for.
    """
    step = renewal.get()

    async def renew(unit: Unit, _: Any) -> None:
        if step is not None:
            await step(unit)

    token = completion.set(renew)
    try:
        yield
    finally:
        completion.reset(token)
