"""What callers send about webhooks (circuits.md 1.8, 4.19)."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

import attrs

from domain.errors import Fault, Invalid
from domain.shape import UNSET, Count, Id, Line, Pattern, Range, Raw, Unset
from domain.webhooks.triggers import Trigger
from domain.webhooks.values import TEST, DeliveryStatus

LONGEST_GRACE = 604_800
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_OWN = re.compile(r"host|content-.*|transfer-encoding|connection|webhook-.*|user-agent", re.IGNORECASE)
_VALUE = re.compile(r"(?:[!-~](?:[ -~]{0,1022}[!-~])?)?")
"""A space at either end is no part of a value: what sends requests refuses it, at every attempt."""

Name = Annotated[str, Line(1, 100)]
Url = Annotated[str, Raw(1, 2048)]
Triggers = Annotated[frozenset[Trigger], Count(1, 7)]
Headers = Annotated[Mapping[str, str], Count(0, 20)]


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse header names that are none or the engine's own, and values that could break the request. Raises
    Invalid."""
    faults = [*_faults(headers)]
    if faults:
        raise Invalid(faults)


def _faults(headers: Mapping[str, str]) -> Iterator[Fault]:
    seen: set[str] = set()
    for name, value in headers.items():
        pointer = f"/headers/{name.replace('~', '~0').replace('/', '~1')}"
        if _NAME.fullmatch(name) is None:
            yield Fault("format", "This is no name of a header.", pointer=pointer)
        elif _OWN.fullmatch(name) is not None or name.lower() in seen:
            yield Fault("not_allowed", f"The header {name} is set by the engine, or twice.", pointer=pointer)
        if _VALUE.fullmatch(value) is None:
            yield Fault(
                "format", "Up to 1,024 visible ASCII characters, without a space at either end.", pointer=pointer
            )
        seen.add(name.lower())


@attrs.frozen
class CreateWebhook:
    """A receiver and what it wants to hear of."""

    name: Name
    url: Url
    trigger_events: Triggers = frozenset(Trigger)
    headers: Headers = attrs.field(factory=dict, repr=False)
    enabled: bool = True


@attrs.frozen
class UpdateWebhook:
    """What changes; `headers` are replaced as a whole."""

    name: Name | Unset = UNSET
    url: Url | Unset = UNSET
    trigger_events: Triggers | Unset = UNSET
    headers: Headers | Unset = attrs.field(default=UNSET, repr=False)
    enabled: bool | Unset = UNSET


@attrs.frozen
class SwitchPostActions:
    """Whether what happens in a circuit is told to its webhooks."""

    enabled: bool


@attrs.frozen
class RotateSecret:
    """How long the secret of before signs too, in seconds."""

    grace_seconds: Annotated[int, Range(0, LONGEST_GRACE)] = 86_400


Kind = Annotated[str, Pattern("|".join((*Trigger, TEST)), "A trigger, or webhook_test.")]


@attrs.frozen
class DeliveryFilter:
    """Deliveries of a circuit, newest first."""

    webhook_id: Id | None = None
    status: frozenset[DeliveryStatus] = frozenset()
    trigger: Kind | None = None
