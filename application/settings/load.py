"""Reading and checking the whole configuration at once (platform.md 11)."""

import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from application.secrets import derive_key
from application.settings.addresses import Networks, Origins
from application.settings.registry import FIELDS, REGISTRY, Setting, Settings
from application.settings.rules import RULES
from application.settings.sources import ConfigurationError, Given, SettingFault, gather
from application.settings.types import Key

LocalSecret = Callable[[Path, str], str]
"""Given the data directory and the name of a variable, the secret kept there, made when it is absent.

Raises OSError when the directory cannot be used, ValueError (free of the secret) when what is kept is damaged.
"""


def load(
    environment: Mapping[str, str],
    *,
    options: Mapping[str, str] = MappingProxyType({}),
    env_file: Path | None = None,
    local_secret: LocalSecret | None = None,
    terminal: bool = False,
) -> Settings:
    """Return the checked configuration.

    `options` are command-line options by name of their variable. `env_file` must be readable when given.
    `local_secret` is asked for JWT_SECRET and DEFARM_SECRET_KEY with the embedded store and `memory`, only
    when nothing else is wrong; without it they have to be configured. `terminal` says that logs go to one.
    Raises ConfigurationError with every fault found.
    """
    given, unknown, faults = gather(options, environment, env_file)
    draft = _Draft(given, faults)
    for setting in REGISTRY:
        draft.read(setting)
    _resolve(draft, terminal)
    draft.faults.extend(_contradictions(draft))
    if not draft.faults:
        _fill_root_keys(draft, local_secret)
    if draft.faults:
        raise ConfigurationError(draft.faults)
    return Settings(
        **{field: draft[name] for name, field in FIELDS.items()},
        sources=MappingProxyType(draft.sources),
        warnings=(*unknown, *_warnings(draft)),
    )


@attrs.define
class _Draft:
    """Values by name of their variable while they are put together; None = not set, absent = faulty."""

    given: Mapping[str, Given]
    faults: list[SettingFault]
    values: dict[str, Any] = attrs.field(factory=dict)
    sources: dict[str, str] = attrs.field(factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)

    def read(self, setting: Setting) -> None:
        found = self.given.get(setting.name, Given(setting.default, "default"))
        self.sources[setting.name] = found.source
        try:
            self.values[setting.name] = setting.kind.parse(found.text) if found.text else _nothing(setting)
        except ValueError as error:
            shown = None if setting.secret else found.text
            self.faults.append(SettingFault(setting.name, str(error), shown))

    def replace(self, name: str, value: Any, source: str) -> None:
        self.values[name] = value
        self.sources[name] = source

    def is_unset(self, name: str) -> bool:
        return name in self.values and self.values[name] is None

    def sound(self, *names: str) -> bool:
        """Whether all of these were read; a rule about a faulty value would only repeat its fault."""
        return all(name in self.values for name in names)


_DERIVED = "derived"


def _nothing(setting: Setting) -> Any:
    return () if isinstance(setting.kind, Networks | Origins) else None


def _resolve(draft: _Draft, terminal: bool) -> None:
    """Put a value where `auto` or nothing stands, as the table says; a faulty value stays absent."""
    with_redis = draft["REDIS_URL"] is not None
    if draft.is_unset("USE_REDIS_CACHE"):
        draft.values["USE_REDIS_CACHE"] = with_redis
    if draft["DEFARM_STORAGE"] == "auto" and draft.sound("USE_REDIS_CACHE", "REDIS_URL"):
        draft.values["DEFARM_STORAGE"] = "redis_cached" if draft["USE_REDIS_CACHE"] else "postgres"
    if draft["DEFARM_LIMITER"] == "auto":
        draft.values["DEFARM_LIMITER"] = "redis" if with_redis else "memory"
    if draft["DEFARM_BUS"] == "auto":
        stored = "local" if draft["DEFARM_STORAGE"] == "memory" else "postgres"
        draft.values["DEFARM_BUS"] = "redis" if with_redis else stored
    if draft.is_unset("DEFARM_PASSWORD_WORKERS"):
        draft.values["DEFARM_PASSWORD_WORKERS"] = min(4, os.cpu_count() or 1)
    if draft.is_unset("DEFARM_LOG_FORMAT"):
        draft.values["DEFARM_LOG_FORMAT"] = "console" if terminal else "json"
    if draft.is_unset("DEFARM_INSTANCE_ID"):
        draft.values["DEFARM_INSTANCE_ID"] = _instance_id()


def _instance_id() -> str:
    tail = f"-{os.getpid()}-{secrets.token_hex(2)}"
    return socket.gethostname()[: 64 - len(tail)] + tail


def _contradictions(draft: _Draft) -> Iterator[SettingFault]:
    for rule in RULES:
        if draft.sound(*rule.names) and rule.broken(draft):
            given = draft.given.get(rule.names[0])
            yield SettingFault(rule.names[0], rule.reason, given.text if given else None)


def _fill_root_keys(draft: _Draft, local_secret: LocalSecret | None) -> None:
    local = draft["DATABASE_URL"] is None or draft["DEFARM_STORAGE"] == "memory"
    for name in ("JWT_SECRET", "DEFARM_SECRET_KEY"):
        if draft.is_unset(name) and local:
            _take_local(draft, name, local_secret)
    if draft.is_unset("DEFARM_SECRET_KEY") and not local:
        draft.replace("DEFARM_SECRET_KEY", derive_key(draft["JWT_SECRET"], "defarm/secret-key"), _DERIVED)
        if draft.is_unset("DEFARM_SECRET_KEY_PREVIOUS") and draft["DEFARM_JWT_SECRET_PREVIOUS"]:
            previous = derive_key(draft["DEFARM_JWT_SECRET_PREVIOUS"], "defarm/secret-key")
            draft.replace("DEFARM_SECRET_KEY_PREVIOUS", previous, _DERIVED)


def _take_local(draft: _Draft, name: str, local_secret: LocalSecret | None) -> None:
    if local_secret is None:
        draft.faults.append(SettingFault(name, "is not set, and nothing may be made in its place here"))
        return
    try:
        key = Key(32).parse(local_secret(draft["DEFARM_DATA_DIR"], name))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        draft.faults.append(SettingFault(name, f"cannot be kept in the data directory: {reason}"))
        return
    draft.replace(name, key, "data directory")


def _warnings(draft: _Draft) -> Iterator[str]:
    storage = draft["DEFARM_STORAGE"]
    if draft.sources["DEFARM_SECRET_KEY"] == _DERIVED:
        yield "DEFARM_SECRET_KEY is not set: it is derived from JWT_SECRET, and changes when that changes"
    if storage == "memory":
        yield "DEFARM_STORAGE=memory keeps nothing: for tests and demos only"
        if draft["DATABASE_URL"] is not None:
            yield "DATABASE_URL is not used with DEFARM_STORAGE=memory"
    if draft["USE_REDIS_CACHE"] and storage != "redis_cached" and "USE_REDIS_CACHE" in draft.given:
        yield f"USE_REDIS_CACHE has no effect with DEFARM_STORAGE={storage}"
    if draft["SKIP_ITEMS_PRELOAD"] and storage != "write_through":
        yield f"SKIP_ITEMS_PRELOAD has no effect with DEFARM_STORAGE={storage}"
