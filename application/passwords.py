"""Passwords: argon2id beside the event loop, and what may be chosen (platform.md 1.3)."""

import asyncio
import contextlib
import functools
import os
import sys
import threading
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from domain.errors import Fault, Refusal

LONGEST = 256
NICENESS = 5
"""How much less than others threads that hash may take of a processor. Much more would keep them where they hold
what others wait for."""

_COMMON = Path(__file__).with_name("common_passwords.txt")

Result = TypeVar("Result")


class Verdict(NamedTuple):
    """Whether the password is right, and whether its hash was made with other parameters than today's."""

    ok: bool
    needs_rehash: bool


class Passwords:
    """Hashes and verifies in a thread pool of its own: `workers` at once, at most `queue` waiting.

    A call beyond that is refused at once with `overloaded`, so that a burst of logins neither grows memory nor
    delays anything else. Building one computes the decoy hash. `observe` is told the seconds of every hash, from
    the thread that computed it.
    """

    def __init__(
        self,
        *,
        workers: int,
        queue: int,
        time_cost: int = 2,
        memory_kib: int = 19_456,
        parallelism: int = 1,
        observe: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._argon2 = PasswordHasher(time_cost, memory_kib, parallelism)
        self._decoy = self._argon2.hash("nobody's password")
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="password", initializer=_give_way)
        self._workers = workers
        self._places = workers + queue
        self._taken = 0
        self._lock = threading.Lock()
        self.observe = observe

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread."""
        return max(0, self._taken - self._workers)

    async def hash(self, password: str) -> str:
        """Return a new encoded hash. Raises Refusal `overloaded` when the queue is full."""
        return await self._run(functools.partial(self._argon2.hash, _bytes(password)))

    async def verify(self, encoded: str | None, password: str) -> Verdict:
        """Say whether `password` is the one behind `encoded`; with None a decoy costs the same and is never right.

        Raises Refusal `overloaded` when the queue is full; argon2's InvalidHashError or VerificationError when
        `encoded` is corrupt.
        """
        right = await self._run(functools.partial(self._matches, encoded or self._decoy, _bytes(password)))
        if encoded is None or not right:
            return Verdict(False, False)
        return Verdict(True, self._argon2.check_needs_rehash(encoded))

    def close(self) -> None:
        """Stop the threads; what still waits is cancelled."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _matches(self, encoded: str, password: bytes) -> bool:
        try:
            return self._argon2.verify(encoded, password)
        except VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], Result]) -> Result:
        with self._lock:
            if self._taken >= self._places:
                raise Refusal("overloaded", "Too many passwords wait to be checked.", retry_after_seconds=1)
            self._taken += 1
        try:
            future = self._pool.submit(self._timed, work)
        except RuntimeError:
            self._leave()
            raise
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, future: Future[Result] | None = None) -> None:
        """Give the place back when the thread is done, not when the caller went away: it bounds the threads."""
        with self._lock:
            self._taken -= 1

    def _timed(self, work: Callable[[], Result]) -> Result:
        start = time.perf_counter()
        try:
            return work()
        finally:
            self.observe(time.perf_counter() - start)


def password_faults(
    password: str, *, username: str = "", email: str = "", shortest: int = 10, pointer: str = "/password"
) -> tuple[Fault, ...]:
    """Return what the policy has against a password; nothing when it may be used.

    Codes: `too_short`, `too_long` (code points after NFC), `password_is_name`, `password_common`.
    """
    length = len(unicodedata.normalize("NFC", password))
    if length < shortest:
        return (Fault("too_short", f"A password has at least {shortest} characters.", pointer),)
    if length > LONGEST:
        return (Fault("too_long", f"A password has at most {LONGEST} characters.", pointer),)
    names = {_folded(name) for name in (username, email, email.partition("@")[0]) if name}
    if _folded(password) in names:
        return (Fault("password_is_name", "A password is not the user name or the e-mail.", pointer),)
    if _folded(password) in _common_passwords():
        return (Fault("password_common", "This password is among the first that are tried.", pointer),)
    return ()


def same_password(one: str, other: str) -> bool:
    """Tell whether two texts are one password, however a keyboard composed their letters."""
    return _bytes(one) == _bytes(other)


@functools.cache
def _common_passwords() -> frozenset[str]:
    lines = _COMMON.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("# "))


def _give_way() -> None:
    """Let everything else on the machine go before this thread: whoever signs in waits, whoever reads does not."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _bytes(password: str) -> bytes:
    """One password has one encoding, however a keyboard composes its letters."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
