"""What must be committed together with the result of a unit, without the use case knowing it (http.md 9)."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from domain.ports.storage import Unit

completion: ContextVar[Callable[[Unit, Any], Awaitable[None]] | None] = ContextVar("completion", default=None)


async def complete(unit: Unit, result: Any) -> None:
    """Run the completion that the caller of this request has set, inside the unit of the effect."""
    step = completion.get()
    if step is not None:
        await step(unit, result)
