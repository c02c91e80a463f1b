"""An engine whose store goes, comes late or is newer, and that is told to stop under load (platform.md 17)."""

import http.client
import json
import signal
import threading
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.e2e.process import Answer, Served, defarm, until
from tests.e2e.test_metrics import TOKEN, scrape, value
from tests.servers import PostgresServer, postgres_server

ANA = {"username": "ana", "email": "ana@example.org", "password": "a long enough secret"}
BETO = {"username": "beto", "email": "beto@example.org", "password": "a long enough secret"}
SECRETS = {"JWT_SECRET": "j" * 32, "DEFARM_SECRET_KEY": "s" * 32}
DATA_ROUTES = ("/api/items", "/api/circuits", "/api/notifications", "/api/workspace")
CLIENTS = 4


@pytest.fixture
def store() -> Iterator[PostgresServer]:
    """A server that may be stopped."""
    server = postgres_server(private=True)
    yield server
    server.remove()


def _bearer(server: Served, account: dict[str, str]) -> str:
    registered = server.ask("/api/auth/register", "POST", account)
    assert registered.status == 201, registered
    return f"Bearer {registered.body['access_token']}"


def _user(bearer: str) -> str:
    claims = bearer.split(".")[1]
    return str(json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])


def _made(server: Served, bearer: str, number: int) -> Answer:
    lot = {"identifiers": [{"key": "sisbov", "value": f"076{number:012d}"}]}
    return server.ask("/api/items", "POST", lot, authorization=bearer)


def _is_down(server: Served, path: str) -> bool:
    return server.ask(path).status == 503


def test_30_a_stopped_store_is_told_everywhere_and_found_again(tmp_path: Path, store: PostgresServer) -> None:
    with Served(tmp_path / "one", DATABASE_URL=store.create_migrated_database(), **SECRETS) as server:
        bearer = _bearer(server.ready(), ANA)
        assert _made(server, bearer, 1).status == 201
        store.stop()
        assert server.ask("/health").status == 200
        for path in ("/health/ready", "/health/db"):
            until(partial(_is_down, server, path), 2.0)
        for path in DATA_ROUTES:
            refused = server.ask(path, authorization=bearer)
            assert (refused.status, int(refused.headers.get("retry-after", 0)) > 0) == (503, True), refused
        refused = _made(server, bearer, 2)
        assert (refused.status, int(refused.headers["retry-after"]) > 0) == (503, True)
        forged = bearer.rpartition(".")[0] + "." + "A" * 43
        assert server.ask("/api/items", authorization=forged).status == 401
        store.start()
        until(lambda: server.ask("/health/ready").status == 200)
        assert len(server.ask("/api/items", authorization=bearer).body["items"]) == 1
        assert server.end() == 0


def test_31_a_store_that_comes_after_the_engine_is_waited_for(tmp_path: Path, store: PostgresServer) -> None:
    url = store.create_migrated_database()
    store.stop()
    with Served(tmp_path / "one", DATABASE_URL=url, **SECRETS) as server:
        assert server.ask("/health").status == 200
        refused = server.ask("/api/items")
        assert (refused.status, refused.body["code"], refused.headers["retry-after"]) == (503, "starting", "1")
        assert server.ask("/health/ready").status == 503
        store.start()
        assert _made(server, _bearer(server.ready(), ANA), 1).status == 201
        assert server.end() == 0


def test_32_a_schema_of_the_future_ends_the_start_with_both_versions(tmp_path: Path, store: PostgresServer) -> None:
    url = store.create_migrated_database()
    with psycopg.connect(url) as connection:
        row = connection.execute("select max(version) from schema_migrations").fetchone()
        connection.execute("insert into schema_migrations (version, name) values (9999, 'tomorrow')")
    assert row is not None
    ended = defarm(tmp_path, "serve", "--port", "0", DATABASE_URL=url, **SECRETS)
    assert ended.returncode == 4
    assert "9999" in ended.stderr
    assert str(row[0]) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_10_nobody_acts_as_somebody_else(tmp_path: Path) -> None:
    with Served(tmp_path / "one", "--storage", "memory") as server:
        ana, beto = _bearer(server.ready(), ANA), _bearer(server, BETO)
        me, other = (_user(bearer) for bearer in (ana, beto))
        lot = {"identifiers": [{"key": "sisbov", "value": "076000000000001"}]}
        for named in ("user_id", "created_by", "actor", "actor_user_id"):
            refused = server.ask("/api/items", "POST", {**lot, named: other}, authorization=ana)
            assert (refused.status, refused.body["code"]) == (422, "validation_failed"), named
            refused = server.ask(f"/api/items?{named}={other}", "POST", lot, authorization=ana)
            assert (refused.status, refused.body["code"]) == (422, "validation_failed"), named
        made = server.ask("/api/items", "POST", lot, authorization=ana, x_user_id=other, x_forwarded_user=other)
        assert (made.status, made.body["created_by"]) == (201, me)
        told = server.ask("/api/audit/entries?action=item.created", authorization=_administrator(server))
        assert told.status == 200, told
        assert [entry["actor"]["user_id"] for entry in told.body["items"]] == [me], told


