"""USE_REDIS_CACHE, REDIS_URL and DATABASE_URL choose the stack; what is wrong with them is told in words."""

from pathlib import Path

import pytest

from application.settings import ConfigurationError, load

SECRETS = {"JWT_SECRET": "j" * 40, "DEFARM_SECRET_KEY": "s" * 40}
DATABASE = {"DATABASE_URL": "postgresql://db.example/defarm"}
REDIS = {"REDIS_URL": "redis://:canary-secret@cache.example:6379/0"}


@pytest.mark.parametrize(
    ("variables", "storage"),
    [
        (DATABASE | REDIS | {"USE_REDIS_CACHE": "true"}, "redis_cached"),
        (DATABASE | REDIS, "redis_cached"),
        (DATABASE | REDIS | {"USE_REDIS_CACHE": "false"}, "postgres"),
        (DATABASE, "postgres"),
    ],
)
def test_the_stack_follows_from_what_is_set(variables: dict[str, str], storage: str) -> None:
    assert load(SECRETS | variables).storage == storage


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        (DATABASE | {"USE_REDIS_CACHE": "true"}, "USE_REDIS_CACHE"),
        (DATABASE | {"REDIS_URL": "http://cache.example"}, "REDIS_URL"),
        (DATABASE | {"REDIS_URL": "redis://:canary-secret@cache.example:port/0"}, "REDIS_URL"),
        (DATABASE | {"REDIS_URL": "redis://:canary-secret@cache.example:6379/zero"}, "REDIS_URL"),
        (DATABASE | {"DEFARM_STORAGE": "redis_cached"}, "DEFARM_STORAGE"),
        (DATABASE | {"REDIS_URL": "redis://cache.example?retries=9"}, "REDIS_URL"),
        (DATABASE | REDIS | {"DEFARM_CACHE_PREFIX": "no blanks"}, "DEFARM_CACHE_PREFIX"),
        (DATABASE | REDIS | {"DEFARM_REDIS_TIMEOUT": "a while"}, "DEFARM_REDIS_TIMEOUT"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_its_name_and_without_its_secret(
    variables: dict[str, str], named: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(SECRETS | variables | {"DEFARM_DATA_DIR": str(tmp_path)})
    assert named in str(raised.value)
    assert "canary-secret" not in str(raised.value)


def test_a_cache_that_the_chosen_storage_does_not_use_is_warned_about() -> None:
    settings = load(SECRETS | DATABASE | REDIS | {"USE_REDIS_CACHE": "true", "DEFARM_STORAGE": "postgres"})
    assert "USE_REDIS_CACHE has no effect with DEFARM_STORAGE=postgres" in settings.warnings
