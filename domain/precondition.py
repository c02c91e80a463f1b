"""The version a caller saw before asking for a change (http.md 8)."""

from domain.errors import Refusal

Versions = frozenset[int] | None
"""The versions a caller accepts; None when the caller does not ask."""


def require_version(accepted: Versions, current: int) -> None:
    """Refuse a change of what has changed meanwhile. Raises Refusal `version_mismatch` with `current_version`."""
    if accepted is not None and current not in accepted:
        raise Refusal(
            "version_mismatch",
            f"It is at version {current}, and your If-Match names another one.",
            current_version=current,
        )
