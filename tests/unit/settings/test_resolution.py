"""What `auto` becomes, what contradicts, and where the root keys come from (platform.md 11)."""

from pathlib import Path

import pytest

from application.settings import ConfigurationError, load
from tests.unit.settings.conftest import OTHER, SECRET

REDIS = "redis://cache:6379/0"


def made(data_dir: Path, name: str) -> str:
    return f"{name} made in {data_dir} and long enough"


@pytest.mark.parametrize(
    ("more", "storage", "limiter", "bus"),
    [
        ({}, "postgres", "memory", "postgres"),
        ({"REDIS_URL": REDIS}, "redis_cached", "redis", "redis"),
        ({"REDIS_URL": REDIS, "USE_REDIS_CACHE": "false"}, "postgres", "redis", "redis"),
        ({"REDIS_URL": REDIS, "DEFARM_STORAGE": "write_through"}, "write_through", "redis", "redis"),
        ({"DEFARM_STORAGE": "memory"}, "memory", "memory", "local"),
        ({"REDIS_URL": REDIS, "DEFARM_BUS": "local", "DEFARM_LIMITER": "memory"}, "redis_cached", "memory", "local"),
    ],
)
def test_auto_follows_what_is_configured(environment, more, storage, limiter, bus):
    settings = load(environment | more, local_secret=made)
    assert (settings.storage, settings.limiter, settings.bus) == (storage, limiter, bus)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"DEFARM_STORAGE": "memory", "DEFARM_WORKERS": "2"}, "DEFARM_WORKERS"),
        ({"DEFARM_STORAGE": "write_through", "DEFARM_WORKERS": "2"}, "DEFARM_WORKERS"),
        ({"USE_REDIS_CACHE": "true"}, "USE_REDIS_CACHE"),
        ({"DEFARM_STORAGE": "redis_cached"}, "DEFARM_STORAGE"),
        ({"DEFARM_STORAGE": "redis_cached", "REDIS_URL": REDIS, "USE_REDIS_CACHE": "0"}, "DEFARM_STORAGE"),
        ({"DEFARM_LIMITER": "redis"}, "DEFARM_LIMITER"),
        ({"DEFARM_BUS": "redis"}, "DEFARM_BUS"),
        ({"DEFARM_BUS": "postgres", "DEFARM_STORAGE": "memory"}, "DEFARM_BUS"),
        ({"DEFARM_WRITE_BEHIND": "true"}, "DEFARM_WRITE_BEHIND"),
        ({"DEFARM_DB_POOL_MIN": "9"}, "DEFARM_DB_POOL_MAX"),
        ({"JWT_SECRET": ""}, "JWT_SECRET"),
    ],
)
def test_values_that_contradict_each_other_are_one_fault(environment, more, name):
    with pytest.raises(ConfigurationError) as raised:
        load(environment | more, local_secret=made)
    assert [fault.name for fault in raised.value.faults] == [name]


def test_write_behind_is_taken_with_write_through(environment):
    assert load(environment | {"DEFARM_STORAGE": "write_through", "DEFARM_WRITE_BEHIND": "on"}).write_behind


@pytest.mark.parametrize(
    "more", [{}, {"DEFARM_STORAGE": "memory"}, {"DEFARM_STORAGE": "memory", "DATABASE_URL": "postgres://x/y"}]
)
def test_a_store_of_its_own_gets_both_root_keys_from_the_data_directory(more):
    settings = load({"DEFARM_DATA_DIR": "/var/lib/defarm", **more}, local_secret=made)
    assert settings.jwt_secret == b"JWT_SECRET made in /var/lib/defarm and long enough"
    assert settings.secret_key == b"DEFARM_SECRET_KEY made in /var/lib/defarm and long enough"
    assert settings.sources["JWT_SECRET"] == settings.sources["DEFARM_SECRET_KEY"] == "data directory"


def test_configured_root_keys_are_not_made():
    def never(data_dir: Path, name: str) -> str:
        raise AssertionError(name)

    settings = load({"JWT_SECRET": SECRET, "DEFARM_SECRET_KEY": OTHER}, local_secret=never)
    assert settings.embedded
    assert settings.secret_key == OTHER.encode()
    with pytest.raises(ConfigurationError, match="PORT"):
        load({"PORT": "abc"}, local_secret=never)


def test_without_a_place_for_them_root_keys_must_be_configured():
    with pytest.raises(ConfigurationError) as raised:
        load({})
    assert [fault.name for fault in raised.value.faults] == ["JWT_SECRET", "DEFARM_SECRET_KEY"]


def test_a_data_directory_that_cannot_keep_them_is_a_fault_of_both(tmp_path):
    def unwritable(data_dir: Path, name: str) -> str:
        return (data_dir / "absent" / name).read_text()

    def cut_short(data_dir: Path, name: str) -> str:
        return "canary"

    for broken in (unwritable, cut_short):
        with pytest.raises(ConfigurationError) as raised:
            load({"DEFARM_DATA_DIR": str(tmp_path)}, local_secret=broken)
        assert [fault.name for fault in raised.value.faults] == ["JWT_SECRET", "DEFARM_SECRET_KEY"]
        assert "canary" not in str(raised.value)


def test_a_missing_secret_key_is_derived_from_the_jwt_secret_with_a_warning(environment):
    first = load(environment | {"DEFARM_SECRET_KEY": ""})
    assert first.secret_key not in (SECRET.encode(), b"")
    assert any("DEFARM_SECRET_KEY" in warning for warning in first.warnings)
    assert load(environment | {"DEFARM_SECRET_KEY": ""}).secret_key == first.secret_key


def test_a_derived_secret_key_survives_the_rotation_of_the_jwt_secret(environment):
    before = load(environment | {"DEFARM_SECRET_KEY": ""})
    after = load(environment | {"DEFARM_SECRET_KEY": "", "JWT_SECRET": OTHER, "DEFARM_JWT_SECRET_PREVIOUS": SECRET})
    assert after.secret_key != before.secret_key
    assert after.secret_key_previous == before.secret_key


def test_settings_without_effect_are_said(environment):
    settings = load(
        environment
        | {"REDIS_URL": REDIS, "DEFARM_STORAGE": "postgres", "USE_REDIS_CACHE": "true", "SKIP_ITEMS_PRELOAD": "1"}
    )
    assert [warning.split()[0] for warning in settings.warnings] == ["USE_REDIS_CACHE", "SKIP_ITEMS_PRELOAD"]
