"""One line per record, on stdout, without secrets (platform.md 10.3)."""

import contextlib
import logging
import re
import sys
import time
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TextIO

import attrs
import msgspec
import structlog
from structlog.typing import Processor

from entrypoints.http.exchange import add_request

REDACTED: Final = "[redacted]"
REPEAT_SECONDS: Final = 60.0
MOST_CAUSES: Final = 1000
"""Causes of warnings that are told apart at a time."""

Event = MutableMapping[str, Any]

_NAMES: Final = re.compile(
    r"(?:.*_)?(?:password|token|secret)|authorization|x[-_]api[-_]key|ticket|cookie|set-cookie|dsn|jwt_secret"
    r"|(?:.*_)?secret_key(?:_previous)?",
    re.IGNORECASE,
)
_SHAPES: Final = re.compile(
    r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"  # a JWT
    r"|\bdf[a-z]_[0-9A-Za-z]{8,}"  # an opaque secret, whole or cut
)
_USER_INFO: Final = re.compile(r"(?<=://)[^/\s@]*(?=@)|(?<=://)[^\s@]*:[^\s@]*(?=@)")
_SUSPECT: Final = re.compile(r"eyJ|df[a-z]_|://|[Pp][Aa][Ss][Ss][Ww]")
_PASSWORD_PAIR: Final = re.compile(r"(?i)\b(password|passwd)=('[^']*'|[^\s&]+)")


