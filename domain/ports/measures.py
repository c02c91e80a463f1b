"""Numbers about the store, taken when somebody looks (platform.md 10.2)."""

from collections.abc import Mapping

import attrs


@attrs.frozen
class Measure:
    """One number, or one for each value of `label`; `name` is without the prefix of the engine."""

    name: str
    text: str
    values: Mapping[str, float]
    label: str | None = None
