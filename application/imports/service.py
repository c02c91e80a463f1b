"""The import: rows are taken in like creates, a thousand to a unit, and their results stored with them."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import count
from typing import Any

import attrs

from application.imports.columns import Row
from application.imports.options import FileFault, ImportOptions, Target
from application.imports.reading import rows
from application.items.requests import OnProblem
from application.units import Units
from domain.access.principal import Principal
from domain.act import Act
from domain.document import Document
from domain.errors import Fault, Refusal, not_found
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.items.draft_values import refile
from domain.items.drafts import new_draft
from domain.items.engine import Admission, Intake, counts_of
from domain.items.pending import Origin
from domain.items.submission import Submission, read_submission
from domain.items.values import ContributionSource, Import, ImportRow, Item, Outcome
from domain.ports.errors import StorageError
from domain.ports.queries import Cursor, Page, Select, chosen
from domain.ports.schema import IMPORT_ROWS, IMPORTS, ITEMS

ROWS_PER_UNIT = 1000
ROWS_A_TURN = 50
"""Rows after which others have a turn: reading them takes a millisecond."""
SHOWN = 20
"""DFIDs that the activity of an import names."""

Progress = Callable[[int], None]


@attrs.frozen
class ImportView:
    """An import as its workspace reads it (1.9)."""

    import_id: str
    workspace_id: str
    created_by: str
    format: str
    target: str
    dry_run: bool
    on_problem: str
    status: str
    rows_read: int
    counts: Document
    sha256: str | None
    failure: Document | None
    started_at: datetime
    finished_at: datetime | None


class _Rehearsed(Exception):
    """Ends the unit of a dry run, which must leave nothing."""


@attrs.define
class Imports:
    """Runs imports and reads their reports."""

    units: Units
    keys: IdentifierKeys
    max_rows: int = 200_000

    async def run(
        self,
        principal: Principal,
        options: ImportOptions,
        chunks: AsyncIterator[bytes],
        progress: Progress = lambda rows_read: None,
    ) -> ImportView:
        """Import a file and return the finished import; a fault of the file ends it as `failed`.

        Committed rows stay when the stream breaks (`interrupted`); running the file again is safe.
        """
        run = _Run(self, principal, options, progress)
        await run.start()
        hashed = hashlib.sha256()
        try:
            read = rows(_hashing(chunks, hashed), options)
            await (run.rehearse(read) if options.dry_run else run.all(read))
        except FileFault as fault:
            return await run.finish("failed", None, fault)
        except (StorageError, Refusal):
            with suppress(StorageError):
                await run.finish("interrupted", None, None)
            raise
        except BaseException:
            await run.finish("interrupted", None, None)
            raise
        return await run.finish("completed", hashed.hexdigest(), None)

    async def get(self, principal: Principal, import_id: str) -> ImportView:
        """Return one import of the own workspace. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            found = await reader.find(IMPORTS, import_id)
        if found is None or found.workspace_id != principal.workspace_id:
            raise not_found()
        return view_of(found, self.units.clock.now())

    async def page(self, principal: Principal, after: Cursor | None = None, limit: int = 50) -> Page[ImportView]:
        """Return imports of the own workspace, newest first."""
        query = Select({"workspace_id": principal.workspace_id}, ("started_at", "import_id"), descending=True)
        async with self.units.storage.read() as reader:
            page = await reader.page(IMPORTS, query, after, limit)
        now = self.units.clock.now()
        return Page(tuple(view_of(one, now) for one in page.items), page.after)

    async def rows(
        self,
        principal: Principal,
        import_id: str,
        outcomes: Collection[Outcome] = (),
        after: Cursor | None = None,
        limit: int = 50,
    ) -> Page[ImportRow]:
        """Return the row results of an import in order. Raises Refusal `not_found`."""
        await self.get(principal, import_id)
        query = Select({"import_id": import_id, **chosen(outcome=outcomes)}, ("row",))
        async with self.units.storage.read() as reader:
            return await reader.page(IMPORT_ROWS, query, after, limit)


async def _hashing(chunks: AsyncIterator[bytes], hashed: Any) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        hashed.update(chunk)
        yield chunk


