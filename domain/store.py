"""The record a store keeps of itself."""

from datetime import datetime

import attrs


@attrs.frozen
class StoreRecord:
    """Who this store is (items-events.md 11) and the wrapped data key (identifiers.md 6).

    `setup_value` is the random part of the setup token and is None once an administrator exists.
    """

    store_key: str
    store_id: str
    wrapped_data_key: str
    created_at: datetime
    setup_value: str | None = None
    read_only: bool = False
    version: int = 1
