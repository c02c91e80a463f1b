"""Webhooks of circuits: kept, fed, delivered."""

from application.webhooks.courier import Courier
from application.webhooks.service import Webhooks

__all__ = ["Courier", "Webhooks"]
