"""The schema of the store: numbered SQL files, each applied once, in order."""

import re
from importlib import resources

import attrs
import psycopg

_LOCK = 0x44654661726D
_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


class SchemaNewer(Exception):
    """The store was migrated by a newer release than this one."""

    def __init__(self, applied: int, known: int) -> None:
        super().__init__(
            f"the store has schema version {applied}, this release knows {known}: run a newer release of the engine"
        )
        self.applied = applied
        self.known = known


@attrs.frozen
class Migration:
    version: int
    name: str
    sql: str


def migrations() -> tuple[Migration, ...]:
    """Return all migrations of this release in order."""
    found = [
        Migration(int(match[1]), match[2], file.read_text("utf-8"))
        for file in resources.files(__name__).iterdir()
        if (match := _NAME.fullmatch(file.name))
    ]
    return tuple(sorted(found, key=lambda migration: migration.version))


async def applied_version(connection: psycopg.AsyncConnection) -> int:
    """Return the version of the store's schema; 0 for an empty store."""
    cursor = await connection.execute("select to_regclass('schema_migrations')")
    row = await cursor.fetchone()
    if row is None or row[0] is None:
        return 0
    cursor = await connection.execute("select coalesce(max(version), 0) from schema_migrations")
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


def pending(applied: int) -> tuple[Migration, ...]:
    """Return what is yet to be applied. Raises SchemaNewer."""
    known = migrations()
    if applied > known[-1].version:
        raise SchemaNewer(applied, known[-1].version)
    return tuple(migration for migration in known if migration.version > applied)


async def migrate(url: str) -> tuple[Migration, ...]:
    """Apply what is pending under an advisory lock and return it; the first process does the work, others wait."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("select pg_advisory_lock(%s)", [_LOCK])
        try:
            todo = pending(await applied_version(connection))
            for migration in todo:
                async with connection.transaction():
                    await connection.execute(
                        "create table if not exists schema_migrations"
                        " (version int primary key, name text not null, applied_at timestamptz not null default now())"
                    )
                    await connection.execute(migration.sql.encode())
                    await connection.execute(
                        "insert into schema_migrations (version, name) values (%s, %s)",
                        [migration.version, migration.name],
                    )
            return todo
        finally:
            await connection.execute("select pg_advisory_unlock(%s)", [_LOCK])
