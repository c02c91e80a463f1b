"""What a serving process loads, and what it leaves out: its memory and its start are mostly modules."""

import ctypes
import gc
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from importlib.util import LazyLoader, find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

LEFT_OUT: Final = frozenset(
    {
        # Found by this, the library of tokens loads five more algorithms; ours are signed by HMAC.
        "cryptography.hazmat.backends",
        # With the extra `tracing` installed, the Redis client makes itself ready to be measured by it.
        "opentelemetry.sdk.metrics",
        "fastapi", "flask", "pydantic", "pydantic_settings", "pygments", "rich", "starlette", "werkzeug",
    }
)  # fmt: skip
"""What libraries of the engine load for their own extras wherever they find it: 20 MB."""

LATE: Final = frozenset({"application.imports.structure", "application.invariants", "idna", "logging.config", "pydoc"})
"""Modules that are imported for what a server hardly ever does: loaded when they are first used, 4 MB."""

HOLLOW: Final[Mapping[str, Mapping[str, str]]] = {
    "html": {},
    "jwt": {
        "InvalidAlgorithmError": "jwt.exceptions",
        "InvalidSignatureError": "jwt.exceptions",
        "PyJWTError": "jwt.exceptions",
        "decode": "jwt.api_jwt",
        "encode": "jwt.api_jwt",
    },
    "limits.aio.storage": {
        "MemoryStorage": "limits.aio.storage.memory",
        "MovingWindowSupport": "limits.aio.storage.base",
        "RedisStorage": "limits.aio.storage.redis",
        "SlidingWindowCounterSupport": "limits.aio.storage.base",
        "Storage": "limits.aio.storage.base",
    },
    "pdb": {},
    "redis": {"RedisError": "redis.exceptions"},
    "redis.asyncio": {"Redis": "redis.asyncio.client"},
    "structlog": {
        "DropEvent": "structlog.exceptions",
        "configure": "structlog._config",
        "get_logger": "structlog._config",
        "make_filtering_bound_logger": "structlog._native",
    },
    "uvicorn": {},
}
"""What a server uses some modules of, or nothing, while it would import all, down to command lines. What else is asked
of one lies in the module that is named, or else its own code runs after all."""

_OBJECTS: Final = 20_000
_SERVED: Final = 3_000
"""Objects after which garbage is looked for while serving. Requests leave hardly any, but a few dozen of them at once
are more than the 700 of Python, with which the slowest writes took ten times as long (docs/performance.md)."""
_MAPPINGS: Final = Path("/proc/self/smaps")
_MADV_DONTNEED: Final = 4
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE: Final = 1 << 20
_SPARE: Final = 4 << 20


class _Chosen(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in LEFT_OUT:
            raise ModuleNotFoundError(f"{fullname} is of no use to a server", name=fullname)
        if fullname not in LATE and fullname not in HOLLOW:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader) if fullname in LATE else _Unfilled(spec.loader)
        return spec


class _Unfilled(Loader):
    """Makes a module without running its code."""

    def __init__(self, loader: Loader) -> None:
        self.whole = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Hollow(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        return


class _Hollow(ModuleType):
    """A module, or a package whose modules can be imported; its own code runs when more is asked of it."""

    def __getattr__(self, name: str) -> Any:
        package = self.__name__
        if name == "__version__":
            return version(package)
        if name in HOLLOW[package]:
            found = getattr(import_module(HOLLOW[package][name]), name)
            setattr(self, name, found)
            return found
        if name.startswith("__"):
            raise AttributeError(name)
        if "__path__" in vars(self) and find_spec(f"{package}.{name}"):
            return import_module(f"{package}.{name}")
        self.__class__ = ModuleType  # type: ignore[assignment]
        self.__loader__.whole.exec_module(self)  # type: ignore[union-attr]
        return getattr(self, name)


@contextmanager
def lean() -> Iterator[Callable[[], None]]:
    """Serve in this block, in which LEFT_OUT is not there; yields what to call when everything is loaded.

    Until then garbage is looked for rarely; never would raise the memory that the process keeps. What is loaded stays
    to the end, is never looked at again, and the source of methods made by attrs, which serves tracebacks only, goes.
    """
    _give_back_what_is_large()
    chosen, thresholds = _Chosen(), gc.get_threshold()
    sys.meta_path.insert(0, chosen)
    gc.set_threshold(_OBJECTS)
    gc.callbacks.append(_freeze)

    def settle() -> None:
        linecache.clearcache()
        gc.freeze()
        restore()
        gc.set_threshold(_SERVED)

    def restore() -> None:
        gc.set_threshold(*thresholds)
        with suppress(ValueError):
            gc.callbacks.remove(_freeze)

    try:
        yield settle
    finally:
        restore()
        sys.meta_path.remove(chosen)


def _freeze(phase: str, _: dict[str, int]) -> None:
    """Let what a search for garbage has left be searched no more: it is there to stay."""
    if phase == "stop":
        gc.freeze()


def _give_back_what_is_large() -> None:
    """Let the C library return 1 MB and more as soon as it is free; it would keep as much as it has seen at once.

    One sign-in would leave 19 MB behind. Other C libraries than that of GNU do not keep it.
    """
    with suppress(AttributeError):
        choose = ctypes.CDLL(None).mallopt
        choose(_M_MMAP_THRESHOLD, _LARGE)
        choose(_M_ARENA_MAX, 2)


class _Heap(ctypes.Structure):
    """`struct mallinfo2`."""

    _fields_ = [("others", ctypes.c_size_t * 8), ("free", ctypes.c_size_t), ("at_the_top", ctypes.c_size_t)]


class Spare:
    """Memory that the C library holds free between what is in use, and gives back only when it is told to.

    A bulk write leaves 25 MB of it. Other C libraries than that of GNU are left alone.
    """

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._look = getattr(library, "mallinfo2", None)
        self._trim = getattr(library, "malloc_trim", None)
        if self._look is not None:
            self._look.restype = _Heap
        self._least = 0

    def give_back(self) -> None:
        """Give it back when 4 MB have become free since the last time, which takes 10 to 25 ms after a large one."""
        if self._look is None or self._trim is None:
            return
        free = self._look().free
        self._least = min(self._least, free)
        if free - self._least > _SPARE:
            self._trim(0)
            self._least = free


def let_go_of_files() -> None:
    """Give back the memory of program files that only the start has looked at: half of their 35 MB.

    Whoever needs such a page again finds it in the cache of the system. On other systems than Linux nothing is done.
    """
    if not _MAPPINGS.exists():
        return
    advise = ctypes.CDLL(None).madvise
    for start, end in _unchanged(_MAPPINGS.read_text().splitlines()):
        advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def _unchanged(lines: list[str]) -> Iterator[tuple[int, int]]:
    """Yield where files lie that cannot be written to, and of which no page was: not even by the loader."""
    place, readable = (0, 0), False
    for line in lines:
        name, *rest = line.split()
        if not name.endswith(":"):
            first, _, last = name.partition("-")
            place, readable = (int(first, 16), int(last, 16)), rest[0][:2] == "r-" and rest[-1].startswith("/")
        elif name == "Anonymous:" and readable and rest[0] == "0":
            yield place
