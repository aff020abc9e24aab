"""The administrators' catalogue of bases: named, locked with hashes when they are added, never changed."""

import asyncio
import hashlib
import re
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.details import EnvironmentConfig
from studiolo.contract.environments import Base, BaseCreate
from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.contract.models import PersonRef
from studiolo.contract.names import check_name
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.files import write_atomically
from studiolo.server.audit.service import Audit
from studiolo.server.environments import base_queries as queries
from studiolo.server.environments.base import SHIPPED_LOCK, ensure_base
from studiolo.server.environments.installing import Installer, Resolved, Wanted
from studiolo.server.environments.interpreters import Interpreters, version_of
from studiolo.server.environments.locks import DEFAULT_BASE
from studiolo.server.environments.package_files import check_hashes, read_file
from studiolo.server.principal import Principal

# Without these there are no kernels, and no %pip in them.
_NEEDED = ("ipykernel>=7", "pip>=25")
_PINNED = re.compile(r"^[A-Za-z0-9][^\s=]*==", re.MULTILINE)


class Bases:
    """What environments begin from. `default` names the platform's own, which is no row.

    `lock_file`: of the platform's own base, None for the shipped one. `timeout`: for building one.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        audit: Audit,
        interpreters: Interpreters,
        installer: Installer,
        *,
        data_dir: Path,
        lock_file: Path | None,
        timeout: timedelta,
    ) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._interpreters = interpreters
        self._installer = installer
        self._data_dir = data_dir
        self._own_lock = lock_file or SHIPPED_LOCK
        self._timeout = timeout

    async def list_(self, who: Principal) -> list[Base]:
        """Return all bases: the platform's own, then by name."""
        who.require("base.list")
        async with self._db.read() as connection:
            rows = await queries.list_bases(connection)
        text = await asyncio.to_thread(self._own_lock.read_text)
        own = Base(
            name=DEFAULT_BASE,
            description="The platform's own",
            python="",
            hash=_hash(text),
            packages=_count(text),
            is_default=not any(row["is_default"] for row in rows),
            made_by=None,
            made_at=None,
        )
        return [own, *map(_wire, rows)]

    async def add(self, who: Principal, form: BaseCreate) -> Base:
        """Resolve and lock what a file lists, and what kernels need; it is built at its first use.

        No policy is asked: that an administrator adds it is the approval of what is in it. Raises InvalidInput
        (`name-invalid`, `package-file-invalid`, `python-not-found`), Conflict (`base-exists`, `package-unsolvable`).
        """
        who.require("base.change")
        check_name(form.name, what="base")
        python = await self._python(form.python)
        listed = await asyncio.to_thread(read_file, form.file, await version_of(python))
        if listed.conda:
            raise InvalidInput(
                "package-file-invalid", "A base has packages of PyPI alone.", hint="List them under pip."
            )
        place = self._data_dir / "environments"
        closure = await self._installer.resolve(Wanted(place, Path(python), [*listed.pypi, *_NEEDED]))
        check_hashes(closure, listed.hashes)
        lock = "".join(map(_pin, closure))
        values = {
            "name": form.name,
            "description": form.description,
            "python": form.python,
            "lock": lock,
            "hash": _hash(lock),
            "is_default": False,
            "made_by": who.person_id or None,
            "made_at": self._clock.now(),
        }
        try:
            async with self._db.write() as tx:
                if form.name == DEFAULT_BASE:
                    raise _exists(form.name)
                await queries.insert_base(tx.connection, values)
                await self._audit.record(tx, who, "base.create", form.name, hash=values["hash"])
                return _wire(await self._find(tx.connection, form.name))
        except IntegrityError as exc:
            raise _exists(form.name) from exc

    async def choose(self, who: Principal, name: str) -> list[Base]:
        """Have new workspaces begin from a base unless they name another. Raises NotFound (`base-not-found`)."""
        who.require("base.change")
        async with self._db.write() as tx:
            if name != DEFAULT_BASE:
                await self._find(tx.connection, name)
            await queries.set_default(tx.connection, name)
            await self._audit.record(tx, who, "base.default", name)
        return await self.list_(who)

    async def remove(self, who: Principal, name: str) -> None:
        """Take a base off the catalogue. Raises NotFound (`base-not-found`), Conflict (`base-in-use`)."""
        who.require("base.change")
        async with self._db.write() as tx:
            row = await self._find(tx.connection, name)
            used = await queries.count_users(tx.connection, name)
            if row["is_default"] or used:
                why = "It is the default." if row["is_default"] else f"{used} workspaces begin from it."
                raise Conflict("base-in-use", f"The base {name!r} stays. {why}", hint="Choose another default first.")
            await queries.delete_base(tx.connection, name)
            await self._audit.record(tx, who, "base.delete", name)

    async def settle(self, environment: EnvironmentConfig) -> EnvironmentConfig:
        """Return a workspace's configuration with its base and versions resolved; implements `sizes.Tools`.

        Raises InvalidInput (`base-not-found`, `python-not-found`, `jupyter-not-found`).
        """
        async with self._db.read() as connection:
            rows = await queries.list_bases(connection)
        names = {row["name"]: row for row in rows}
        chosen = environment.base
        if chosen is None and environment.python_version is None:
            chosen = next((row["name"] for row in rows if row["is_default"]), None)
        if chosen in (None, DEFAULT_BASE):
            return await self._interpreters.settle(environment)
        if chosen not in names:
            known = [DEFAULT_BASE, *names]
            raise InvalidInput(
                "base-not-found",
                f"There is no base {chosen!r}; there are {', '.join(known)}.",
                hint="studiolo bases lists them.",
                candidates=known,
            )
        changes = {"base": chosen, "python_version": names[chosen]["python"] or None}
        return await self._interpreters.settle(environment.model_copy(update=changes))

    async def build(self, name: str, progress: Callable[[str], None]) -> Path:
        """Return the folder of a base of the catalogue, built at its first use. Raises Unavailable, NotFound."""
        async with self._db.read() as connection:
            row = await self._find(connection, name)
        lock = self._data_dir / "environments" / "locks" / f"{row['hash']}.txt"
        if not lock.exists():
            await asyncio.to_thread(_write, lock, row["lock"])
        return await ensure_base(
            self._data_dir,
            python=await self._interpreters.choose(row["python"]) if row["python"] else "",
            lock_file=lock,
            timeout=self._timeout,
            progress=progress,
        )

    async def locks(self) -> Sequence[str]:
        """Return the texts of the locks of all bases of the catalogue, whose files pass whatever a policy blocks."""
        async with self._db.read() as connection:
            return [row["lock"] for row in await queries.list_bases(connection)]

    async def _python(self, wanted: str) -> str:
        return (await self._interpreters.choose(wanted) if wanted else "") or sys.executable

    async def _find(self, connection: AsyncConnection, name: str) -> RowMapping:
        row = await queries.find_base(connection, name)
        if row is None:
            raise NotFound("base-not-found", f"There is no base {name[:64]!r}.", hint="studiolo bases lists them.")
        return row


def _wire(row: RowMapping) -> Base:
    who = row["maker_name"]
    return Base(
        name=row["name"],
        description=row["description"],
        python=row["python"],
        hash=row["hash"],
        packages=_count(row["lock"]),
        is_default=row["is_default"],
        made_by=PersonRef(id=row["made_by"], name=who, display_name=row["maker_display_name"]) if who else None,
        made_at=row["made_at"],
    )


def _pin(one: Resolved) -> str:
    return f"{one.name}=={one.version}" + (f" --hash=sha256:{one.sha256}" if one.sha256 else "") + "\n"


def _hash(lock: str) -> str:
    return hashlib.sha256(lock.encode()).hexdigest()


def _count(lock: str) -> int:
    return len(_PINNED.findall(lock))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, text)


def _exists(name: str) -> Conflict:
    return Conflict(
        "base-exists", f"There is a base {name!r} already.", hint="Choose another name; bases never change."
    )
