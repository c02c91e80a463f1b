"""What a check of `defarm doctor` yields (platform.md 13.4)."""

from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


Found = tuple[Level, str, str]
"""A level, one sentence, and what to do about it."""
