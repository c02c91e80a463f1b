"""Local drafts: work in progress that claims nothing and tells nobody (items-events.md 6.6)."""

from collections.abc import Hashable

import attrs

from domain.access.vocabulary import ItemStatus
from domain.act import Act
from domain.canonical import canonical
from domain.document import Document
from domain.identifiers import IdentifierScope, Privacy, default_scope, type_of
from domain.identifiers.personal import IdentifierKeys
from domain.items.fold import confidence, fingerprint
from domain.items.submission import AliasInput, Content, IdentifierInput, Submission, bind, read_submission
from domain.items.values import Alias, Identifier, Item


def new_draft(act: Act, keys: IdentifierKeys, local_id: str, content: Content) -> Item:
    """Return a draft of this content; malformed identifiers are kept with their evidence."""
    draft = Item(
        dfid=None,
        local_id=local_id,
        workspace_id=act.workspace_id,
        created_by=act.principal.user_id,
        status=ItemStatus.LOCAL,
        identifiers=draft_identifiers(act, keys, local_id, content),
        data=Document({key: value for key, value in content.data.items() if value is not None}),
        aliases=draft_aliases(act, content.aliases),
        created_at=act.now,
        updated_at=act.now,
    )
    return derived(draft)


def derived(draft: Item) -> Item:
    """Return a draft with what follows from its identifiers (3.6, 4.4)."""
    return attrs.evolve(
        draft,
        fingerprint=fingerprint("workspace", draft.workspace_id, draft.identifiers),
        confidence=confidence(draft.identifiers),
    )


def draft_identifiers(act: Act, keys: IdentifierKeys, local_id: str, content: Content) -> tuple[Identifier, ...]:
    """Return the identifiers of a draft. A draft has no contributions; it names itself as what brought them."""
    bound = (
        bind(
            read,
            keys,
            item=local_id,
            scope=content.scope_of(read, creating=True),
            workspace_id=act.workspace_id,
            contribution_id=local_id,
        )
        for read in content.identifiers
    )
    return tuple(sorted(bound, key=lambda identifier: identifier.order))


def draft_aliases(act: Act, given: tuple[AliasInput, ...]) -> tuple[Alias, ...]:
    return tuple(Alias(alias.scheme, alias.value, act.workspace_id, act.now) for alias in given)


def content_of(draft: Item, keys: IdentifierKeys, extras: Submission, *, namespace: str | None = None) -> Content:
    """Return the content of a draft with the extras of a push, as a submission read anew.

    Extras win per data key; identifiers are united, within the bounds of an item. `namespace` is what a circuit fills
    in for an omitted one.
    """
    stored = stored_submission(draft, keys)
    united = Submission(
        identifiers=(*stored.identifiers, *extras.identifiers),
        data=Document({**stored.data, **extras.data}),
        aliases=(*stored.aliases, *extras.aliases),
    )
    return read_submission(united, keys, namespace=namespace, whole=True)


def stored_submission(draft: Item, keys: IdentifierKeys) -> Submission:
    """Return what would have to be submitted to get this draft again."""
    submitted = [identifier.key for identifier in draft.identifiers]
    return Submission(
        identifiers=tuple(_given(identifier, draft, keys, submitted) for identifier in draft.identifiers),
        data=draft.data,
        aliases=tuple(AliasInput(alias.scheme, alias.value) for alias in draft.aliases),
    )


def said(draft: Item, keys: IdentifierKeys) -> Hashable:
    """Return what a draft by itself says, by which two versions of it are told apart."""
    stored = stored_submission(draft, keys)
    decided = draft.own.decided if draft.own is not None else ()
    return (frozenset(stored.identifiers), canonical(stored.data), frozenset(stored.aliases), decided)


def _given(identifier: Identifier, draft: Item, keys: IdentifierKeys, submitted: list[str]) -> IdentifierInput:
    value = clear_value(identifier, draft.key, keys)
    given = IdentifierInput(identifier.key, value, identifier.namespace)
    usual = default_scope(identifier.key, creating=True, submitted_keys=submitted)
    return (
        given if identifier.scope in (usual, IdentifierScope.WORKSPACE) else attrs.evolve(given, scope=identifier.scope)
    )


def clear_value(identifier: Identifier, item_key: str, keys: IdentifierKeys) -> str:
    """Return the value as given, opened when it is sealed. Raises SealBroken."""
    if not is_personal(identifier):
        return identifier.value
    return keys.open(item_key, identifier.namespace, identifier.key, identifier.value)


def is_personal(identifier: Identifier) -> bool:
    """Tell whether the type of an identifier names a natural person."""
    kind = type_of(identifier.key)
    return kind is not None and kind.privacy is Privacy.PERSONAL
