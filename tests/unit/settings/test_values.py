"""How values are written (platform.md 11, 5.2)."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from application.settings import Window, load


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("10.5", 10.5)],
)
def test_a_duration_is_seconds_or_carries_its_unit(environment, text, seconds):
    assert load(environment | {"DEFARM_CACHE_TTL": text}).cache_ttl == timedelta(seconds=seconds)


@pytest.mark.parametrize(("text", "size"), [("2048", 2048), ("2KiB", 2048), ("2 KiB", 2048), ("3MiB", 3_145_728)])
def test_a_size_is_bytes_or_carries_its_unit(environment, text, size):
    assert load(environment | {"DEFARM_MAX_BODY": text}).max_body == size


@pytest.mark.parametrize("text", ["false", "0", "no", "off", "OFF", "False"])
def test_a_bool_has_eight_spellings_in_any_case(environment, text):
    assert load(environment | {"DEFARM_DOCS": text}).docs is False


@pytest.mark.parametrize("text", ["true", "1", "yes", "on", "YES"])
def test_a_bool_is_true_as_often(environment, text):
    assert load(environment | {"DEFARM_HSTS": text}).hsts is True


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("100/minute", (Window(100, 60),)),
        ("10/15 minutes", (Window(10, 900),)),
        ("1000/day;5/second; 50 / hour", (Window(5, 1), Window(50, 3600), Window(1000, 86_400))),
        ("off", ()),
        ("OFF", ()),
    ],
)
def test_a_limit_is_read_as_windows_smallest_first(environment, text, windows):
    assert load(environment | {"DEFARM_LIMIT_USER": text}).limit_user == windows


def test_lists_are_separated_by_commas(environment):
    settings = load(
        environment
        | {
            "DEFARM_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8,",
            "DEFARM_CORS_ORIGINS": "https://App.example.org,http://localhost:5173,*",
        }
    )
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert settings.cors_origins == ("https://app.example.org", "http://localhost:5173", "*")


def test_an_empty_value_is_the_same_as_none(environment):
    settings = load(environment | {"PORT": "", "DEFARM_TRUSTED_PROXIES": " ", "REDIS_URL": ""})
    assert (settings.port, settings.trusted_proxies, settings.redis_url) == (3000, (), None)


def test_the_defaults_of_the_table(environment):
    settings = load(environment)
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 3000, 1)
    assert settings.data_dir == Path("./.defarm")
    assert settings.redis_timeout == timedelta(milliseconds=50)
    assert settings.max_import_body == 256 * 1024**2
    assert settings.limit_login_pair == (Window(10, 900),)
    assert settings.dfid_block == 100
    assert settings.log_format == "json"
    assert 1 <= settings.password_workers <= 4
    assert 1 <= len(settings.instance_id) <= 64


def test_logs_on_a_terminal_are_for_people_unless_told_otherwise(environment):
    assert load(environment, terminal=True).log_format == "console"
    assert load(environment | {"DEFARM_LOG_FORMAT": "json"}, terminal=True).log_format == "json"


@pytest.mark.parametrize(
    "url", ["postgres://h/d?sslmode=require", "postgresql:///d?host=/run/pg", "postgresql://a:1,b:2/d"]
)
def test_every_form_of_postgres_url_is_taken_as_it_stands(environment, url):
    assert load(environment | {"DATABASE_URL": url}).database_url == url


def test_the_external_base_is_kept_without_a_closing_slash(environment):
    settings = load(environment | {"DEFARM_PUBLIC_URL": "https://t.example.org:8443/engine/"})
    assert settings.public_url == "https://t.example.org:8443/engine"
