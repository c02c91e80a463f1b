"""The life of `defarm serve`, on its own PostgreSQL and with no setting at all (platform.md 12)."""

import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.e2e.process import PATIENCE, Served, defarm, until

ADMIN = {"username": "root", "email": "root@example.org", "password": "a long enough secret"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("running")) as server:
        yield server.ready()


def test_without_any_setting_it_gets_ready_on_a_store_of_its_own(running: Served) -> None:
    ready = running.ask("/health/ready").body
    assert (ready["status"], ready["phase"], ready["checks"]["store"]) == ("ready", "ready", "up")
    database = running.ask("/health/db").body
    assert database["status"] == "up"
    assert database["schema"]["applied"] == database["schema"]["expected"] > 0
    assert running.ask("/health").body["status"] == "alive"
    assert running.database_processes()
    assert running.folder.joinpath(".defarm").stat().st_mode & 0o777 == 0o700


def test_the_health_command_agrees(running: Served) -> None:
    asked = defarm(running.folder, "health", "--ready", "--url", f"http://127.0.0.1:{running.port}")
    assert (asked.returncode, asked.stdout) == (0, "ready\n")
    assert defarm(running.folder, "health", PORT=str(running.port)).returncode == 0


def test_commands_share_the_store_with_the_server(running: Served) -> None:
    words = ("admin", "create", "--username", "other", "--email", "other@example.org", "--generate")
    assert defarm(running.folder, *words).returncode == 0
    assert "other" in defarm(running.folder, "admin", "list").stdout
    assert defarm(running.folder, "doctor", "--only", "store").returncode == 0
    assert running.ask("/health/ready").status == 200


def test_a_second_server_on_one_directory_is_refused(running: Served) -> None:
    second = defarm(running.folder, "serve", "--port", "0")
    assert second.returncode == 4
    assert "holds" in second.stderr
    assert "Traceback" not in second.stderr
    assert running.ask("/health/ready").status == 200


def test_a_taken_port_is_refused_with_address_and_hint(running: Served, tmp_path: Path) -> None:
    refused = defarm(tmp_path, "serve", PORT=str(running.port))
    assert refused.returncode == 4
    assert str(running.port) in refused.stderr
    assert "--port" in refused.stderr


def test_no_log_line_holds_the_setup_token(tmp_path: Path) -> None:
    with Served(tmp_path / "one") as server:
        server.ready()
        token = next(line.strip() for line in server.err.splitlines() if line.strip().startswith("dfs_"))
        assert server.end() == 0
        assert token not in (server.folder / "out.log").read_text(encoding="utf-8")


def test_the_setup_token_makes_one_administrator_and_is_printed_no_more(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    tokens = []
    for _ in range(2):
        with Served(folder) as server:
            server.ready()
            tokens += [line.strip() for line in server.err.splitlines() if line.strip().startswith("dfs_")]
            server.end()
    assert len(tokens) == 2
    assert len(set(tokens)) == 1
    with Served(folder, "--no-setup-token") as server:
        server.ready()
        assert "dfs_" not in server.err
        assert server.ask("/api/auth/setup", "POST", {"setup_token": tokens[0], **ADMIN}).status == 201
        again = server.ask("/api/auth/setup", "POST", {"setup_token": tokens[0], **ADMIN})
        assert (again.status, again.body["code"]) == (409, "setup_done")
        server.end()
    with Served(folder) as server:
        assert "dfs_" not in server.ready().err


def test_what_was_answered_survives_sigterm_and_sigkill(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    for round_, number in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGKILL)):
        with Served(folder) as server:
            server.ready()
            for earlier in range(round_):
                sent = {"username": f"user{earlier}", "password": ADMIN["password"]}
                assert server.ask("/api/auth/login", "POST", sent).status == 200
            mine = {**ADMIN, "username": f"user{round_}", "email": f"user{round_}@example.org"}
            assert server.ask("/api/auth/register", "POST", mine).status == 201
            code = server.end(number)
            assert code == (0 if number == signal.SIGTERM else -number)
            if number == signal.SIGTERM:
                assert not server.database_processes()


def test_sigterm_stops_in_order(tmp_path: Path) -> None:
    with Served(tmp_path / "one") as server:
        server.ready()
        assert server.end(signal.SIGTERM) == 0
        assert server.events() == ["system.listening", "system.started", "system.draining", "system.stopped"]


def test_while_draining_requests_are_served_until_whoever_sends_them_knows_and_then_told_to_go(tmp_path: Path) -> None:
    """A proxy learns from /health/ready that this instance goes, and needs the delay of 12.2 to hear it."""
    delay = 1.0
    with Served(tmp_path / "one", DEFARM_DRAIN_DELAY=f"{delay}") as server:
        kept = http.client.HTTPConnection("127.0.0.1", server.ready().port, timeout=PATIENCE)

        def asked(path: str) -> tuple[int, str | None, bytes]:
            kept.request("GET", path)
            answer = kept.getresponse()
            return answer.status, answer.getheader("connection"), answer.read()

        assert asked("/health/ready")[:2] == (200, None)
        kept.auto_open = 0
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        ready = b""
        in_time, late = set(), []
        with suppress(ConnectionError, http.client.HTTPException):
            while True:
                ready = ready if b"draining" in ready else asked("/health/ready")[2]
                told = asked("/api/items")[:2]
                if time.monotonic() < begun + delay:
                    in_time.add(told)
                else:
                    late.append(told)
                time.sleep(0.02)
        assert server.ended() == 0
        assert json.loads(ready)["phase"] == "draining"
        assert in_time == {(401, None)}
        assert set(late) <= {(401, None), (503, "close")}
        assert late.count((503, "close")) <= 1


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with Served(tmp_path / "one", DEFARM_DRAIN_DELAY="30") as server:
        server.ready()
        server.process.send_signal(signal.SIGINT)
        until(lambda: server.ask("/health/ready").body["phase"] == "draining")
        assert server.end(signal.SIGINT) == 1


