"""Where the text of a variable comes from, and in which order (platform.md 11)."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from application.settings.addresses import without_user_info
from application.settings.registry import REGISTRY, Setting

_LONGEST_FILE = 1024 * 1024
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.ASCII)
_QUOTED = re.compile(r"""(?:"([^"]*)"|'([^']*)')\s*(?:#.*)?""")


@attrs.frozen
class SettingFault:
    """Why one variable cannot be used. `value` is None for secrets and where there is none."""

    name: str
    reason: str
    value: str | None = attrs.field(default=None, converter=attrs.converters.optional(without_user_info))

    def __str__(self) -> str:
        shown = "" if self.value is None else f" (value: {self.value!r})"
        return f"{self.name} {self.reason}{shown}"


class ConfigurationError(Exception):
    """The configuration cannot be used; `faults` holds everything that is wrong with it (exit code 2)."""

    def __init__(self, faults: Iterable[SettingFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(["The configuration cannot be used:", *(f"  {f}" for f in self.faults)]))


@attrs.frozen
class Given:
    """The text of a variable and the name of its source; the text may be a secret."""

    text: str = attrs.field(repr=False)
    source: str


def gather(
    options: Mapping[str, str], environment: Mapping[str, str], env_file: Path | None
) -> tuple[dict[str, Given], tuple[str, ...], list[SettingFault]]:
    """Return the text of every variable that is set, warnings about unknown ones, and faults of reading."""
    faults: list[SettingFault] = []
    from_file = _read_env_file(env_file, faults) if env_file else {}
    given: dict[str, Given] = {}
    for setting in REGISTRY:
        if text := options.get(setting.name, "").strip():
            given[setting.name] = Given(text, "option")
        elif found := _first(setting, {"environment": environment, ".env": from_file}, faults):
            given[setting.name] = found
    return given, _unknown({**from_file, **environment}), faults


def default_env_file() -> Path | None:
    """Return `.env` of the working directory when there is one."""
    path = Path(".env")
    return path if path.is_file() else None


def _first(setting: Setting, places: Mapping[str, Mapping[str, str]], faults: list[SettingFault]) -> Given | None:
    for source, variables in places.items():
        if text := variables.get(setting.name, "").strip():
            return Given(text, source)
        if setting.secret and (path := variables.get(f"{setting.name}_FILE", "").strip()):
            return _read_secret(setting.name, path, faults)
    return None


def _read_secret(name: str, path: str, faults: list[SettingFault]) -> Given | None:
    """Read the file a `<NAME>_FILE` names; an empty one is a fault: somebody meant to set a secret."""
    text = _read(Path(path), f"{name}_FILE", faults)
    if text is None:
        return None
    if not text.strip():
        faults.append(SettingFault(f"{name}_FILE", "names an empty file", path))
        return None
    return Given(text.strip(), "file")


def _read(path: Path, name: str, faults: list[SettingFault]) -> str | None:
    try:
        if path.is_file() and path.stat().st_size > _LONGEST_FILE:
            raise OSError("is too long")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        faults.append(SettingFault(name, "names a file that is not UTF-8", str(path)))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is too long or has no usable name"
        faults.append(SettingFault(name, f"names a file that cannot be read: {reason}", str(path)))
    return None


def _read_env_file(path: Path, faults: list[SettingFault]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for number, line in enumerate((_read(path, "--env-file", faults) or "").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line.strip())
        if match is None:
            faults.append(SettingFault("--env-file", f"is not NAME=value in line {number}", str(path)))
            continue
        variables[match[1]] = _unquoted(match[2])
    return variables


def _unquoted(text: str) -> str:
    if quoted := _QUOTED.fullmatch(text):
        return quoted[1] if quoted[1] is not None else quoted[2]
    return "" if text.startswith("#") else re.split(r"\s#", text, maxsplit=1)[0].strip()


def _unknown(variables: Iterable[str]) -> tuple[str, ...]:
    known = {setting.name for setting in REGISTRY}
    known |= {f"{setting.name}_FILE" for setting in REGISTRY if setting.secret}
    strangers = sorted(name for name in variables if name.startswith("DEFARM_") and name not in known)
    return tuple(f"{name} is not known; did you mean {_nearest(name, known)}?" for name in strangers)


def _nearest(name: str, known: Iterable[str]) -> str:
    return difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)[0]