@attrs.define
class _Run:
    service: Imports
    principal: Principal
    options: ImportOptions
    progress: Progress
    stored: Import = attrs.field(init=False)
    read: int = 0
    counts: dict[str, int] = attrs.field(factory=lambda: {outcome.value: 0 for outcome in Outcome})
    rehearsed: list[ImportRow] = attrs.field(factory=list)
    changed: int = 0
    shown: list[str] = attrs.field(factory=list)

    async def start(self) -> None:
        """Store the running import."""

        async def work(act: Act) -> Import:
            begun = Import(
                import_id=new_id(),
                workspace_id=act.workspace_id,
                created_by=act.user_id,
                format=self.options.format.value,
                target=self.options.target.value,
                dry_run=self.options.dry_run,
                on_problem=self.options.on_problem.value,
                status="running",
                started_at=act.now,
                counts=Document(self.counts),
                touched_at=act.now,
            )
            await act.unit.add(IMPORTS, begun)
            return begun

        self.stored = await self.service.units.perform(self.principal, work, completes=False)

    async def all(self, read: AsyncIterator[Row]) -> None:
        """Take in all rows, each unit with its results; the rows of the next are read while it commits."""
        chunks = _Chunks(_chunked(read))
        try:
            while chunk := await chunks.next():
                await self._store(chunk, chunks)
        finally:
            await chunks.aclose()

    async def _store(self, chunk: list[Row], chunks: "_Chunks") -> None:
        self._bound(chunk)

        async def work(act: Act) -> tuple[list[ImportRow], Import]:
            results = await self._take(act, chunk)
            await act.unit.add(IMPORT_ROWS, *results)
            counted = self._counted(results)
            saved = attrs.evolve(
                self.stored,
                rows_read=self.read + len(chunk),
                counts=counted,
                touched_at=act.now,
                version=self.stored.version + 1,
            )
            await act.unit.save(IMPORTS, saved)
            chunks.begin()
            return results, saved

        results, self.stored = await self.service.units.perform(self.principal, work, dfids=len(chunk), completes=False)
        self._advance(results)

    async def rehearse(self, read: AsyncIterator[Row]) -> None:
        """Take in all rows in one unit that is thrown away, so that each sees the effects of earlier ones."""
        units = self.service.units
        try:
            async with units.storage.write() as unit:
                act = Act(unit, self.principal, units.clock.now(), _imaginary_dfids())
                async for chunk in _chunked(read):
                    self._bound(chunk)
                    results = await self._take(act, chunk)
                    kept = [attrs.evolve(one, local_id=None, pending_id=None) for one in results]
                    self.rehearsed += [_without_imaginary(one) for one in kept]
                    self._advance(results)
                raise _Rehearsed
        except _Rehearsed:
            return

    def _bound(self, chunk: list[Row]) -> None:
        if self.read + len(chunk) > self.service.max_rows:
            raise FileFault("too_many_rows", f"More than {self.service.max_rows} rows.", chunk[-1].line)

    def _advance(self, results: Sequence[ImportRow]) -> None:
        self.counts = dict(self._counted(results))
        self.read += len(results)
        if not self.options.dry_run:
            changed = [one for one in results if one.outcome in (Outcome.CREATED, Outcome.ENRICHED)]
            self.changed += len(changed)
            self.shown = [*self.shown, *(one.dfid for one in changed if one.dfid is not None)][:SHOWN]
        self.progress(self.read)

    def _counted(self, results: Sequence[ImportRow]) -> Document:
        met = Counter(result.outcome for result in results)
        return Document({outcome.value: self.counts[outcome.value] + met[outcome] for outcome in Outcome})

    async def _take(self, act: Act, chunk: list[Row]) -> list[ImportRow]:
        if self.options.target is Target.LOCAL:
            return await self._draft(act, chunk)
        refused = {index: row.faults for index, row in enumerate(chunk) if row.submission is None or row.faults}
        submissions = [
            (row.submission or Submission(), Origin("import", self.stored.import_id, self.read + index + 1))
            for index, row in enumerate(chunk)
        ]
        queue = self.options.on_problem is OnProblem.QUEUE
        payload: dict[str, object] = {"import_id": self.stored.import_id}
        intake = Intake(act, self.service.keys, ContributionSource.IMPORT, queue, payload)
        admissions = await intake.take(submissions, refused)
        results = [
            self._result(index, row, admission.outcome, admission)
            for index, (row, admission) in enumerate(zip(chunk, admissions, strict=True))
        ]
        if any(one.outcome in (Outcome.CREATED, Outcome.ENRICHED) for one in results):
            await self._audit(act, counts_of(admissions))
        return results

    async def _audit(self, act: Act, counts: Document) -> None:
        resource = ("import", self.stored.import_id)
        await act.audit("items.imported", resource, workspace_id=act.workspace_id, details={"counts": counts})

    async def _draft(self, act: Act, chunk: list[Row]) -> list[ImportRow]:
        drafts: list[Item] = []
        results: list[ImportRow] = []
        for index, row in enumerate(chunk):
            faults = row.faults
            content = read_submission(row.submission or Submission(), self.service.keys, fill=False)
            faults = (*faults, *content.faults, *content.unkept, *content.data_faults)
            if row.submission is None or faults:
                results.append(self._result(index, row, Outcome.REFUSED, Admission(Outcome.REFUSED, faults=faults)))
                continue
            draft = new_draft(act, self.service.keys, new_id(), content)
            drafts.append(draft)
            result = self._result(index, row, Outcome.CREATED, Admission(Outcome.CREATED, warnings=content.warnings))
            results.append(attrs.evolve(result, local_id=draft.local_id))
        await act.unit.add(ITEMS, *drafts)
        await refile(act.unit, (), drafts)
        if drafts:
            await self._audit(act, Document(created=len(drafts)))
        return results

    def _result(self, index: int, row: Row, outcome: Outcome, admission: Admission) -> ImportRow:
        return ImportRow(
            import_id=self.stored.import_id,
            row=self.read + index + 1,
            line=row.line,
            outcome=outcome,
            dfid=admission.item.key if admission.item is not None else None,
            pending_id=admission.pending_id,
            errors=tuple(_error(row, fault) for fault in admission.faults),
            warnings=admission.warnings,
        )

    async def finish(self, status: str, sha256: str | None, fault: FileFault | None) -> ImportView:
        """Store how the import ended, with one entry of activity for all of it, and tell its caller."""

        async def work(act: Act) -> ImportView:
            ended = attrs.evolve(
                self.stored,
                status=status,
                rows_read=self.read,
                counts=Document(self.counts),
                sha256=sha256,
                failure=_failure(fault, self.read),
                finished_at=act.now,
                version=self.stored.version + 1,
            )
            await act.unit.add(IMPORT_ROWS, *self.rehearsed)
            await act.unit.save(IMPORTS, ended)
            if self.changed:
                subject, counted = ("import", ended.import_id), {"counts": ended.counts}
                await act.activity("items_imported", subject, dfids=self.shown, item_count=self.changed, data=counted)
            await act.notify(
                "import_finished",
                [act.user_id],
                source_id=ended.import_id,
                data={"status": status, "counts": ended.counts},
                myself=True,
            )
            return view_of(ended, act.now)

        return await self.service.units.perform(self.principal, work)


