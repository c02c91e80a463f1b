"""Items: the application service and what it answers."""

from application.items.requests import (
    CreateDraft,
    EnrichItem,
    IdentifierReference,
    ItemFilter,
    OnProblem,
    UpdateDraft,
    UpdateItem,
)
from application.items.service import Items
from application.items.views import IdentifierView, ItemOutcome, ItemView

__all__ = [
    "CreateDraft",
    "EnrichItem",
    "IdentifierReference",
    "IdentifierView",
    "ItemFilter",
    "ItemOutcome",
    "ItemView",
    "Items",
    "OnProblem",
    "UpdateDraft",
    "UpdateItem",
]
