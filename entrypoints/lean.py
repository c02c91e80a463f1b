"""What a serving process loads, and what it leaves out: its memory and its start are mostly modules."""

import gc
import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import Final

LEFT_OUT: Final = frozenset(
    {"fastapi", "flask", "pydantic", "pydantic_settings", "pygments", "rich", "starlette", "werkzeug"}
)
"""Packages that libraries of the engine load for their own extras wherever they find them: 20 MB of them."""

_OBJECTS: Final = (20_000, 5, 5)


class _Absent(MetaPathFinder):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname in LEFT_OUT:
            raise ModuleNotFoundError(f"{fullname} is of no use to a server", name=fullname)


@contextmanager
def lean() -> Iterator[Callable[[], None]]:
    """Serve in this block, in which LEFT_OUT is not there; yields what to call when everything is loaded.

    Until then garbage is looked for rarely; never would raise the memory that the process keeps. What is loaded stays
    to the end, is never looked at again, and the source of methods made by attrs, which serves tracebacks only, goes.
    """
    absent, thresholds = _Absent(), gc.get_threshold()
    sys.meta_path.insert(0, absent)
    gc.set_threshold(*_OBJECTS)

    def settle() -> None:
        linecache.clearcache()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*thresholds)

    try:
        yield settle
    finally:
        gc.set_threshold(*thresholds)
        sys.meta_path.remove(absent)
