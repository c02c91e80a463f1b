"""No command tells a secret, whatever it prints and however it fails (platform.md 10.3, 11, 16.5)."""

import base64
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers import PostgresServer, RedisServer
from tests.unit.cli.conftest import Defarm

AWAY = "postgresql://someone:canary-st%40re@127.0.0.1:1/none?password=canary-other"
SECRETS = {
    "JWT_SECRET": "canary-jwt-0123456789-0123456789-0123456789",
    "DEFARM_SECRET_KEY": "canary-root-9876543210-9876543210-9876543210",
    "DEFARM_JWT_SECRET_PREVIOUS": "canary-jwt-before-0123456789-0123456789",
    "DEFARM_SECRET_KEY_PREVIOUS": "canary-root-before-9876543210-9876543210",
    "DEFARM_METRICS_TOKEN": "canary-scraper-0123456789",
    "DEFARM_LOG_KEY": base64.b64encode(b"canary-seed-of-the-log-32-bytes!").decode(),
    "DEFARM_LOG_LEVEL": "debug",
}
OTHER_FORMS = (SECRETS["DEFARM_LOG_KEY"], "st%40re", "st@re")
COMMANDS = (
    ("config", "--all"),
    ("--json", "config"),
    ("doctor",),
    ("--json", "doctor"),
    ("migrate",),
    ("migrate", "--check"),
    ("admin", "list"),
    ("admin", "create", "--username", "root", "--email", "root@example.org", "--generate"),
    ("storage", "status"),
    ("storage", "verify", "--from", AWAY),
    ("storage", "copy", "--from", AWAY, "--to", AWAY.replace("none", "other"), "--yes"),
    ("storage", "release", "--from", AWAY, "--yes"),
    ("audit", "verify"),
    ("audit", "export", "--out", "taken"),
    ("items", "verify", "--all"),
    ("import", "rows.csv", "--as", "ana"),
    ("openapi",),
)


@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["plain", "debug"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_without_its_servers_tells_no_secret(
    defarm: Defarm, tmp_path: Path, words: tuple[str, ...], debug: tuple[str, ...]
) -> None:
    (tmp_path / "rows.csv").write_text("sisbov\n076000000000001\n")
    away = {"DATABASE_URL": AWAY, "REDIS_URL": "rediss://someone:canary-cache@127.0.0.1:1/0"}
    ended = defarm(*debug, *words, **SECRETS, **away)
    told = ended.out + ended.err
    assert told
    assert "canary" not in told
    assert not [form for form in OTHER_FORMS if form in told]


def test_servers_that_refuse_a_password_are_named_without_it(
    defarm: Defarm, postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    url, cache = urlsplit(postgres_server.create_database()), urlsplit(redis_server.url)
    port = f":{url.port}" if url.port else ""
    wrong = {
        "DATABASE_URL": f"postgresql://nobody:canary-store@{url.hostname or '127.0.0.1'}{port}/none?{url.query}",
        "REDIS_URL": f"redis://nobody:canary-cache@{cache.hostname}:{cache.port}/0",
    }
    for words in (("doctor",), ("--debug", "admin", "list"), ("migrate",)):
        ended = defarm(*words, **SECRETS, **wrong)
        assert ended.code != 0
        assert "canary" not in ended.out + ended.err
