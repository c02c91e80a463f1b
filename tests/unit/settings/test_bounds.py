"""Every variable outside its bounds stops the start and is named (platform.md 17.3, 17.56)."""

from collections.abc import Callable
from typing import Any

import pytest

from application.settings import REGISTRY, ConfigurationError, load
from application.settings.addresses import Address, Networks, Origins, PublicUrl, StoreUrl
from application.settings.types import (
    Boolean,
    Choice,
    Directory,
    Duration,
    EncodedKey,
    Integer,
    Key,
    Limit,
    Line,
    Size,
)


def _unescaped(kind: StoreUrl) -> list[str]:
    """Passwords that a driver would take apart, and show in its messages."""
    words = ("wo/rd", "wo?rd", "wo#rd", "wo@rd", "wo%rd", "wo%00rd")
    return [f"{kind.schemes[0]}://me:{word}@db/x" for word in words] + [f"{kind.schemes[0]}://db/x?word"]


OUTSIDE: dict[type, Callable[[Any], list[str]]] = {
    Integer: lambda kind: [str(kind.low - 1), str(kind.high + 1), "abc", "1.5", "１２"],
    Duration: lambda kind: [f"{kind.low - 0.001:f}", f"{kind.high + 0.001:f}", "-1s", "5 weeks", "nan"],
    Size: lambda kind: [str(kind.low - 1), str(kind.high + 1), "1 GB", "-1"],
    Boolean: lambda kind: ["maybe", "2"],
    Choice: lambda kind: ["nonsense"],
    Line: lambda kind: ["x" * (kind.longest + 1), "a\x07b", *(["Upper case"] if kind.pattern else [])],
    Key: lambda kind: ["k" * (kind.shortest - 1)],
    EncodedKey: lambda kind: ["not base64!", "c2hvcnQ="],
    Directory: lambda kind: ["a\0b"],
    Address: lambda kind: ["999.1.1.1", "two words", "-dash", "::zz"],
    StoreUrl: lambda kind: ["mysql://db/x", "just text", f"{kind.schemes[0]}://db:port/x", *_unescaped(kind)],
    PublicUrl: lambda kind: ["ftp://example.org", "https://", "https://a@h.example", "https://h.example/?q=1"],
    Networks: lambda kind: ["10.0.0.0/33", "10.0.0.1/8", "example.org"],
    Origins: lambda kind: ["example.org", "https://h.example/path", "https://h.example:port", "https://u@h"],
    Limit: lambda kind: ["10", "ten/minute", "0/minute", "5/week", "5/minute;6/minute", "5/minute;"],
}
"""Texts that a kind must not take; a kind without some fails its tests."""


@pytest.mark.parametrize("setting", REGISTRY, ids=lambda setting: setting.name)
def test_56_a_value_outside_the_bounds_is_refused_by_name_and_alone(setting, environment):
    for text in OUTSIDE[type(setting.kind)](setting.kind):
        with pytest.raises(ConfigurationError) as raised:
            load(environment | {setting.name: text})
        assert [fault.name for fault in raised.value.faults] == [setting.name], text
        assert setting.name in str(raised.value)
        assert (raised.value.faults[0].value is None) == setting.secret


@pytest.mark.parametrize("setting", REGISTRY, ids=lambda setting: setting.name)
def test_the_bounds_themselves_and_the_default_are_taken(setting):
    kind = setting.kind
    if isinstance(kind, Integer | Size):
        assert (kind.parse(str(kind.low)), kind.parse(str(kind.high))) == (kind.low, kind.high)
    if isinstance(kind, Duration):
        assert [kind.parse(f"{bound:f}").total_seconds() for bound in (kind.low, kind.high)] == [
            kind.low,
            kind.high,
        ]
    if setting.default:
        value = kind.parse(setting.default)
        assert kind.parse(kind.show(value)) == value


def test_3_all_faults_are_listed_together_and_no_secret_among_them(environment):
    short = "canary-0123456789-0123456789-01"
    assert len(short) == 31
    with pytest.raises(ConfigurationError) as raised:
        load(environment | {"JWT_SECRET": short, "PORT": "abc"})
    message = str(raised.value)
    assert "PORT is not a whole number (value: 'abc')" in message
    assert "JWT_SECRET is shorter than 32 bytes" in message
    assert short not in message
    assert "canary" not in repr(raised.value.faults)


def test_a_url_among_the_faults_shows_no_user_info(environment):
    with pytest.raises(ConfigurationError) as raised:
        load(environment | {"DEFARM_PUBLIC_URL": "https://me:canary@x", "DATABASE_URL": "x://me:canary@y"})
    assert len(raised.value.faults) == 2
    assert "canary" not in str(raised.value) + repr(raised.value.faults)
