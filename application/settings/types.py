"""What a configured value may be: how its text is read, bounded and shown (platform.md 11).

Every kind reads text into one typed value and raises ValueError with a reason that never repeats the text,
so that a reason may be printed for a secret too.
"""

import base64
import binascii
import re
from datetime import timedelta
from pathlib import Path
from typing import Protocol, TypeVar

import attrs

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_SIZES = {"": 1, "KiB": 1024, "MiB": 1024**2}
_WINDOWS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_TRUTH = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}

_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s?([smhd]?)", re.ASCII)
_SIZE = re.compile(r"(\d{1,15})\s?(KiB|MiB)?", re.ASCII)
_WINDOW = re.compile(r"(\d{1,9})\s?/\s?(?:(\d{1,5})\s?)?(second|minute|hour|day)s?", re.ASCII)

Value = TypeVar("Value")


class Kind(Protocol[Value]):
    """One type of the configuration table."""

    @property
    def label(self) -> str:
        """Name of the type, as the reference table prints it."""

    @property
    def bounds(self) -> str:
        """The bounds in words, or an empty string."""

    def parse(self, text: str) -> Value:
        """Read `text`; raises ValueError with a reason free of the text."""

    def show(self, value: Value) -> str:
        """Write a value the way it may be configured."""


@attrs.frozen
class Window:
    """At most `quota` within `seconds`."""

    quota: int
    seconds: int


@attrs.frozen
class Integer:
    low: int
    high: int
    label: str = "int"

    @property
    def bounds(self) -> str:
        return f"{self.low:,}–{self.high:,}"

    def parse(self, text: str) -> int:
        if not _NUMBER.fullmatch(text):
            raise ValueError("is not a whole number")
        return _within(int(text), self.low, self.high, self.bounds)

    def show(self, value: int) -> str:
        return str(value)


@attrs.frozen
class Duration:
    """Seconds, or a number with `s`, `m`, `h` or `d`; bounds in seconds."""

    low: float
    high: float
    label: str = "dur"

    @property
    def bounds(self) -> str:
        return f"{_duration_text(self.low)}–{_duration_text(self.high)}"

    def parse(self, text: str) -> timedelta:
        match = _DURATION.fullmatch(text)
        if match is None:
            raise ValueError("is not a duration such as 90s, 15m, 12h or 30d")
        seconds = float(match[1]) * _UNITS[match[2]]
        return timedelta(seconds=_within(seconds, self.low, self.high, self.bounds))

    def show(self, value: timedelta) -> str:
        return _duration_text(value.total_seconds())


@attrs.frozen
class Size:
    """Bytes, or a number with `KiB` or `MiB`."""

    low: int
    high: int
    label: str = "size"

    @property
    def bounds(self) -> str:
        return f"{_size_text(self.low)}–{_size_text(self.high)}"

    def parse(self, text: str) -> int:
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ValueError("is not a size in bytes, KiB or MiB")
        return _within(int(match[1]) * _SIZES[match[2] or ""], self.low, self.high, self.bounds)

    def show(self, value: int) -> str:
        return _size_text(value)


@attrs.frozen
class Boolean:
    label: str = "bool"
    bounds: str = ""

    def parse(self, text: str) -> bool:
        if text.lower() not in _TRUTH:
            raise ValueError("is not one of true, false, 1, 0, yes, no, on, off")
        return _TRUTH[text.lower()]

    def show(self, value: bool) -> str:
        return "true" if value else "false"


@attrs.frozen
class Choice:
    options: tuple[str, ...]
    label: str = "enum"

    @property
    def bounds(self) -> str:
        return " ".join(f"`{option}`" for option in self.options)

    def parse(self, text: str) -> str:
        if text.lower() not in self.options:
            raise ValueError(f"is not one of {', '.join(self.options)}")
        return text.lower()

    def show(self, value: str) -> str:
        return value


@attrs.frozen
class Line:
    """Printable text of one line, or what `pattern` allows."""

    longest: int
    pattern: str = ""
    label: str = "line"

    @property
    def bounds(self) -> str:
        return f"`{self.pattern}` 1–{self.longest}" if self.pattern else f"1–{self.longest} characters"

    def parse(self, text: str) -> str:
        if not 1 <= len(text) <= self.longest:
            raise ValueError(f"is not 1–{self.longest} characters long")
        if self.pattern and not re.fullmatch(f"{self.pattern}+", text, re.ASCII):
            raise ValueError(f"has characters outside {self.pattern}")
        if not text.isprintable():
            raise ValueError("has characters that cannot be printed")
        return text

    def show(self, value: str) -> str:
        return value


@attrs.frozen
class Key:
    """A secret of at least `shortest` bytes of UTF-8."""

    shortest: int
    label: str = "secret"

    @property
    def bounds(self) -> str:
        return f"≥ {self.shortest} bytes"

    def parse(self, text: str) -> bytes:
        key = text.encode("utf-8", "surrogateescape")
        if len(key) < self.shortest:
            raise ValueError(f"is shorter than {self.shortest} bytes")
        return key

    def show(self, value: bytes) -> str:
        return "[set]"


@attrs.frozen
class EncodedKey:
    """A key of exactly `length` bytes, written in base64."""

    length: int
    label: str = "secret"

    @property
    def bounds(self) -> str:
        return f"{self.length} bytes, base64"

    def parse(self, text: str) -> bytes:
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("is not base64") from None
        if len(key) != self.length:
            raise ValueError(f"does not hold {self.length} bytes")
        return key

    def show(self, value: bytes) -> str:
        return "[set]"


@attrs.frozen
class Directory:
    label: str = "path"
    bounds: str = ""

    def parse(self, text: str) -> Path:
        if "\0" in text:
            raise ValueError("holds a NUL character")
        return Path(text).expanduser()

    def show(self, value: Path) -> str:
        return str(value)


@attrs.frozen
class Limit:
    """`N/second|minute|hour|day`, several joined with `;`, or `off` (platform.md 5.2).

    A number may stand before the unit, as in `10/15 minutes`. Read as windows, smallest first; `off` is none.
    """

    label: str = "limit"
    bounds: str = "`N/second`, `minute`, `hour` or `day`, joined with `;`, or `off`"

    def parse(self, text: str) -> tuple[Window, ...]:
        if text.lower() == "off":
            return ()
        windows = sorted(map(_window, text.split(";")), key=lambda window: window.seconds)
        if len({window.seconds for window in windows}) < len(windows):
            raise ValueError("names one window twice")
        return tuple(windows)

    def show(self, value: tuple[Window, ...]) -> str:
        return ";".join(map(_window_text, value)) or "off"


Number = TypeVar("Number", int, float)


def _within(number: Number, low: Number, high: Number, bounds: str) -> Number:
    if not low <= number <= high:
        raise ValueError(f"is outside {bounds}")
    return number


def _duration_text(seconds: float) -> str:
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def _size_text(size: int) -> str:
    for unit in ("MiB", "KiB"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]} {unit}"
    return str(size)


def _window(text: str) -> Window:
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not a limit such as 300/minute, 10/15 minutes;100/day, or off")
    quota, seconds = int(match[1]), int(match[2] or 1) * _WINDOWS[match[3]]
    if not quota or not seconds:
        raise ValueError("has a limit of nothing; use off to lift it")
    return Window(quota, seconds)


def _window_text(window: Window) -> str:
    for name, seconds in reversed(_WINDOWS.items()):
        if window.seconds % seconds == 0:
            count = window.seconds // seconds
            return f"{window.quota}/{name}" if count == 1 else f"{window.quota}/{count} {name}s"
    raise AssertionError("every window is a number of seconds")
