"""What somebody says about an item, read once: cleaned, checked, its faults collected (items-events.md 3.1)."""

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated

import attrs

from domain.document import EMPTY, Document
from domain.errors import Fault
from domain.identifiers import (
    GENERIC_NAMESPACE,
    WELL_KNOWN_NAMESPACES,
    Check,
    Evidence,
    IdentifierKind,
    IdentifierScope,
    Privacy,
    allowed_scopes,
    canonical_key,
    canonical_namespace,
    check,
    default_namespace,
    default_scope,
    effective_scope,
    key_is_valid,
    kind_fault,
    kind_of,
    namespace_is_valid,
    type_of,
)
from domain.identifiers.personal import IdentifierKeys
from domain.items.data_rules import data_faults, is_text
from domain.items.values import Identifier
from domain.shape import Count, Raw

MAX_IDENTIFIERS = 50
MAX_ALIASES = 20
MAX_ITEM_IDENTIFIERS = 200
MAX_ITEM_ALIASES = 200
MAX_VALUE = 256
_SCHEME = re.compile(r"[a-z][a-z0-9_.:-]{0,63}", re.ASCII)


@attrs.frozen
class IdentifierInput:
    """One identifier as sent (items-events.md 1.3)."""

    key: Annotated[str, Raw(1, 64)]
    value: Annotated[str, Raw(1, 256)]
    namespace: Annotated[str, Raw(1, 64)] | None = None
    kind: IdentifierKind | None = None
    scope: IdentifierScope | None = None


@attrs.frozen
class AliasInput:
    """One name that another system uses for the item (items-events.md 1.5)."""

    scheme: Annotated[str, Raw(1, 64)]
    value: Annotated[str, Raw(1, 256)]


@attrs.frozen
class Submission:
    """Identifiers, data and aliases of one item as sent."""

    identifiers: Annotated[tuple[IdentifierInput, ...], Count(0, MAX_IDENTIFIERS)] = ()
    data: Document = EMPTY
    aliases: Annotated[tuple[AliasInput, ...], Count(0, MAX_ALIASES)] = ()


@attrs.frozen
class Read:
    """One identifier of a submission, read. `lookup` is the keyed hash for personal types, else the normalised
    value; None when malformed. `namespace` is None where none was given and no default applies yet."""

    pointer: str
    namespace: str | None
    key: str
    value: str
    check: Check
    lookup: str | None
    asked: IdentifierScope | None

    @property
    def kind(self) -> IdentifierKind:
        return kind_of(self.key)

    @property
    def canonical(self) -> bool:
        return self.check.type is not None

    @property
    def identity(self) -> tuple[str, str, str]:
        """As `Identifier.identity`."""
        place = "" if self.canonical else self.namespace or GENERIC_NAMESPACE
        return (place, self.key, self.lookup if self.lookup is not None else self.value)

    @property
    def personal(self) -> bool:
        kind = type_of(self.key)
        return kind is not None and kind.privacy is Privacy.PERSONAL

    @property
    def single(self) -> bool:
        """Tell whether an item carries at most one value of this type."""
        kind = type_of(self.key)
        return kind is not None and kind.single


_Scoped = tuple[IdentifierScope, str | None]
"""A scope, and the code of the warning when it is less than was asked for."""


@attrs.frozen
class Content:
    """A submission, read. `faults` point into the submission; a content with faults is good for a draft at most.

    `unkept` are malformed values that not even a draft or the queue may hold: too long, or no text.
    """

    identifiers: tuple[Read, ...]
    data: Document
    aliases: tuple[AliasInput, ...]
    faults: tuple[Fault, ...] = ()
    malformed: tuple[Fault, ...] = ()
    data_faults: tuple[Fault, ...] = ()
    unkept: tuple[Fault, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_warnings(self)))

    @cached_property
    def scopes(self) -> dict[str, tuple[_Scoped, _Scoped]]:
        """What each identifier gets, by its pointer: when added to an existing item, and on a new one (3.3)."""
        keys = [read.key for read in self.identifiers]
        return {
            read.pointer: (_scoped(read, keys, creating=False), _scoped(read, keys, creating=True))
            for read in self.identifiers
        }

    def scope_of(self, read: Read, *, creating: bool) -> IdentifierScope:
        """Return the scope an identifier gets, on a new item or when added to an existing one (3.3)."""
        return self.scopes[read.pointer][creating][0]


def _scoped(read: Read, keys: list[str], *, creating: bool) -> _Scoped:
    wanted = read.asked or default_scope(read.key, creating=creating, submitted_keys=keys)
    return effective_scope(read.check, wanted)


def read_submission(
    submission: Submission,
    keys: IdentifierKeys,
    *,
    namespace: str | None = None,
    fill: bool = True,
    whole: bool = False,
) -> Content:
    """Read a submission. `namespace` stands where one is omitted (a circuit's default); without `fill` an omitted
    namespace stays None, as on drafts. `whole` allows what a whole item may have: drafts become one from many."""
    faults: list[Fault] = []
    malformed: list[Fault] = []
    unkept: list[Fault] = []
    reads: dict[tuple[str, str, str], Read] = {}
    for index, given in enumerate(submission.identifiers):
        pointer = f"/identifiers/{index}"
        found = list(_shape_faults(given, pointer))
        faults += found
        if found:
            continue
        read = _read(given, pointer, keys, namespace, fill=fill)
        if read.check.evidence is Evidence.MALFORMED:
            detail = read.check.reasons[0].detail if read.check.reasons else ""
            malformed.append(Fault("identifier_malformed", detail, pointer=f"{pointer}/value"))
            unkept += _value_faults(given.value, f"{pointer}/value")
        earlier = reads.setdefault(read.identity, read)
        if earlier is not read and earlier.asked is not read.asked:
            faults.append(Fault("identifier_duplicate", "The same identifier with two scopes.", pointer=pointer))
    faults += _count_faults(submission, whole=whole)
    faults += _alias_faults(submission.aliases)
    identifiers = tuple(reads.values())
    return Content(
        identifiers,
        submission.data,
        tuple(dict.fromkeys(submission.aliases)),
        tuple(faults),
        tuple(malformed),
        tuple(data_faults(submission.data, "/data", reserved=True, folded=whole)),
        tuple(unkept),
    )


