"""The sandbox's state: one SQLite file, written in transactions, so that kill -9 loses nothing answered."""

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

Json = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    due INTEGER,
    body TEXT NOT NULL,
    UNIQUE (account, kind, id)
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (account, kind, seq);
CREATE INDEX IF NOT EXISTS objects_by_id ON objects (id);
CREATE INDEX IF NOT EXISTS objects_due ON objects (account, due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS replies (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    asked TEXT NOT NULL,
    request_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (account, key)
);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    event TEXT NOT NULL,
    type TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    status INTEGER,
    error TEXT
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due, id) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, body TEXT NOT NULL);
"""


def wall_time() -> float:
    """Seconds since the epoch; the one place where the sandbox looks at the real clock."""
    return time.time()


class Store:
    """Objects by account, kind and id, beside stored replies, deliveries and small notes."""

    def __init__(self, path: Path | str) -> None:
        """Open the state file, making it when there is none."""
        self.lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        with self.lock:
            self._connection.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """One transaction, or a savepoint inside one: all of it is kept, or none of it."""
        with self.lock:
            name = f"level_{self._depth}"
            self._connection.execute(f"SAVEPOINT {name}" if self._depth else "BEGIN IMMEDIATE")
            nested, self._depth = bool(self._depth), self._depth + 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if nested:
                    self._connection.execute(f"ROLLBACK TO {name}")
                    self._connection.execute(f"RELEASE {name}")
                else:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            self._connection.execute(f"RELEASE {name}" if nested else "COMMIT")

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Rows of a query, or the effect of a statement."""
        with self.lock:
            return self._connection.execute(sql, values).fetchall()

    def find(self, account: str, kind: str, object_id: str) -> Json | None:
        """One object of an account, or nothing: an id of another account is nothing."""
        found = self.rows(
            "SELECT body FROM objects WHERE account = ? AND kind = ? AND id = ?", account, kind, object_id
        )
        return orjson.loads(found[0]["body"]) if found else None

    def owner(self, kind: str, object_id: str) -> str | None:
        """The account that holds an object whose id is unique everywhere (a hosted page's session)."""
        found = self.rows("SELECT account FROM objects WHERE id = ? AND kind = ?", object_id, kind)
        return found[0]["account"] if found else None

    def any_kind(self, account: str, object_id: str) -> Json | None:
        """One object of an account by its id alone."""
        found = self.rows("SELECT body FROM objects WHERE id = ? AND account = ?", object_id, account)
        return orjson.loads(found[0]["body"]) if found else None

    def put(self, account: str, body: Json, *, due: int | None) -> None:
        """Write an object; `due` is the moment at which the clock has to look at it again."""
        self.rows(
            "INSERT INTO objects (account, kind, id, due, body) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (account, kind, id) DO UPDATE SET due = excluded.due, body = excluded.body",
            account,
            body["object"],
            body["id"],
            due,
            orjson.dumps(body).decode(),
        )

    def delete(self, account: str, kind: str, object_id: str) -> None:
        """Forget an object."""
        self.rows("DELETE FROM objects WHERE account = ? AND kind = ? AND id = ?", account, kind, object_id)

    def select(
        self,
        account: str,
        kind: str,
        where: Mapping[str, object] | None = None,
        **page: Any,
    ) -> list[Json]:
        """Objects newest first; `where` compares JSON paths, `page` may hold before, after (sequence) and limit."""
        sql = "SELECT body FROM objects WHERE account = ? AND kind = ?"
        values: list[object] = [account, kind]
        for path, wanted in (where or {}).items():
            name, _, comparison = path.partition(" ")
            several = wanted if isinstance(wanted, list) else [wanted]
            marks = ", ".join("?" * len(several))
            sql += f" AND json_extract(body, '$.{name}') {comparison or 'IN'} ({marks})"
            values += several
        if page.get("before") is not None:
            sql, values = sql + " AND seq < ?", [*values, page["before"]]
        if page.get("after") is not None:
            sql, values = sql + " AND seq > ?", [*values, page["after"]]
        sql += " ORDER BY seq " + ("ASC" if page.get("after") is not None else "DESC")
        if page.get("limit") is not None:
            sql, values = sql + " LIMIT ?", [*values, page["limit"]]
        return [orjson.loads(row["body"]) for row in self.rows(sql, *values)]

    def sequence(self, account: str, kind: str, object_id: str) -> int | None:
        """Where an object stands in its list."""
        found = self.rows("SELECT seq FROM objects WHERE account = ? AND kind = ? AND id = ?", account, kind, object_id)
        return found[0]["seq"] if found else None

    def next_due(self, account: str, until: int) -> tuple[int, str, str] | None:
        """The earliest (moment, kind, id) of an account that the clock must act on, up to a moment."""
        found = self.rows(
            "SELECT due, kind, id FROM objects WHERE account = ? AND due <= ? ORDER BY due, seq LIMIT 1",
            account,
            until,
        )
        return (found[0]["due"], found[0]["kind"], found[0]["id"]) if found else None

    def note(self, name: str, default: Any = None) -> Any:
        """A small value kept under a name."""
        found = self.rows("SELECT body FROM notes WHERE name = ?", name)
        return orjson.loads(found[0]["body"]) if found else default

    def write_note(self, name: str, value: object) -> None:
        """Keep a small value under a name."""
        self.rows("INSERT OR REPLACE INTO notes (name, body) VALUES (?, ?)", name, orjson.dumps(value).decode())
