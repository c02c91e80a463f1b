"""Parameters that every list takes (http.md 7)."""

from typing import Annotated

import attrs

from domain.shape import Range, Raw

Limit = Annotated[int, Range(1, 200)]
Cursor = Annotated[str, Raw(1, 1024)] | None


@attrs.frozen
class PageQuery:
    """How many entries, and where the page continues."""

    limit: Limit = 50
    cursor: Cursor = None
