"""Checking the log in the store: every entry, the tree over them, every checkpoint (platform.md 6.4)."""

from application.audit.exporting import Verdict, holds
from application.audit.signing import NoteSigner
from domain.audit.log import Checkpoint
from domain.audit.merkle import Growing
from domain.audit.sequencing import newest
from domain.audit.values import AuditEntry
from domain.ports.queries import Between, Cursor, Page, Select
from domain.ports.schema import AUDIT, LOG_CHECKPOINTS
from domain.ports.storage import MAX_PAGE, Reader, Storage


async def verify_log(storage: Storage, signer: NoteSigner, first: int = 0) -> Verdict:
    """Recompute the log. Entries before `first` are taken for their hashes only."""
    async with storage.read() as reader:
        head = await newest(reader)
        size = 0 if head is None else head.tree_size
        growth = Growing()
        checked = 0
        after: Cursor | None = None
        checkpoints = _Checkpoints(reader)
        while True:
            page = await _page(reader, size, after)
            for entry in page.items:
                if entry.log_index != growth.size or (growth.size >= first and not holds(entry)):
                    return Verdict(False, growth.size, checked, growth.size, "an entry does not have its hash")
                growth.add(entry.entry_hash)
                checkpoint = await checkpoints.next(growth.size)
                if checkpoint is not None:
                    checked += 1
                    if not signer.verified(checkpoint) or growth.root() != checkpoint.root_hash:
                        fault = "the checkpoint is not that of the entries"
                        return Verdict(False, growth.size, checked, growth.size - 1, fault)
            if (after := page.after) is None:
                break
        if growth.size != size:
            return Verdict(False, growth.size, checked, growth.size, "entries of the log are missing")
        return Verdict(True, size, checked)


async def _page(reader: Reader, size: int, after: Cursor | None) -> Page[AuditEntry]:
    query = Select({"log_index": Between(0, size)}, ("log_index", "at"))
    return await reader.page(AUDIT, query, after, MAX_PAGE)


class _Checkpoints:
    """The checkpoints in order, read as the log is walked."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._waiting: list[Checkpoint] = []
        self._after: Cursor | None = None
        self._ended = False

    async def next(self, size: int) -> Checkpoint | None:
        """Return the checkpoint of this size, if there is one."""
        if not self._waiting and not self._ended:
            page = await self._reader.page(LOG_CHECKPOINTS, Select(order=("checkpoint_id",)), self._after, MAX_PAGE)
            self._waiting = list(page.items[::-1])
            self._after = page.after
            self._ended = page.after is None
        if self._waiting and self._waiting[-1].tree_size == size:
            return self._waiting.pop()
        return None