def _shape_faults(given: IdentifierInput, pointer: str) -> Iterable[Fault]:
    key = canonical_key(given.key)
    if not key_is_valid(key):
        yield Fault(
            "identifier_key_invalid", "Keys are a-z, 0-9, _ . - and start with a letter.", pointer=f"{pointer}/key"
        )
        return
    if given.namespace is not None and not namespace_is_valid(given.namespace):
        yield Fault(
            "namespace_invalid", "Namespaces are a-z, 0-9, _ - and start with a letter.", pointer=f"{pointer}/namespace"
        )
    if given.kind is not None and (code := kind_fault(key, given.kind)):
        yield Fault(code, f"{key} cannot be {given.kind}.", pointer=f"{pointer}/kind")
    if given.scope is not None and given.scope not in allowed_scopes(key):
        allowed = ", ".join(sorted(allowed_scopes(key)))
        yield Fault("scope_not_allowed", f"{key} can be {allowed}.", pointer=f"{pointer}/scope")


def _value_faults(value: str, pointer: str) -> Iterable[Fault]:
    if len(value) > MAX_VALUE:
        yield Fault("too_long", f"At most {MAX_VALUE} characters.", pointer=pointer)
    elif not is_text(value):
        yield Fault("text_not_allowed", "No U+0000 and no lone surrogates.", pointer=pointer)


def _read(given: IdentifierInput, pointer: str, keys: IdentifierKeys, namespace: str | None, *, fill: bool) -> Read:
    key = canonical_key(given.key)
    place = canonical_namespace(given.namespace) if given.namespace is not None else namespace
    if place is None and fill:
        place = default_namespace(key)
    checked = check(key, given.value)
    kind = type_of(key)
    lookup = checked.normalised
    if lookup is not None and kind is not None and kind.privacy is Privacy.PERSONAL:
        lookup = keys.lookup(key, lookup)
    return Read(pointer, place, key, given.value, checked, lookup, given.scope)


def _count_faults(submission: Submission, *, whole: bool) -> Iterable[Fault]:
    identifiers, aliases = (MAX_ITEM_IDENTIFIERS, MAX_ITEM_ALIASES) if whole else (MAX_IDENTIFIERS, MAX_ALIASES)
    if len(submission.identifiers) > identifiers:
        yield Fault("too_many", f"At most {identifiers} identifiers.", pointer="/identifiers")
    if len(submission.aliases) > aliases:
        yield Fault("too_many", f"At most {aliases} aliases.", pointer="/aliases")


def _alias_faults(aliases: tuple[AliasInput, ...]) -> Iterable[Fault]:
    for index, alias in enumerate(aliases):
        if alias.scheme == "lid":
            yield Fault("alias_scheme_reserved", "lid is written by the engine.", pointer=f"/aliases/{index}/scheme")
        elif _SCHEME.fullmatch(alias.scheme) is None:
            words = "Schemes are a-z, 0-9, _ . : - and start with a letter."
            yield Fault("format", words, pointer=f"/aliases/{index}/scheme")
        if not alias.value:
            yield Fault("required", "The name itself is missing.", pointer=f"/aliases/{index}/value")
        yield from _value_faults(alias.value, f"/aliases/{index}/value")


def _warnings(content: Content) -> Iterable[str]:
    for read in content.identifiers:
        if read.check.evidence is Evidence.CHECK_FAILED:
            yield "check_failed"
        if (code := content.scopes[read.pointer][True][1]) is not None:
            yield code
        for reason in read.check.reasons:
            if reason.code == "series_unusual":
                yield reason.code
        if read.namespace is not None and read.namespace not in WELL_KNOWN_NAMESPACES:
            yield "namespace_unknown"


def place_of(workspace_id: str, namespace: str, key: str, lookup: str) -> str:
    """Return the text that names a value within its workspace, in entries and counters.

    Canonical values have an empty namespace, as in `Identifier.identity`.
    """
    return f"{workspace_id} {namespace}/{key} {lookup}"


def bind(
    read: Read,
    keys: IdentifierKeys,
    *,
    item: str,
    scope: IdentifierScope,
    workspace_id: str,
    contribution_id: str,
    circuit_id: str | None = None,
) -> Identifier:
    """Return the identifier as it stands on an item; personal values are sealed for that item."""
    value, normalised = read.value, read.check.normalised
    display = read.check.display if read.check.display is not None else read.value.strip()
    kind = type_of(read.key)
    if kind is not None and kind.privacy is Privacy.PERSONAL:
        value = keys.seal(item, read.namespace, read.key, read.value)
        display = kind.mask(normalised) if normalised is not None else "***"
        normalised = keys.seal(item, read.namespace, read.key, normalised) if normalised is not None else None
    return Identifier(
        namespace=read.namespace,
        key=read.key,
        value=value,
        normalised=normalised,
        lookup=read.lookup,
        display=display,
        kind=read.kind,
        scope=scope,
        evidence=read.check.evidence.value,
        workspace_id=workspace_id,
        added_by=contribution_id,
        circuit_id=circuit_id,
    )
