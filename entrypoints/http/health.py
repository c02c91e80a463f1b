"""Whether the process lives, serves, and reaches its store (platform.md 10.1)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal

import attrs

from domain.instants import wire
from domain.ports.clock import Clock
from domain.ports.errors import StorageError

Phase = Literal["starting", "ready", "draining"]
PING_SECONDS: Final = 1.0
SHARED_SECONDS: Final = 1.0


@attrs.frozen
class StoreState:
    """What the store answered: the schema it has and the one the code expects."""

    applied: int
    expected: int


@attrs.define
class Health:
    """The state of this instance. `phase`, `closing` and `read_only` are set by whoever starts and stops it; an
    instance that drains serves on until it is `closing`.

    `ask_store` really asks the store and raises StorageError; `checks` reports cache, bus, limiter and workers as
    `up`, `degraded`, `off` or `down`. `mode` is the storage mode.
    """

    version: str
    instance_id: str
    started_at: datetime
    mode: str
    clock: Clock
    ask_store: Callable[[], Awaitable[StoreState]]
    checks: Callable[[], Mapping[str, str]] = dict
    phase: Phase = "starting"
    closing: bool = False
    read_only: bool = False
    in_flight: int = 0
    _asked: tuple[float, dict[str, Any]] | None = None
    _asking: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def alive(self) -> dict[str, Any]:
        """Return the body of `/health`."""
        return {
            "status": "alive",
            "version": self.version,
            "instance_id": self.instance_id,
            "started_at": wire(self.started_at),
        }

    async def database(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the store answers, and the body of `/health/db`. Answers are shared for a second."""
        if self.phase == "starting":
            return False, self._down("starting")
        async with self._asking:
            if self._asked is None or time.monotonic() - self._asked[0] > SHARED_SECONDS:
                found = await self._ask()
                self._asked = (time.monotonic(), found)
            found = self._asked[1]
        return found["status"] == "up", found

    async def _ask(self) -> dict[str, Any]:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(PING_SECONDS):
                state = await self.ask_store()
        except TimeoutError:
            return self._down("timeout")
        except StorageError:
            return self._down("unreachable")
        except OSError:
            return self._down("refused")
        return {
            "status": "up",
            "mode": self.mode,
            "latency_ms": round((time.perf_counter() - begun) * 1000, 3),
            "schema": {"applied": state.applied, "expected": state.expected},
            "checked_at": wire(self.clock.now()),
        }

    def _down(self, reason: str) -> dict[str, Any]:
        return {"status": "down", "mode": self.mode, "reason": reason, "checked_at": wire(self.clock.now())}

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the instance should be sent requests, and the body of `/health/ready`."""
        up, store = await self.database()
        schema = store.get("schema")
        behind = schema is not None and schema["applied"] != schema["expected"]
        checks = {
            "store": "up" if up else "down",
            "migrations": "unknown" if schema is None else "mismatch" if behind else "current",
            "cache": "off",
            "bus": "off",
            "limiter": "off",
            "workers": "off",
            **self.checks(),
        }
        fine = self.phase == "ready" and checks["store"] == "up" and checks["migrations"] == "current"
        return fine, {"status": "ready" if fine else "not_ready", "phase": self.phase, "checks": checks}