def test_a_signal_while_the_store_is_awaited_ends_the_process(tmp_path: Path) -> None:
    secrets = {"JWT_SECRET": "j" * 32, "DEFARM_SECRET_KEY": "s" * 32}
    secrets |= {"REDIS_URL": "redis://:hidden@127.0.0.1:1/0", "DEFARM_LOG_LEVEL": "debug"}
    with Served(tmp_path / "one", DATABASE_URL="postgresql://nobody:hidden@127.0.0.1:1/none", **secrets) as server:
        assert server.ask("/health").status == 200
        refused = server.ask("/api/items")
        assert (refused.status, refused.body["code"], refused.headers["retry-after"]) == (503, "starting", "1")
        assert server.ask("/health/db").body["reason"] == "starting"
        until(lambda: "store.waiting" in server.events())
        assert server.end() == 0
        assert "hidden" not in (server.folder / "out.log").read_text() + server.err


def test_it_waits_for_a_store_that_comes_later(tmp_path: Path, database_url: str) -> None:
    secrets = {"JWT_SECRET": "j" * 32, "DEFARM_SECRET_KEY": "s" * 32}
    with Served(tmp_path / "one", "--skip-migrations", DATABASE_URL=database_url, **secrets) as server:
        until(lambda: "store.waiting" in server.events())
        assert server.ask("/health/ready").status == 503
        assert defarm(tmp_path, "migrate", DATABASE_URL=database_url, **secrets).returncode == 0
        server.ready()
        assert server.end() == 0


def test_another_root_key_stops_the_start(tmp_path: Path) -> None:
    """Scenario 7 of identifiers.md 10: with a wrong root key the start fails and names the variable."""
    folder = tmp_path / "one"
    with Served(folder) as server:
        server.ready()
        server.end()
    with Served(folder, DEFARM_SECRET_KEY="another root key of enough bytes!") as server:
        assert server.ended() == 4
        assert "DEFARM_SECRET_KEY" in server.err
        assert not server.database_processes()


@pytest.mark.parametrize(
    "variables",
    [
        {"PORT": "70000"},
        {"DEFARM_STORAGE": "redis_cached"},
        {"DATABASE_URL": "postgresql://h/db"},
        {"DEFARM_WORKERS": "2", "DEFARM_STORAGE": "memory"},
    ],
)
def test_wrong_settings_end_with_code_2_before_anything_is_made(tmp_path: Path, variables: dict[str, str]) -> None:
    ended = defarm(tmp_path, "serve", **variables)
    assert ended.returncode == 2
    assert next(iter(variables)) in ended.stderr or "JWT_SECRET" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.iterdir())


def test_in_memory_nothing_is_kept(tmp_path: Path) -> None:
    with Served(tmp_path / "one", "--storage", "memory") as server:
        assert server.ready().ask("/api/auth/register", "POST", ADMIN).status == 201
        assert not server.database_processes()
        assert "keeps nothing" in server.err
        assert server.end() == 0


def test_requests_in_flight_are_finished(tmp_path: Path) -> None:
    with (
        Served(tmp_path / "one", DEFARM_ARGON2_TIME="8") as server,
        socket.create_connection(("127.0.0.1", server.ready().port), PATIENCE) as link,
        link.makefile("rb") as told,
    ):
        body = json.dumps(ADMIN).encode()
        head = "POST /api/auth/register HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        link.sendall(f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert told.readline() == b"HTTP/1.1 100 Continue\r\n", "the server reads the body when the signal comes"
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "system.draining" in server.events())
        link.sendall(body)
        assert told.readline() == b"\r\n"
        assert told.readline().startswith(b"HTTP/1.1 201 ")
        assert server.ended() == 0


def test_both_families_are_served_on_the_double_colon(tmp_path: Path) -> None:
    with Served(tmp_path / "one", "--storage", "memory", "--host", "::") as server:
        server.ready()
        try:
            socket.create_connection(("::1", server.port), timeout=2).close()
        except OSError:
            assert not socket.has_dualstack_ipv6()
        assert server.end() == 0


def test_a_killed_database_server_comes_back_under_the_engine(tmp_path: Path) -> None:
    with Served(tmp_path / "one") as server:
        assert server.ready().ask("/api/auth/register", "POST", ADMIN).status == 201
        killed = set(server.database_processes())
        server.kill_database()
        until(lambda: bool(set(server.database_processes()) - killed))
        until(lambda: server.ask("/health/ready").status == 200)
        sent = {"username": ADMIN["username"], "password": ADMIN["password"]}
        until(lambda: server.ask("/api/auth/login", "POST", sent).status == 200)
        assert server.end() == 0


def test_several_processes_share_socket_and_store_and_replace_the_fallen(tmp_path: Path) -> None:
    with Served(tmp_path / "one", "--workers", "2") as server:
        server.ready()
        until(lambda: server.events().count("system.started") == 2)
        fallen = psutil.Process(server.process.pid).children()[0]
        fallen.kill()
        until(lambda: server.events().count("system.started") == 3)
        assert server.ready().ask("/api/auth/register", "POST", ADMIN).status == 201
        assert len({record["instance_id"] for record in server.records}) == 2
        assert server.end() == 0
        assert not server.database_processes()


def test_several_processes_end_with_the_code_of_what_cannot_start(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    with Served(folder) as server:
        server.ready()
        server.end()
    with Served(folder, "--workers", "2", DEFARM_SECRET_KEY="another root key of enough bytes!") as server:
        assert server.ended() == 4
        assert not server.database_processes()
