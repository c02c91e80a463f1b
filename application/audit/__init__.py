"""The audit: asking it, taking it out, proving it (platform.md 6)."""

from application.audit.service import Audit

__all__ = ["Audit"]
