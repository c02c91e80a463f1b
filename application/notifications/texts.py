"""Words and links of notifications, in the reader's language (platform.md 8.1)."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any, Final
from urllib.parse import quote

import attrs

from domain.notifications.values import Notification, NotificationType

SOMEBODY: Final = {"en": "Somebody", "pt_br": "Alguém"}
A_CIRCUIT: Final = {"en": "a circuit", "pt_br": "um circuito"}


@attrs.frozen
class Words:
    """Title and message by locale, and the template of the link."""

    said: Mapping[str, tuple[str, str]]
    link: str | None


@cache
def catalogue() -> Mapping[NotificationType, Words]:
    """Return the words of every type."""
    text = files("application.notifications").joinpath("texts.toml").read_text("utf-8")
    return {
        NotificationType(kind): Words({"en": tuple(entry["en"]), "pt_br": tuple(entry["pt"])}, entry.get("link"))
        for kind, entry in tomllib.loads(text).items()
    }


class _Lenient(Formatter):
    """Fills templates; what is not known is left out."""

    def get_value(self, key: int | str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        value = kwargs.get(str(key))
        if isinstance(value, tuple):
            return ", ".join(map(str, value))
        return "" if value is None else value


_fill = _Lenient().vformat


def rendered(
    row: Notification, locale: str, names: Mapping[str, str], circuits: Mapping[str, str]
) -> tuple[str, str, str | None]:
    """Return title, message and link; `names` of users and `circuits` by id."""
    words = catalogue()[NotificationType(row.type)]
    title, message = words.said[locale]
    known = {**row.data, "source_id": row.source_id, "circuit_id": row.circuit_id, "dfid": row.dfid}
    called = {
        "actor": names.get(row.actor_user_id or "", SOMEBODY[locale]),
        "circuit": circuits.get(row.circuit_id or "", A_CIRCUIT[locale]),
    }
    return title, _fill(message, (), known | called).strip(), _link(words.link, known)


def _link(template: str | None, known: Mapping[str, Any]) -> str | None:
    if template is None:
        return None
    needed = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    if any(known.get(name) is None for name in needed):
        return None
    return template.format(**{name: quote(str(known[name]), safe="") for name in needed})
