"""What holds in every store at any time, as functions (circuits.md 7, items-events.md 14, platform.md 16).

Rules that say something of answers, of time or of other machines are held by tests instead: lists that equal the
decision, answers without secrets, what survives a kill.
"""

from application.invariants import accounts, audited, circuits, events, finding, items, records, sharing, webhooks
from application.invariants.core import INVARIANTS, Breach, Invariant, breaches

__all__ = [
    "INVARIANTS",
    "Breach",
    "Invariant",
    "accounts",
    "audited",
    "breaches",
    "circuits",
    "events",
    "finding",
    "items",
    "records",
    "sharing",
    "webhooks",
]
