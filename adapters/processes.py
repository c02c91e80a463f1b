"""Which process this is, and whether another one of this machine is gone."""

import os
import platform
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_ENDED: Final = {"Z", "X"}


def this_process() -> str:
    """Return what names this process among all that this machine ever ran; empty where the system does not tell."""
    try:
        return f"{_machine()} {os.getpid()} {_begun(os.getpid())[1]}"
    except OSError:
        return ""


def is_gone(name: str) -> bool:
    """Tell whether a process named by `this_process` has certainly ended: it ran on this machine and does no more."""
    machine, _, process = name.partition(" ")
    try:
        if not machine or machine != _machine():
            return False
        pid, begun = map(int, process.split())
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    except OSError:
        return False
    try:
        state, since = _begun(pid)
    except OSError:
        return False
    return state in _ENDED or since != begun


def _machine() -> str:
    """Return what no two machines share, nor two lives or two containers of one, without spaces."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{platform.node()}/{boot}/{(_PROC / 'self/ns/pid').readlink()}"


def _begun(pid: int) -> tuple[str, int]:
    """Return the state of a process, and at which tick it began."""
    # The name of the program, in brackets, may hold anything.
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[19])
