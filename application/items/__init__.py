"""Items: the application service and what it answers."""

from application.items.requests import (
    CreateBatch,
    CreateDraft,
    EnrichItem,
    IdentifierReference,
    ItemFilter,
    ItemSearch,
    OnProblem,
    UpdateDraft,
    UpdateItem,
)
from application.items.service import Items
from application.items.views import IdentifierView, ItemOutcome, ItemView

__all__ = [
    "CreateBatch",
    "CreateDraft",
    "EnrichItem",
    "IdentifierReference",
    "IdentifierView",
    "ItemFilter",
    "ItemOutcome",
    "ItemSearch",
    "ItemView",
    "Items",
    "OnProblem",
    "UpdateDraft",
    "UpdateItem",
]
