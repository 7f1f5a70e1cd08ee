"""The SQLite file, and who else is at it: other servers, guests, strangers, a full disk, a kill."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gluon.store.database import DatabaseLocked, DatabaseUnavailable, Transaction
from gluon.store.sqlite import SqliteDatabase
from store.family import ALL, CREATE, ids, inserting


async def test_a_second_server_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first, second = (SqliteDatabase(tmp_path / "gluon.sqlite") for _ in range(2))
    await first.start()
    with pytest.raises(DatabaseLocked, match=rf"process {os.getpid()}.*one server process"):
        await second.start()

    await first.close()
    await second.start()
    await second.close()


async def test_a_guest_writes_beside_a_server_under_load(tmp_path: Path) -> None:
    path = tmp_path / "gluon.sqlite"
    server, guest = SqliteDatabase(path), SqliteDatabase(path, guest=True)
    with pytest.raises(DatabaseUnavailable, match="there is no database"):
        await guest.start()
    await server.start()

    async def create(tx: Transaction) -> None:
        await tx.execute(CREATE)

    await server.write(create)
    await guest.start()

    async def load(name: str) -> None:
        for number in range(100):
            await server.write(inserting(f"{name}-{number}"))

    loads = asyncio.gather(*[load(f"server-{number}") for number in range(8)])
    for number in range(20):
        await guest.write(inserting(f"guest-{number}"))
    await loads

    assert len(await guest.read(lambda tx: tx.fetch(ALL))) == 820
    await guest.close()
    await server.write(inserting("after"))
    await server.close()


async def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "gluon.sqlite"
    path.write_text("this is a letter, not a database" * 200)

    with pytest.raises(DatabaseUnavailable, match=r"gluon\.sqlite can not be opened"):
        await SqliteDatabase(path).start()


async def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="No such file"):
        await SqliteDatabase(tmp_path / "missing" / "gluon.sqlite").start()


async def test_a_file_that_somebody_else_keeps_locked_makes_it_unavailable_for_that_time(
    tmp_path: Path,
) -> None:
    database = SqliteDatabase(tmp_path / "gluon.sqlite", busy_timeout=0.05)
    await database.start()

    async def create(tx: Transaction) -> None:
        await tx.execute(CREATE)

    await database.write(create)
    stranger = sqlite3.connect(database.path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable, match="locked"):
        await database.write(inserting("a"))
    stranger.execute("ROLLBACK")
    stranger.close()

    await database.write(inserting("a"))
    assert await ids(database) == ["a"]
    await database.close()


WRITER = """
import asyncio, os, sys
from gluon.store.database import DatabaseUnavailable
from gluon.store.sqlite import SqliteDatabase
from gluon.store.statement import Statement

PAIR = [
    Statement("INSERT INTO parent VALUES (?)", ("id",)),
    Statement("INSERT INTO child VALUES (?, ?)", ("id", "parent")),
]

async def main(path, body):
    database = SqliteDatabase(path)
    await database.start()

    async def writer(name):
        for number in range(1_000_000):
            row_id = f"{name}-{number}-{body}"
            async def work(tx):
                await tx.execute(PAIR[0], {"id": row_id})
                await tx.execute(PAIR[1], {"id": row_id, "parent": row_id})
            try:
                await database.write(work)
            except DatabaseUnavailable:
                os.write(1, b"unavailable\\n")
                return
            os.write(1, row_id.encode() + b"\\n")

    await asyncio.gather(*[writer(n) for n in range(40)])

asyncio.run(main(sys.argv[1], "x" * int(sys.argv[2])))
"""


def start_writer(path: Path, body: int, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(body)],
        stdout=subprocess.PIPE,
        **options,
    )


def rows_by_table(path: Path) -> tuple[set[str], set[str]]:
    with sqlite3.connect(path) as connection:
        (check,) = connection.execute("PRAGMA integrity_check").fetchone()
        assert check == "ok"
        parents, children = (
            {row_id for (row_id,) in connection.execute(f"SELECT id FROM {table}")}
            for table in ("parent", "child")
        )
    connection.close()
    return parents, children


async def test_whatever_was_acknowledged_before_a_kill_is_there(family: SqliteDatabase) -> None:
    await family.close()
    with start_writer(family.path, 10) as child:
        assert child.stdout is not None
        acknowledged = {child.stdout.readline().decode().strip() for _ in range(2000)}
        child.send_signal(signal.SIGKILL)
        acknowledged |= {line.strip() for line in child.stdout.read().decode().split("\n")[:-1]}

    parents, children = rows_by_table(family.path)
    assert acknowledged <= parents
    assert parents == children
    await family.start()  # the lock of the dead is nobody's
    assert set(await ids(family)) == parents


async def test_a_full_disk_is_unavailable_and_nothing_is_half_written(family: SqliteDatabase) -> None:
    await family.close()
    limit = 3_000_000

    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with start_writer(family.path, 500, preexec_fn=no_large_files) as child:
        assert child.stdout is not None
        answers = child.stdout.read().decode().split()

    acknowledged = {answer for answer in answers if answer != "unavailable"}
    assert child.returncode == 0
    assert answers.count("unavailable") == 40
    parents, children = rows_by_table(family.path)
    assert acknowledged <= parents
    assert parents == children


async def test_other_users_of_the_machine_can_not_read_what_is_stored(
    family: SqliteDatabase,
) -> None:
    await family.write(inserting("a"))
    for path in family.path.parent.glob(f"{family.path.name}*"):
        assert not path.stat().st_mode & 0o007, path
