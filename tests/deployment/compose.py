"""compose.yaml, read as a container engine would."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<how>[-?])(?P<other>[^}]*))?\}")


def composition(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the file with `${NAME}`, `${NAME:-default}` and `${NAME:?complaint}` filled in.

    Raises LookupError for a variable without which nothing is started.
    """
    found: dict[str, Any] = _filled(yaml.safe_load((ROOT / "compose.yaml").read_text()), variables)
    return found


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    match value:
        case dict():
            return {name: _filled(member, variables) for name, member in value.items()}
        case list():
            return [_filled(member, variables) for member in value]
        case str():
            return _VARIABLE.sub(lambda found: _variable(found, variables), value)
        case _:
            return value


def _variable(found: re.Match[str], variables: Mapping[str, str]) -> str:
    text = variables.get(found["name"], "")
    if not text and found["how"] != "-":
        raise LookupError(f"{found['name']}: {found['other']}")
    return text or found["other"]


def env_file(path: Path) -> dict[str, str]:
    """Return what an .env file sets."""
    lines = (line.partition("=") for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {name: text for name, _, text in lines}


def engine_environment(
    parts: Mapping[str, Any], service: str, secrets: Mapping[str, str], folder: Path
) -> dict[str, str]:
    """Return the variables of a service, its secrets and files laid down in `folder` instead of in a container."""
    variables = dict(parts["services"][service]["environment"])
    for name in parts["services"][service]["secrets"]:
        (folder / name).write_text(secrets[parts["secrets"][name]["environment"]])
    for name in parts["services"][service]["configs"]:
        (folder / name).write_text(parts["configs"][name]["content"])
    return {
        name: str(folder / Path(text).name) if name.endswith("_FILE") else str(text) for name, text in variables.items()
    }
