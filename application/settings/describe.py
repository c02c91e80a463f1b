"""The configuration as people read it: `defarm config`, and the reference table of `docs/operations.md`."""

import attrs

from application.settings.registry import FIELDS, REGISTRY, Setting, Settings

BEGIN = "<!-- settings: generated from the registry -->"
END = "<!-- settings: end -->"


@attrs.frozen
class Row:
    """One line of `defarm config`; no field ever holds a secret."""

    name: str
    value: str
    source: str
    default: str


def describe(settings: Settings) -> tuple[Row, ...]:
    """Return every variable with its value in force: secrets `[set]` or `[unset]`, URLs without user info."""
    return tuple(
        Row(
            setting.name,
            _shown(setting, getattr(settings, FIELDS[setting.name])),
            settings.sources.get(setting.name, "default"),
            setting.default_text,
        )
        for setting in REGISTRY
    )


def markdown() -> str:
    """Return the reference table of `docs/operations.md`."""
    head = ["| name | type, bounds | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *map(_markdown_row, REGISTRY)])


def rewritten(document: str) -> str:
    """Return `document` with a fresh table between its two markers; ValueError when it lacks them."""
    before, found, rest = document.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError("the document has no place for the table")
    return f"{before}{BEGIN}\n{markdown()}\n{END}{after}"


def _shown(setting: Setting, value: object) -> str:
    if value is None:
        return "[unset]" if setting.secret else ""
    return setting.kind.show(value)


def _markdown_row(setting: Setting) -> str:
    kind = f"{setting.kind.label}: {setting.bounds}" if setting.bounds else setting.kind.label
    name = f"`{setting.name}`" + (" (S)" if setting.secret else "")
    default = setting.derived or (f"`{setting.default}`" if setting.default else "–")
    return f"| {name} | {kind} | {default} | {setting.meaning} |"
