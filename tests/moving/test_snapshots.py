"""A whole store in one file, and back (docs/operations.md)."""

import gzip
import hashlib
import random
from pathlib import Path

import pytest

from adapters.memory.place import MemoryPlace
from adapters.memory.storage import MemoryStorage
from adapters.postgres.place import PostgresPlace
from adapters.snapshot import SnapshotPlace
from application.moving import Copy, CopyReport, compared, tallies
from container import write_snapshot
from domain.items.storage_records import StoreName
from domain.ports.clock import SystemClock
from domain.ports.moving import CannotMove, SnapshotDamaged, Source, Target
from tests.moving.test_copying import Interrupted, copy, digests, silent

NAME = StoreName("", "memory", "fazenda")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.snapshot"


async def keep(source: Source, path: Path) -> None:
    await write_snapshot(source, path, NAME, SystemClock(), silent)


async def restore(path: Path, target: Target) -> CopyReport:
    name = StoreName("", "postgres")
    return await Copy(SnapshotPlace(path), target, NAME, name, SystemClock(), keeps_identity=True).run()


async def test_a_store_restored_from_a_file_is_the_same_store_again(
    memory: MemoryPlace, database: PostgresPlace, file: Path
) -> None:
    await keep(memory, file)
    assert file.stat().st_mode & 0o777 == 0o600
    report = await restore(file, database)
    assert report.sound and report.recorded == 0
    assert compared(await digests(memory), await digests(database, copied=True)) == []
    async with memory.standing() as before, database.standing() as after:
        assert before.record.store_id == after.record.store_id
    assert await memory.sealed() is None and await database.sealed() is None


async def test_a_file_made_of_postgresql_goes_back_into_memory(
    memory: MemoryPlace, database: PostgresPlace, file: Path
) -> None:
    await copy(memory, database)
    await keep(database, file)
    back = MemoryPlace(MemoryStorage())
    assert (await restore(file, back)).sound
    assert [one.part for one in compared(await digests(database), await digests(back))] == ["audit"]
    async with SnapshotPlace(file).standing() as held:
        assert await tallies(held, silent) == await digests(database)


async def test_a_file_is_a_source_of_another_store_too(
    memory: MemoryPlace, database: PostgresPlace, file: Path
) -> None:
    await keep(memory, file)
    report = await copy(SnapshotPlace(file), database)
    assert report.sound and report.recorded == 61 and report.store_id != report.source_id


async def test_everybody_can_read_the_file(memory: MemoryPlace, file: Path) -> None:
    await keep(memory, file)
    lines = gzip.decompress(file.read_bytes()).splitlines()
    assert lines[0].startswith(b"#defarm-snapshot {") and lines[0].endswith(b'"version":1}')
    first, last = lines.index(b"#part events") + 1, next(i for i, x in enumerate(lines) if x.startswith(b"#end events"))
    chained = b""
    for row in lines[first:last]:
        chained = hashlib.sha256(chained + row).digest()
    assert lines[last] == f"#end events {last - first} {chained.hex()}".encode()


async def test_an_existing_file_is_left_alone(memory: MemoryPlace, file: Path) -> None:
    file.write_text("mine")
    with pytest.raises(CannotMove, match="exists already"):
        await keep(memory, file)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("unnamed", [True, False])
async def test_a_failure_leaves_no_file_behind(
    memory: MemoryPlace, file: Path, unnamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not unnamed:
        monkeypatch.delattr("os.O_TMPFILE")

    def tell(part: str, done: int, total: int) -> None:
        if part == "events" and done:
            raise Interrupted

    with pytest.raises(Interrupted):
        await write_snapshot(memory, file, NAME, SystemClock(), tell)
    assert list(file.parent.iterdir()) == []
    await keep(memory, file)
    assert list(file.parent.iterdir()) == [file]


async def test_any_damage_is_told_with_file_and_place_before_anything_is_written(
    memory: MemoryPlace, database: PostgresPlace, file: Path
) -> None:
    await keep(memory, file)
    whole = file.read_bytes()
    chance = random.Random(4711)
    for _ in range(60):
        place = chance.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        try:
            SnapshotPlace(file).checked()
        except CannotMove as error:
            assert str(file) in str(error)
        else:
            # A bit of a member's header that no reader looks at, as the time in it.
            assert gzip.decompress(damaged) == gzip.decompress(whole)
    for length in (0, 20, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(CannotMove):
            SnapshotPlace(file).checked()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        SnapshotDamaged, match=r"damaged: (in \w+ after [\d,]+ rows, )?after line [\d,]+: .*Nothing was written"
    ):
        await restore(file, database)
    assert await database.bears() is None and await database.filled() == []


def _altered(file: Path, *changes: tuple[bytes, bytes]) -> None:
    lines = gzip.decompress(file.read_bytes())
    for old, new in changes:
        assert old in lines
        lines = lines.replace(old, new, 1)
    file.write_bytes(b"".join(gzip.compress(line + b"\n") for line in lines.splitlines()))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            b'"peso_kg":381',
            b'"peso_kg":999',
            "in items after 61 rows, after line .*: the tally is not that of the rows",
        ),
        (b"#part events", b"#part nothing", "a line is lost"),
        (b"#end events", b"#end activity", "the tally is not"),
        (b"#whole", b"#hole", "a line is lost"),
        (b'"dfid":"', b'"dfad":"', "a row cannot be read"),
        (b'"version":1}\n', b'"version":2}\n', "has format 2, this release reads format 1"),
        (b'"schema":', b'"schema":9', "restore it with release"),
        (b"#defarm-snapshot", b"#other-snapshot", "is no snapshot"),
    ],
)
async def test_what_was_altered_by_hand_is_told(
    memory: MemoryPlace, file: Path, old: bytes, new: bytes, told: str
) -> None:
    await keep(memory, file)
    _altered(file)
    SnapshotPlace(file).checked()
    _altered(file, (old, new))
    with pytest.raises(CannotMove, match=told):
        SnapshotPlace(file).checked()


async def test_another_file_does_not_go_on_with_a_copy(
    memory: MemoryPlace, database: PostgresPlace, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    await keep(memory, first)
    await keep(memory, second)

    def tell(part: str, done: int, total: int) -> None:
        if part == "events" and done:
            raise Interrupted

    begun = Copy(SnapshotPlace(first), database, NAME, NAME, SystemClock(), tell, keeps_identity=True)
    with pytest.raises(Interrupted):
        await begun.run()
    other = Copy(SnapshotPlace(second), database, NAME, NAME, SystemClock(), keeps_identity=True)
    with pytest.raises(CannotMove, match="something else"):
        await other.run(resume=True)
    again = Copy(SnapshotPlace(first), database, NAME, NAME, SystemClock(), keeps_identity=True)
    assert (await again.run(resume=True)).sound
