"""Several processes on one socket, kept at their number (platform.md 11, DEFARM_WORKERS)."""

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn

import attrs

PERMANENT: Final = frozenset({2, 3, 4})
"""Exit codes after which another try would end the same."""
SHORTEST_LIFE: Final = 1.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG: Final = 1

Serve = Callable[[int], int]


def fork(count: int, serve: Serve, mourn: Callable[[int], None] = lambda pid: None) -> int:
    """Run `serve(1)` to `serve(count)` in processes of their own until a signal, and return the worst exit code.

    A process that dies is replaced, and `mourn` is told its id; one that cannot start ends all. Must be
    called before there is any thread.
    """
    return _Family(count, serve, mourn).live()


@attrs.define
class _Family:
    count: int
    serve: Serve
    mourn: Callable[[int], None]
    members: dict[int, int] = attrs.field(factory=dict)
    ending: bool = False
    code: int = 0

    def live(self) -> int:
        for each in _SIGNALS:
            signal.signal(each, self._on_signal)
        for number in range(1, self.count + 1):
            self._bear(number)
        while self.members:
            pid, status = os.wait()
            if pid in self.members:
                self.mourn(pid)
                self._mourn(self.members.pop(pid), os.waitstatus_to_exitcode(status))
        return self.code

    def _bear(self, number: int) -> None:
        parent = os.getpid()
        # No signal between the fork and the moment both sides know what to do with it.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if not pid:
            self._run(number, parent)
        self.members[pid] = number
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _run(self, number: int, parent: int) -> NoReturn:
        code = 1
        try:
            # A group of its own: Ctrl-C reaches the parent alone, which passes it on once.
            os.setpgid(0, 0)
            _die_with(parent)
            for each in _SIGNALS:
                signal.signal(each, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            code = self.serve(number)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _mourn(self, number: int, code: int) -> None:
        if self.ending:
            self.code = max(self.code, _judged(code))
        elif code in PERMANENT:
            self.code = code
            self._end(signal.SIGTERM)
        else:
            time.sleep(SHORTEST_LIFE)
            self._bear(number)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._end(signal.Signals(number))

    def _end(self, number: signal.Signals) -> None:
        self.ending = True
        for pid in self.members:
            os.kill(pid, number)


def _judged(code: int) -> int:
    """Return what an exit code amounts to while all are told to end: a signal met too early is no fault."""
    if code >= 0:
        return code
    return 0 if -code in _SIGNALS else 1


def _die_with(parent: int) -> None:
    """Be told to end when the parent is killed, where the system can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:
        os._exit(1)
