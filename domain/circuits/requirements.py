"""What a circuit demands of a tokenising push (circuits.md 4.13, point 4)."""

from collections.abc import Iterable, Iterator

import attrs

from domain.circuits.values import AliasConfig, Circuit
from domain.errors import Fault
from domain.identifiers import Evidence, IdentifierScope, canonical_key
from domain.items.submission import Content

_IDENTIFIERS = "/identifiers"


def filled_namespace(circuit: Circuit) -> str | None:
    """Return the namespace that an omitted one becomes, None where the usual rule counts."""
    return circuit.default_namespace if circuit.alias_config.auto_apply_namespace else None


def requirement_faults(circuit: Circuit, content: Content) -> tuple[Fault, ...]:
    """Return everything that keeps this content of a draft out of the circuit, together."""
    config = circuit.alias_config
    none = (
        () if content.identifiers or content.faults else (_missing("identifiers_required", "At least one identifier."),)
    )
    return (
        *content.faults,
        *namespace_faults(circuit, content),
        *none,
        *content.malformed,
        *content.data_faults,
        *_canonical_faults(config, content),
        *_contextual_faults(config, content),
    )


def namespace_faults(circuit: Circuit, content: Content) -> Iterator[Fault]:
    """Yield the identifiers in namespaces that the circuit does not take."""
    allowed = circuit.alias_config.allowed_namespaces
    for read in content.identifiers:
        if allowed is not None and read.namespace not in allowed:
            detail = f"This circuit takes the namespaces {', '.join(sorted(allowed))}."
            yield Fault("namespace_not_allowed", detail, pointer=f"{read.pointer}/namespace")


def _canonical_faults(config: AliasConfig, content: Content) -> Iterator[Fault]:
    least = Evidence(config.minimum_evidence)
    for registry in config.required_canonical:
        key = canonical_key(registry)
        found = [read for read in content.identifiers if read.canonical and read.key == key]
        if not found:
            yield _missing("canonical_required", f"This circuit requires an identifier of type {key}.")
        elif all(read.check.evidence.rank < least.rank for read in found):
            detail = f"This circuit requires {key} with evidence {least.value} or better."
            yield Fault("evidence_too_low", detail, pointer=f"{found[0].pointer}/value")


def _contextual_faults(config: AliasConfig, content: Content) -> Iterator[Fault]:
    carried = {read.key for read in content.identifiers if not read.canonical}
    for key in config.required_contextual:
        if canonical_key(key) not in carried:
            yield _missing("contextual_required", f"This circuit requires an identifier {key}.")


def _missing(code: str, detail: str) -> Fault:
    return Fault(code, detail, pointer=_IDENTIFIERS)


def looks_up_fingerprint(circuit: Circuit, content: Content) -> bool:
    """Tell whether the circuit knows such a content by its contextual set: it must name no item by itself."""
    named = any(content.scope_of(read, creating=True) is IdentifierScope.GLOBAL for read in content.identifiers)
    return circuit.alias_config.use_fingerprint and not named


def seen_from_request(fault: Fault, stored: int) -> Fault:
    """Return a fault of a content that begins with the `stored` identifiers of a draft, as the request sees it.

    What is wrong with the draft itself points to `local_id`.
    """
    parts = (fault.pointer or "").split("/")
    if len(parts) < 3 or parts[1] != "identifiers" or not parts[2].isdigit():
        return fault
    index = int(parts[2]) - stored
    return attrs.evolve(fault, pointer=seen_pointer(index, parts[3:]))


def seen_pointer(index: int, rest: Iterable[str]) -> str:
    """Return the pointer to an identifier of the request; a negative index is one of the draft."""
    return "/local_id" if index < 0 else "/".join(["", "identifiers", str(index), *rest])
