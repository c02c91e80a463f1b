"""One line per record, and no secret in any (platform.md 10.3)."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from entrypoints.logging import configure, redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure("info", "json", instance_id="i-1", version="9", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def records(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_says_when_who_and_what(lines: io.StringIO) -> None:
    structlog.get_logger("engine").info("system.started", storage="memory")
    (record,) = records(lines)
    assert record["event"] == "system.started"
    assert (record["logger"], record["level"], record["instance_id"], record["version"]) == (
        "engine",
        "info",
        "i-1",
        "9",
    )
    assert str(record["ts"]).endswith("Z")


def test_less_than_the_level_is_not_written(lines: io.StringIO) -> None:
    structlog.get_logger("engine").debug("details")
    logging.getLogger("library").debug("details")
    assert not lines.getvalue()


@pytest.mark.parametrize(
    "members",
    [
        {"password": "hunter2x"},
        {"new_password": "hunter2x"},
        {"refresh_token": "hunter2x"},
        {"authorization": "hunter2x"},
        {"dsn": "hunter2x"},
        {"nested": {"api": [{"secret": "hunter2x"}]}},
        {"database_url": "postgresql://user:hunter2x@host/db"},
        {"detail": "connection to host=h password=hunter2x failed"},
        {"detail": f"bearer {JWT}"},
        {"detail": "key dfm_hunter2xhunter2xhunter2xhunter2xhunter2x12345"},
    ],
)
def test_secrets_are_taken_out_by_name_and_by_shape(lines: io.StringIO, members: dict[str, object]) -> None:
    structlog.get_logger("engine").info("something", **members)
    assert "[redacted]" in lines.getvalue()
    assert "hunter2x" not in lines.getvalue()
    assert JWT not in lines.getvalue()


def test_a_record_without_secrets_is_left_as_it_is() -> None:
    event = {"event": "http.request", "status": 200, "duration_ms": 1.5, "code": None, "route": "/api/items/{dfid}"}
    kept = dict(event)
    assert redact(None, "info", event) is event
    assert event == kept


def test_secrets_are_taken_out_of_stacks_and_of_other_libraries(lines: io.StringIO) -> None:
    try:
        raise ValueError("postgresql://user:hunter2x@host/db")
    except ValueError:
        structlog.get_logger("engine").exception("broken")
    logging.getLogger("library").warning("at %s", "postgresql://user:hunter2x@host/db")
    assert len(records(lines)) == 2
    assert "ValueError" in lines.getvalue()
    assert "hunter2x" not in lines.getvalue()


def test_a_value_from_outside_cannot_forge_a_line(lines: io.StringIO) -> None:
    structlog.get_logger("engine").info("something", agent='x\n{"event":"forged"}\r\x1b[2J')
    assert len(lines.getvalue().splitlines()) == 1
    assert "\x1b" not in lines.getvalue()


def test_a_warning_that_repeats_is_told_once_a_minute_with_the_count(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Stepped()
    monkeypatch.setattr("entrypoints.logging.time", clock)
    log = structlog.get_logger("engine")
    for seconds in (0, 1, 1, 1):
        clock.seconds += seconds
        log.warning("store.waiting", reason="Unavailable", waited=clock.seconds)
    log.warning("store.waiting", reason="schema")
    clock.seconds += 60
    log.warning("store.waiting", reason="Unavailable")
    told = [(record["reason"], record.get("repeated")) for record in records(lines)]
    assert told == [("Unavailable", None), ("schema", None), ("Unavailable", 3)]


def test_what_was_held_back_is_counted_even_where_it_does_not_happen_again(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures of a text do not make another cause of it."""
    clock = Stepped()
    monkeypatch.setattr("entrypoints.logging.time", clock)
    for waiting in range(5):
        logging.getLogger("behind").warning("%d units wait", waiting)
    clock.seconds += 61
    structlog.get_logger("http").info("http.request")
    structlog.get_logger("http").info("http.request")
    told = [(record["logger"], record["event"], record.get("repeated")) for record in records(lines)]
    assert told == [
        ("behind", "0 units wait", None),
        ("behind", "0 units wait", 4),
        ("http", "http.request", None),
        ("http", "http.request", None),
    ]


class Stepped:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


def test_a_library_does_not_notice_that_its_warning_was_held_back(lines: io.StringIO) -> None:
    for _ in range(3):
        logging.getLogger("library").warning("the same")
    assert len(records(lines)) == 1
