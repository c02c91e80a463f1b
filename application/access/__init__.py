"""Access, told: why something is allowed or not, and what a member would see."""

from application.access.service import Access

__all__ = ["Access"]
