"""The servers that the tests themselves stand on."""

import time

import psycopg
import pytest
import redis

from tests.embedded.site import query
from tests.machines import ServerMissing, wait_until
from tests.servers import PostgresServer, RedisServer, postgres_server, redis_server


def test_every_test_gets_a_database_of_its_own(postgres_server: PostgresServer, database_url: str) -> None:
    other = postgres_server.create_database()
    query(database_url, "create table only_here (n int)")
    assert query(other, "select to_regclass('only_here')") == [(None,)]
    assert query(database_url, "select datcollate, pg_encoding_to_char(encoding) from pg_database "
                "where datname = current_database()") == [("C", "UTF8")]  # fmt: skip
    postgres_server.drop_database(other)


def test_a_prepared_database_is_copied_and_prepared_once(postgres_server: PostgresServer) -> None:
    calls: list[str] = []

    def prepare(url: str) -> None:
        calls.append(url)
        query(url, "create table animals (n int)")

    urls = [postgres_server.create_database(prepare) for _ in range(3)]
    assert len(calls) == 1
    assert len({*urls, *calls}) == 4
    for url in urls:
        assert query(url, "select count(*) from animals") == [(0,)]
        postgres_server.drop_database(url)


def test_a_migrated_database_has_the_schema(migrated_url: str) -> None:
    assert query(migrated_url, "select to_regclass('schema_migrations') is not null") == [(True,)]


def test_a_private_postgres_survives_pause_kill_and_restart() -> None:
    with postgres_server(private=True) as server:
        address = server.url
        query(server.url, "create table kept (n int); insert into kept values (1)")
        with server.paused(), pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url, connect_timeout=2)
        wait_until(server.answers, 60, "a resumed PostgreSQL does not answer")
        server.kill()
        assert not server.answers()
        server.start()
        server.restart()
        assert server.url == address
        assert query(server.url, "select n from kept") == [(1,)]


def test_a_private_redis_can_be_frozen_killed_and_restarted_empty() -> None:
    with redis_server(private=True) as server:
        client = redis.Redis.from_url(server.url)
        client.set("key", "value")
        hasty = redis.Redis.from_url(server.url, socket_timeout=0.3, retry=None)
        with server.paused(), pytest.raises(redis.TimeoutError):
            hasty.get("key")
        hasty.close()
        assert client.get("key") == b"value"
        server.kill()
        assert not server.answers()
        server.start()
        assert client.get("key") is None
        server.stop()
        assert not server.answers()
        server.restart()
        assert server.answers()
        client.close()


def test_the_session_redis_answers_and_is_emptied(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("key", "value")
        redis_server.flush()
        assert client.dbsize() == 0


def test_a_given_url_is_used_and_its_server_never_stopped(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFARM_TEST_DATABASE_URL", postgres_server.url)
    given = start_given()
    assert given.url == postgres_server.url
    with pytest.raises(ServerMissing, match="DEFARM_TEST_DATABASE_URL"):
        given.kill()
    given.remove()
    assert postgres_server.answers()


def start_given() -> PostgresServer:
    return postgres_server()


def test_without_any_server_the_failure_says_how_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEFARM_TEST_REDIS_URL", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    monkeypatch.setattr("tests.machines.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ServerMissing, match="Give one with DEFARM_TEST_REDIS_URL=URL"):
        redis_server()


def test_a_fresh_database_costs_little(postgres_server: PostgresServer) -> None:
    postgres_server.drop_database(postgres_server.create_migrated_database())
    begun = time.monotonic()
    url = postgres_server.create_migrated_database()
    assert time.monotonic() - begun < 2
    postgres_server.drop_database(url)
