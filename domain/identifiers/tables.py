"""Dated tables the checks rest on. They change with the data files only."""

import datetime
import json
from importlib import resources
from types import MappingProxyType
from typing import Any


def _load(name: str) -> Any:
    return json.loads(resources.files("domain.identifiers").joinpath("data", name).read_text("utf-8"))


_STATES = _load("states.json")
_COUNTRIES = _load("iso3166_numeric.json")

STATE_CODES = MappingProxyType(dict(_STATES["codes"]))
"""IBGE code of every Brazilian state: `{"DF": "53", ...}`."""

STATES_BY_CODE = MappingProxyType({code: state for state, code in STATE_CODES.items()})

COUNTRIES = frozenset(_COUNTRIES["codes"])
"""Assigned ISO 3166-1 numeric codes, three digits each."""

TABLE_DATES = MappingProxyType(
    {
        "iso3166_numeric": datetime.date.fromisoformat(_COUNTRIES["date"]),
        "states": datetime.date.fromisoformat(_STATES["date"]),
    }
)
"""Date of each table, shown with the types (identifiers.md 2, law 6)."""
