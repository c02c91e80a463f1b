"""Which circuits the directory of public pages lists, and by which words they are found (circuits.md 4.16)."""

from domain.access.vocabulary import CircuitStatus, PublicAccessMode
from domain.circuits.values import Circuit
from domain.items.search import words


def listed(circuit: Circuit) -> bool:
    """Tell whether the page is open to everybody, once its date has come where it has one."""
    settings = circuit.public_settings
    opens = settings.scheduled_date is not None if is_scheduled(circuit) else True
    to_all = settings.access_mode is not PublicAccessMode.PROTECTED
    return circuit.status is CircuitStatus.ACTIVE and circuit.allow_public_visibility and to_all and opens


def is_scheduled(circuit: Circuit) -> bool:
    """Tell whether the page waits for a date."""
    return circuit.public_settings.access_mode is PublicAccessMode.SCHEDULED


def page_words(circuit: Circuit) -> tuple[str, ...]:
    """Return the words of the name and the tagline that the page shows."""
    settings = circuit.public_settings
    return words(f"{settings.public_name or circuit.name} {settings.tagline}")