def configure(level: str, style: str, *, instance_id: str, version: str, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging for the process.

    `level` is the least one written, `style` is `json` or `console`.
    """
    target = stream or sys.stdout
    constant = {"instance_id": instance_id, "version": version}

    def stamped(logger: Any, method: str, event: Event) -> Event:
        """Add everything that each record says; one processor for all of it, because it runs for every request."""
        record = event.get("_record")
        add_request(logger, method, event)
        event["logger"] = logger.name if record is None else record.name
        event["level"] = _WORDS.get(method, method)
        event.update(constant)
        event["ts"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return event

    shared: list[Processor] = [stamped, OncePerMinute()]
    last: list[Processor] = [structlog.processors.format_exc_info, redact, _renderer(style, target)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *names: Lines(target, *names),
        cache_logger_on_first_use=stream is None,
    )
    _standard_library(_LEVELS[level], target, shared, last)


_WORDS: Final = {"warn": "warning", "exception": "error"}
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Lines:
    """Writes whole lines to a stream, without the detour over the standard library."""

    def __init__(self, stream: TextIO, name: str = "") -> None:
        self.name = name
        self._stream = stream

    def msg(self, text: str) -> None:
        """Write one line. A stream that nobody reads any more loses it, and nothing else."""
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except BrokenPipeError:
            return

    debug = info = warning = error = critical = msg


class _Handler(logging.StreamHandler[TextIO]):
    """Lets processors drop records of the standard library too, without its caller noticing."""

    def emit(self, record: logging.LogRecord) -> None:
        # A dropped record is no Exception: it would pass the caller's own handlers and end its task.
        with contextlib.suppress(structlog.DropEvent):
            super().emit(record)


def _standard_library(level: int, target: TextIO, shared: list[Processor], last: list[Processor]) -> None:
    handler = _Handler(target)
    meta: Processor = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[meta, *last]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # The kernel writes its own record of every request; these repeat it or speak of sockets.
    for name in ("uvicorn.access", "uvicorn.error", "asyncio", "psycopg.pool"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _renderer(style: str, target: TextIO) -> Processor:
    if style == "console":
        return structlog.dev.ConsoleRenderer(
            colors=target.isatty(), timestamp_key="ts", exception_formatter=structlog.dev.plain_traceback
        )
    return _json


_encoder = msgspec.json.Encoder(enc_hook=str)


def _json(_: Any, __: str, event: Event) -> str:
    return _encoder.encode(event).decode()


class OncePerMinute:
    """Let one warning of a cause pass per minute, and tell how many more there were once the minute is over.

    A cause is what is written of it in the code, and the `reason` of a record: not the figures in its text. The count
    stands in `repeated` of the next warning of that cause, else in a record of its own beside whatever is logged next.
    """

    def __init__(self, seconds: float = REPEAT_SECONDS) -> None:
        self._seconds = seconds
        self._passed: dict[_Cause, _Passed] = {}
        self._looked = 0.0

    def __call__(self, _: Any, __: str, event: Event) -> Event:
        now = time.monotonic()
        passed = self._admit(event, now) if event.get("level") == "warning" else event
        if now - self._looked >= self._seconds / 10:
            self._looked = now
            self._tell(now)
        if passed is None:
            raise structlog.DropEvent
        return passed

    def _admit(self, event: Event, now: float) -> Event | None:
        """Return a warning with the count of those before it, None when one of its cause was just told."""
        cause = _cause(event)
        known = self._passed.get(cause)
        if known is not None and now - known.at < self._seconds:
            known.held += 1
            return None
        if len(self._passed) >= MOST_CAUSES:
            del self._passed[next(iter(self._passed))]
        self._passed[cause] = _Passed(now, str(event.get("event")))
        if known is not None and known.held:
            event["repeated"] = known.held
        return event

    def _tell(self, now: float) -> None:
        """Forget the causes of more than a minute ago, and tell how often they were held back."""
        over = [cause for cause, passed in self._passed.items() if now - passed.at >= self._seconds]
        for cause, passed in [(cause, self._passed.pop(cause)) for cause in over]:
            if passed.held:
                why = {"reason": cause[2]} if cause[2] else {}
                structlog.get_logger(cause[0]).warning(passed.told, **why, repeated=passed.held)


_Cause = tuple[str, str, str]
"""Logger, text in the code, reason."""


@attrs.define
class _Passed:
    """When a warning was told last, in which words, and how many were held back since."""

    at: float
    told: str
    held: int = 0


def _cause(event: Event) -> _Cause:
    record = event.get("_record")
    text = event.get("event") if record is None else record.msg
    return str(event.get("logger", "")), str(text), str(event.get("reason") or "")


def redact(_: Any, __: str, event: Event) -> Event:
    """Take secrets out of a record, by the name of a member and by the shape of a text; a structlog processor.

    Changes the record itself, and only where there is something to take out: it runs for every request.
    """
    for name, value in event.items():
        if value is None or name in _OWN:
            continue
        kind = type(value)
        if kind is str:
            if _names_secret(name):
                event[name] = REDACTED
            elif _may_hold_secret(value):
                event[name] = clean(value)
        elif kind is not bool and _names_secret(name):
            event[name] = REDACTED
        elif kind not in _NUMBERS:
            event[name] = _clean(value)
    return event


_OWN: Final = frozenset({"ts", "level", "logger", "instance_id", "version", "method", "route", "trace_id", "principal"})
"""Members that the engine itself makes, and into which nothing from outside comes."""
_NUMBERS: Final = frozenset({bool, int, float})


def _may_hold_secret(text: str) -> bool:
    """Tell whether a text is worth a closer look; cheaper than the expressions themselves."""
    return "://" in text or "df" in text or "eyJ" in text or "ssw" in text.lower()


def clean(text: str) -> str:
    """Return a text without what looks like a secret."""
    if _SUSPECT.search(text) is None:
        return text
    without_info = _USER_INFO.sub(REDACTED, _SHAPES.sub(REDACTED, text))
    return _PASSWORD_PAIR.sub(rf"\1={REDACTED}", without_info)


def _secret(name: str, value: Any) -> bool:
    return value is not None and not isinstance(value, bool) and _names_secret(name)


@lru_cache(4096)
def _names_secret(name: str) -> bool:
    return _NAMES.fullmatch(name) is not None


def _clean(value: Any) -> Any:
    match value:
        case str():
            return clean(value)
        case bytes():
            return clean(value.decode("latin-1"))
        case MutableMapping() | dict():
            return {name: REDACTED if _secret(str(name), held) else _clean(held) for name, held in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(held) for held in value]
        case None | bool() | int() | float():
            return value
        case _:
            return clean(str(value))
