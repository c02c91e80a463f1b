"""Precedence, secret files, `.env` and unknown names (platform.md 11)."""

from pathlib import Path

import pytest

from application.settings import ConfigurationError, default_env_file, load
from tests.unit.settings.conftest import OTHER, SECRET


def test_option_beats_environment_beats_env_file_beats_default(environment, tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text("PORT=1\nHOST=10.0.0.1\nDEFARM_WORKERS=3\n")
    settings = load(environment | {"PORT": "2", "HOST": "10.0.0.2"}, options={"PORT": "3"}, env_file=env_file)
    assert (settings.port, settings.host, settings.workers, settings.max_sessions) == (3, "10.0.0.2", 3, 20)
    assert [settings.sources[name] for name in ("PORT", "HOST", "DEFARM_WORKERS", "DEFARM_MAX_SESSIONS")] == [
        "option",
        "environment",
        ".env",
        "default",
    ]


def test_a_secret_may_come_from_a_file_which_the_environment_beats_and_which_beats_env_file(environment, tmp_path):
    secret_file, env_file = tmp_path / "jwt", tmp_path / ".env"
    secret_file.write_text(SECRET + "\n")
    env_file.write_text(f"JWT_SECRET={OTHER}\n")
    by_file = environment | {"JWT_SECRET": "", "JWT_SECRET_FILE": str(secret_file)}
    settings = load(by_file, env_file=env_file)
    assert (settings.jwt_secret, settings.sources["JWT_SECRET"]) == (SECRET.encode(), "file")
    assert load(by_file | {"JWT_SECRET": OTHER}).jwt_secret == OTHER.encode()
    assert not settings.warnings


def test_only_secrets_are_read_from_files(environment, tmp_path):
    port = tmp_path / "port"
    port.write_text("1")
    settings = load(environment | {"PORT_FILE": str(port), "DEFARM_WORKERS_FILE": str(port)})
    assert settings.port == 3000
    assert any("DEFARM_WORKERS_FILE is not known" in warning for warning in settings.warnings)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe\xff"])
def test_a_secret_file_that_cannot_be_used_is_a_fault_naming_variable_and_path(environment, tmp_path, content):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as raised:
        load(environment | {"DEFARM_SECRET_KEY": "", "DEFARM_SECRET_KEY_FILE": str(path)})
    assert [fault.name for fault in raised.value.faults] == ["DEFARM_SECRET_KEY_FILE"]
    assert str(path) in str(raised.value)


def test_an_env_file_has_comments_quotes_and_exports(environment, tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text(
        "\n# a comment\nexport HOST = '::1' # why\nDEFARM_JWT_ISSUER=\"a # b\"\nPORT=4000 # inline\n"
        "DEFARM_JWT_AUDIENCE=has=equals#hash\nDEFARM_CACHE_PREFIX=\n"
    )
    settings = load(environment, env_file=env_file)
    assert (settings.host, settings.port) == ("::1", 4000)
    assert (settings.jwt_issuer, settings.jwt_audience) == ("a # b", "has=equals#hash")
    assert settings.cache_prefix == "defarm"


def test_a_line_that_assigns_nothing_is_a_fault_with_its_number_and_without_its_text(environment, tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text("PORT=1\ncanary\n")
    with pytest.raises(ConfigurationError, match="in line 2") as raised:
        load(environment, env_file=env_file)
    assert "canary" not in str(raised.value)


def test_an_env_file_that_was_named_must_exist(environment, tmp_path):
    with pytest.raises(ConfigurationError, match="--env-file"):
        load(environment, env_file=tmp_path / "absent")


def test_the_env_file_of_the_working_directory_is_found_when_it_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_env_file() is None
    (tmp_path / ".env").write_text("")
    assert default_env_file() == Path(".env")


def test_an_unknown_name_is_a_warning_with_the_nearest_known_one(environment, tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text("DEFARM_STORGE=memory\n")
    settings = load(environment | {"DEFARM_CAHCE_TTL": "1h", "UNRELATED": "x"}, env_file=env_file)
    assert settings.warnings == (
        "DEFARM_CAHCE_TTL is not known; did you mean DEFARM_CACHE_TTL?",
        "DEFARM_STORGE is not known; did you mean DEFARM_STORAGE?",
    )
