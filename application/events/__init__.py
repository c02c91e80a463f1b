"""The events service."""

from application.events.service import Events

__all__ = ["Events"]
