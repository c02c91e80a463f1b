"""Checking the log in the store: every entry, the tree over them, every checkpoint (platform.md 6.4)."""

from application.audit.exporting import Verdict, holds
from application.audit.signing import NoteSigner
from domain.audit.log import Checkpoint
from domain.audit.merkle import Growing
from domain.audit.sequencing import newest
from domain.ports.queries import Between, Select
from domain.ports.schema import AUDIT, LOG_CHECKPOINTS
from domain.ports.storage import Reader, Storage
from domain.ports.walking import walk


async def verify_log(storage: Storage, signer: NoteSigner, first: int = 0) -> Verdict:
    """Recompute the log. Entries before `first` are taken for their hashes only."""
    async with storage.read() as reader:
        head = await newest(reader)
        size = 0 if head is None else head.tree_size
        growth = Growing()
        checked = 0
        checkpoints = _Checkpoints(reader)
        async for entry in walk(reader, AUDIT, Select({"log_index": Between(0, size)}, ("log_index", "at"))):
            if entry.log_index != growth.size or (growth.size >= first and not holds(entry)):
                return Verdict(False, growth.size, checked, growth.size, "an entry does not have its hash")
            growth.add(entry.entry_hash)
            checkpoint = await checkpoints.next(growth.size)
            if checkpoint is not None:
                checked += 1
                if not signer.verified(checkpoint) or growth.root() != checkpoint.root_hash:
                    fault = "the checkpoint is not that of the entries"
                    return Verdict(False, growth.size, checked, growth.size - 1, fault)
        if growth.size != size:
            return Verdict(False, growth.size, checked, growth.size, "entries of the log are missing")
        return Verdict(True, size, checked)


class _Checkpoints:
    """The checkpoints in order, read as the log is walked."""

    def __init__(self, reader: Reader) -> None:
        self._rows = walk(reader, LOG_CHECKPOINTS, Select(order=("checkpoint_id",)))
        self._due: Checkpoint | None = None

    async def next(self, size: int) -> Checkpoint | None:
        """Return the checkpoint of this size, if there is one."""
        due = self._due or await anext(self._rows, None)
        here = due is not None and due.tree_size == size
        self._due = None if here else due
        return due if here else None