def _administrator(server: Served) -> str:
    token = next(line.strip() for line in server.err.splitlines() if line.strip().startswith("dfs_"))
    root = {"username": "root", "email": "root@example.org", "password": "a long enough secret"}
    made = server.ask("/api/auth/setup", "POST", {"setup_token": token, **root})
    assert made.status == 201, made
    return f"Bearer {made.body['access_token']}"


def test_4_no_probe_waits_for_a_password(tmp_path: Path) -> None:
    off = {f"DEFARM_LIMIT_{policy}": "off" for policy in ("LOGIN_PAIR", "LOGIN_USER", "LOGIN_IP")}
    with Served(tmp_path / "one", DEFARM_ARGON2_TIME="5", DEFARM_METRICS_TOKEN=TOKEN, **off) as server:
        _bearer(server.ready(), ANA)
        sent = {"username": ANA["username"], "password": ANA["password"]}
        answers: list[Answer] = []
        logins = [
            threading.Thread(target=lambda: answers.append(server.ask("/api/auth/login", "POST", sent)))
            for _ in range(50)
        ]
        for login in logins:
            login.start()
        probes = 0
        while any(login.is_alive() for login in logins):
            waiting = len(answers)
            assert server.ask("/health").status == 200
            probes += len(answers) < 50 and len(answers) - waiting < 10
        assert probes > 5
        assert {answer.status for answer in answers} <= {200, 503}
        assert any(answer.status == 200 for answer in answers)
        assert all("retry-after" in answer.headers for answer in answers if answer.status == 503)
        _, text = scrape(server)
        hashes = value(text, "defarm_password_seconds_sum") / value(text, "defarm_password_seconds_count")
        late = value(text, "defarm_event_loop_lag_seconds_sum") / value(text, "defarm_event_loop_lag_seconds_count")
        assert late < hashes / 2, (late, hashes)
        assert server.end() == 0


class Writer(threading.Thread):
    """Creates items over one connection until an answer is the last one on it, or the server is gone."""

    def __init__(self, server: Served, bearer: str, numbers: Iterator[int]) -> None:
        super().__init__()
        self.server, self.bearer, self.numbers = server, bearer, numbers
        self.acknowledged: list[str] = []
        self.last: object = None

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        headers = {"authorization": self.bearer, "content-type": "application/json"}
        try:
            while True:
                lot = {"identifiers": [{"key": "sisbov", "value": f"076{next(self.numbers):012d}"}]}
                connection.request("POST", "/api/items", json.dumps(lot), headers)
                answer = connection.getresponse()
                body = json.loads(answer.read())
                if answer.status == 201:
                    self.acknowledged.append(body["dfid"])
                if answer.will_close:
                    self.last = answer.status
                    return
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.last = error
        finally:
            connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_51_what_was_acknowledged_under_load_outlives_the_end(tmp_path: Path, number: signal.Signals) -> None:
    with Served(tmp_path / "one", DEFARM_DRAIN_DELAY="3") as server:
        bearer = _bearer(server.ready(), ANA)
        numbers = count(1)
        writers = [Writer(server, bearer, numbers) for _ in range(CLIENTS)]
        for writer in writers:
            writer.start()
        until(lambda: all(len(writer.acknowledged) > 5 for writer in writers))
        server.process.send_signal(number)
        if number == signal.SIGTERM:
            until(lambda: server.ask("/health/ready").status == 503)
            assert server.process.poll() is None
        for writer in writers:
            writer.join()
        assert server.ended() == (0 if number == signal.SIGTERM else -number)
        if number == signal.SIGTERM:
            assert {writer.last for writer in writers} <= {201, 503}
    with Served(tmp_path / "one") as server:
        server.ready()
        for dfid in (dfid for writer in writers for dfid in writer.acknowledged):
            assert server.ask(f"/api/items/{dfid}", authorization=bearer).status == 200
        assert server.end() == 0
