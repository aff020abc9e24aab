"""What the platform has to offer, and whether all is well with it."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.details import AdminHealth, PartHealth
from studiolo.contract.errors import StudioloError
from studiolo.contract.resources import Capacity, EngineInfo, Profile, Profiles, VolumeInfo
from studiolo.contract.sizes import describe_size
from studiolo.kit.db import Database
from studiolo.server.backup.service import BackupService
from studiolo.server.census import Census, take_census
from studiolo.server.disk.watch import Space, space_of
from studiolo.server.engines.engines import Engines, capacity_of
from studiolo.server.environments.service import Environments
from studiolo.server.principal import Principal
from studiolo.server.sessions.service import Sessions
from studiolo.server.settings import Settings
from studiolo.server.settings.resources import VolumeOffer
from studiolo.server.workspaces.allowance import largest_allowed
from studiolo.server.workspaces.volumes import can_attach

_CONNECT_SECONDS = 1.0


class Inspection:
    """Looks at the platform; changes nothing."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        engines: Engines,
        environments: Environments,
        sessions: Sessions,
        backups: BackupService,
    ) -> None:
        self._settings = settings
        self._db = db
        self._engines = engines
        self._environments = environments
        self._sessions = sessions
        self._backups = backups

    async def profiles(self, who: Principal) -> Profiles:
        """Return the sizes that sessions can be launched with."""
        who.require("engine.list")
        settings = self._settings.resources.of_person(who.name)
        machine = await self._engines.machine(self._engines.default)
        return Profiles(
            profiles=settings.profiles if who.is_admin else [_without_people(one) for one in settings.profiles],
            default=settings.default_profile or None,
            only_profiles=settings.only_profiles,
            largest=largest_allowed(settings, capacity_of(machine, Capacity())),
            gpu_types=settings.gpu_types,
            volumes=[self._volume(offer) for offer in settings.volumes if offer.is_for(who.name)],
        )

    def _volume(self, offer: VolumeOffer) -> VolumeInfo:
        able = [name for name in self._engines.usable if can_attach(self._engines[name], offer)]
        return VolumeInfo(name=offer.name, description=offer.description, read_only=offer.read_only, engines=able)

    async def engines(self, who: Principal) -> list[EngineInfo]:
        """Return where sessions can run, and what is claimed there."""
        who.require("engine.list")
        async with self._db.read() as connection:
            claimed = await self._claimed(connection)
        return await self._infos(self._engines.usable, claimed)

    async def health(self, who: Principal) -> AdminHealth:
        """Return how each part is, with the one thing to do first if something is wrong."""
        who.require("platform.inspect")
        database, census, claimed = await self._database()
        disk = await asyncio.to_thread(space_of, self._settings.data_dir)
        parts = [database, _disk(disk), await self._front_door()]
        parts += [await self._kernel_host(), await self._file_host(), await self._package_index()]
        parts += [_engine(info) for info in await self._infos(self._engines, claimed)]
        parts.append(await self._backups.health())
        ok, message = self._environments.base_state()
        parts.append(PartHealth(name="notebook environment", ok=ok, message=message))
        wrong = [part for part in parts if not part.ok]
        return AdminHealth(
            verdict=f"{wrong[0].name.capitalize()}: {wrong[0].message}" if wrong else "All is well.",
            ok=not wrong,
            parts=parts,
            people=census.people,
            workspaces=census.workspaces,
            running_sessions=census.running_sessions,
            idle_sessions=census.idle_sessions,
            disk_total=disk.total,
            disk_free=disk.free,
        )

    async def _database(self) -> tuple[PartHealth, Census, dict[str, Capacity]]:
        try:
            async with self._db.read() as connection:
                census, claimed = await take_census(connection), await self._claimed(connection)
        except StudioloError as exc:
            return PartHealth(name="database", ok=False, message=exc.message), Census(0, 0, 0, 0), {}
        return PartHealth(name="database", ok=True, message="It answers."), census, claimed

    async def _claimed(self, connection: AsyncConnection) -> dict[str, Capacity]:
        return {name: await self._sessions.claimed(connection, name) for name in self._engines}

    async def _infos(self, names: Iterable[str], claimed: dict[str, Capacity]) -> list[EngineInfo]:
        return await asyncio.gather(*(self._engines.info(name, claimed.get(name, Capacity())) for name in names))

    async def _front_door(self) -> PartHealth:
        host, port = self._settings.host, self._settings.port
        # Who listens everywhere is heard on loopback too.
        heard_at = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(heard_at, port)
        except (OSError, TimeoutError):
            words = f"Nothing answers on {host}, port {port}. Its log is logs/front-door.log in the data directory."
            return PartHealth(name="front door", ok=False, message=words)
        writer.close()
        return PartHealth(name="front door", ok=True, message=f"It answers on port {port}.")

    async def _kernel_host(self) -> PartHealth:
        return await _beside("kernel host", self._settings.kernels_socket, "kernels run on")

    async def _file_host(self) -> PartHealth:
        return await _beside("file host", self._settings.files_socket, "uploads go on when it is back")

    async def _package_index(self) -> PartHealth:
        return await _beside("package index", self._settings.index_socket, "what is installed is not touched")


def _without_people(profile: Profile) -> Profile:
    return profile.model_copy(update={"people": []})


async def _beside(name: str, socket: Path, without: str) -> PartHealth:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_unix_connection(socket)
    except (OSError, TimeoutError):
        log = f"logs/{name.replace(' ', '-')}.log"
        words = f"It does not answer; {without}. Its log is {log} in the data directory."
        return PartHealth(name=name, ok=False, message=words)
    writer.close()
    return PartHealth(name=name, ok=True, message="It answers.")


def _disk(space: Space) -> PartHealth:
    words = f"{describe_size(space.free)} of {describe_size(space.total)} are free."
    if space.is_nearly_full:
        words += " Release some (studiolo free), or move the data directory to a larger disk."
    return PartHealth(name="disk", ok=not space.is_nearly_full, message=words)


def _engine(info: EngineInfo) -> PartHealth:
    return PartHealth(
        name=f"engine {info.name}", ok=info.healthy, message=info.message or info.enforcement.note or "It answers."
    )
