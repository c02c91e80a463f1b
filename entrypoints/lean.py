"""What a serving process loads, and what it leaves out: its memory and its start are mostly modules."""

import gc
import linecache
import sys
from collections.abc import Iterator
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
def lean() -> Iterator[None]:
    """Serve in this block: LEFT_OUT is not there, and the garbage of imports is looked for rarely.

    Never would raise the memory that the process keeps; see `settle` for when all is there.
    """
    absent, thresholds = _Absent(), gc.get_threshold()
    sys.meta_path.insert(0, absent)
    gc.set_threshold(*_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        sys.meta_path.remove(absent)


def settle() -> None:
    """Take what is loaded now as what stays to the end.

    It is never looked at for garbage again, and the source of the methods that attrs has made, which serves tracebacks
    only, is forgotten.
    """
    linecache.clearcache()
    gc.collect()
    gc.freeze()
