"""Copies of the database: consistent ones, while others write to it. Blocking."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import make_url

from studiolo.contract.errors import Unavailable

_LONGEST_SECONDS = 6 * 3600


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite database as it is at one moment; writers go on meanwhile. Raises Unavailable (`disk-full`, …).

    The copy is checked. Source: SQLite's online backup API; in one step it reads one snapshot of the WAL.
    """
    try:
        with (
            contextlib.closing(sqlite3.connect(source)) as original,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            original.backup(copy)
            # Without a log beside it: one file is all there is.
            copy.execute("PRAGMA journal_mode=DELETE")
            found = copy.execute("PRAGMA quick_check(1)").fetchone()
        if found != ("ok",):
            raise Unavailable(
                "database-unavailable", "The database is damaged; its copy failed the check.", detail=str(found)
            )
    except sqlite3.Error as exc:
        target.unlink(missing_ok=True)
        if "full" in str(exc):
            raise Unavailable(
                "disk-full", "The disk is full; the database was not copied.", hint="Free space."
            ) from exc
        raise Unavailable("database-unavailable", "The database could not be copied.", detail=str(exc)) from exc


def dump_postgresql(url: str, target: Path) -> None:
    """Write a dump of a PostgreSQL database in the custom format. Raises Unavailable (`backup-tool-missing`, …)."""
    _run("pg_dump", url, ["--format=custom", "--no-owner", "--no-privileges", f"--file={target}"])
    target.chmod(0o600)


def restore_postgresql(url: str, source: Path) -> None:
    """Fill an empty PostgreSQL database from a dump, wholly or not at all. Raises Unavailable."""
    options = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", str(source)]
    name = make_url(url).database or ""
    _run("pg_restore", url, [f"--dbname={name}", *options])


def _run(program: str, url: str, options: list[str]) -> None:
    found = shutil.which(program)
    if found is None:
        raise Unavailable(
            "backup-tool-missing",
            f"{program} is not installed; without it a PostgreSQL database cannot be copied.",
            hint="Install PostgreSQL's client programs, of the server's version or newer.",
        )
    environment = {**os.environ, **_connection(url)}
    try:
        subprocess.run(
            [found, "--no-password", *options],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=_LONGEST_SECONDS,
        )
    except subprocess.CalledProcessError as exc:
        lines = exc.stderr.strip().splitlines()
        said = next((line for line in lines if "error:" in line), "").partition("error: ")[2]
        raise Unavailable(
            "database-unavailable", f"{program} failed: {said[:300] or 'it did not say why'}.", detail=exc.stderr
        ) from exc
    except subprocess.TimeoutExpired as exc:
        raise Unavailable("timeout", f"{program} did not end within {_LONGEST_SECONDS // 3600} hours.") from exc


def _connection(url: str) -> Mapping[str, str]:
    """Return how libpq is told where to connect: by variables, since everybody can read arguments."""
    parts = make_url(url)
    given = {
        "PGHOST": parts.host or str(parts.query.get("host", "")),
        "PGPORT": str(parts.port or ""),
        "PGUSER": parts.username or "",
        "PGPASSWORD": str(parts.password or ""),
        "PGDATABASE": parts.database or "",
    }
    return {name: value for name, value in given.items() if value}