def _failure(fault: FileFault | None, rows_read: int) -> Document | None:
    if fault is None:
        return None
    return Document(code=fault.code, row=rows_read + 1, detail=fault.detail, line=fault.line, column=fault.column)


def _error(row: Row, fault: Fault) -> Document:
    pointer = fault.pointer or ""
    column = next((header for place, header in row.columns.items() if f"{pointer}/".startswith(f"{place}/")), None)
    return Document(pointer=pointer, code=fault.code, detail=fault.detail, column=column)


@attrs.define
class _Chunks:
    """Chunks of rows, each of which may be begun before it is asked for."""

    _read: AsyncIterator[list[Row]]
    _begun: "asyncio.Task[list[Row]] | None" = None

    def begin(self) -> None:
        """Begin to read the next chunk, unless that was begun."""
        self._begun = self._begun or asyncio.create_task(self._following())

    async def next(self) -> list[Row]:
        """Return the next chunk, none at the end. Raises what reading it raises."""
        self.begin()
        assert self._begun is not None
        try:
            return await self._begun
        finally:
            self._begun = None

    async def _following(self) -> list[Row]:
        return await anext(self._read, [])

    async def aclose(self) -> None:
        """Leave off reading."""
        if self._begun is not None:
            self._begun.cancel()
            await asyncio.gather(self._begun, return_exceptions=True)
            self._begun = None


async def _chunked(read: AsyncIterator[Row]) -> AsyncIterator[list[Row]]:
    chunk: list[Row] = []
    async for row in read:
        chunk.append(row)
        if len(chunk) % ROWS_A_TURN == 0:
            await asyncio.sleep(0)
        if len(chunk) == ROWS_PER_UNIT:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


_IMAGINARY = "DFID-0"


def _imaginary_dfids() -> Iterator[str]:
    return (f"{_IMAGINARY}-{number}" for number in count(1))


def _without_imaginary(result: ImportRow) -> ImportRow:
    minted = result.dfid is not None and result.dfid.startswith(f"{_IMAGINARY}-")
    return attrs.evolve(result, dfid=None) if minted else result


def view_of(stored: Import, now: datetime) -> ImportView:
    """Return an import as its workspace reads it at an instant."""
    shown = {field.name: getattr(stored, field.name) for field in attrs.fields(ImportView)}
    return ImportView(**shown | {"status": stored.status_at(now)})
