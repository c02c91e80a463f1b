"""Values that are right alone and wrong together (platform.md 11)."""

from collections.abc import Callable
from typing import Any, Protocol

import attrs


class Values(Protocol):
    """Values by name of their variable, automatic ones resolved; None where nothing is set."""

    def __getitem__(self, name: str) -> Any: ...


@attrs.frozen
class Rule:
    """What must not be; blames the first of the variables it looks at, and is left out when one of them is faulty."""

    names: tuple[str, ...]
    broken: Callable[[Values], bool]
    reason: str


def _without_redis(name: str, value: object) -> Rule:
    return Rule(
        (name, "REDIS_URL"), lambda values: values[name] == value and not values["REDIS_URL"], "needs REDIS_URL"
    )


RULES = (
    Rule(
        ("DEFARM_WORKERS", "DEFARM_STORAGE"),
        lambda values: values["DEFARM_WORKERS"] > 1 and values["DEFARM_STORAGE"] in ("memory", "write_through"),
        "must be 1 with DEFARM_STORAGE memory or write_through, which live in one process",
    ),
    Rule(
        ("DEFARM_DB_POOL_MAX", "DEFARM_DB_POOL_MIN"),
        lambda values: values["DEFARM_DB_POOL_MAX"] < values["DEFARM_DB_POOL_MIN"],
        "is below DEFARM_DB_POOL_MIN",
    ),
    _without_redis("USE_REDIS_CACHE", True),
    _without_redis("DEFARM_LIMITER", "redis"),
    _without_redis("DEFARM_BUS", "redis"),
    Rule(
        ("DEFARM_STORAGE", "USE_REDIS_CACHE", "REDIS_URL"),
        lambda values: values["DEFARM_STORAGE"] == "redis_cached" and not values["USE_REDIS_CACHE"],
        "needs REDIS_URL, and USE_REDIS_CACHE not to be off",
    ),
    Rule(
        ("DEFARM_BUS", "DEFARM_STORAGE"),
        lambda values: values["DEFARM_BUS"] == "postgres" and values["DEFARM_STORAGE"] == "memory",
        "needs a PostgreSQL, which DEFARM_STORAGE memory does not have",
    ),
    Rule(
        ("DEFARM_WRITE_BEHIND", "DEFARM_STORAGE"),
        lambda values: values["DEFARM_WRITE_BEHIND"] and values["DEFARM_STORAGE"] != "write_through",
        "needs DEFARM_STORAGE write_through",
    ),
    Rule(
        ("JWT_SECRET", "DATABASE_URL", "DEFARM_STORAGE"),
        lambda values: values["DATABASE_URL"] and not values["JWT_SECRET"] and values["DEFARM_STORAGE"] != "memory",
        "is required with DATABASE_URL",
    ),
)
