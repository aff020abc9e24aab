"""Use cases of images: have one made and pushed, see them, remove them. What there is, the engine knows.

What is under way is known to this process; one that a restart cut off is none, and can be asked for again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping

from studiolo.contract.errors import Conflict, InvalidInput, NotFound, StudioloError
from studiolo.contract.images import EnvironmentImage, ImageBuild
from studiolo.engines.images import BuildsImages, BuiltImage, ImageBuilder, ImageOrder
from studiolo.kit.db import Database
from studiolo.kit.repeat import repeat
from studiolo.packages.installed.lock import Lock
from studiolo.runtime.recipes import Recipe
from studiolo.server.audit.service import Audit
from studiolo.server.engines.engines import Engines
from studiolo.server.environments import queries
from studiolo.server.environments.images.fetching import Access
from studiolo.server.environments.images.making import Making, Wanted
from studiolo.server.principal import Principal
from studiolo.server.workspaces import queries as workspace_queries
from studiolo.server.workspaces.register import config_of
from studiolo.server.workspaces.service import Workspaces

_SWEEP_SECONDS = 900.0
_PAGE_SECONDS = 1.0

FindRecipe = Callable[[str], Awaitable[Recipe | None]]
# A workspace's and a person's id → how their files are fetched from the index.
OpenIndex = Callable[[str, str], Awaitable[Access]]


@dataclass(frozen=True, slots=True)
class Seen:
    """Images as a page shows them. `can_push`: a registry is set; `message`: why they cannot be seen now."""

    images: list[EnvironmentImage]
    can_push: bool
    message: str = ""


class Images:
    """Images of environments. `scratch`: a folder for files on their way."""

    def __init__(
        self,
        db: Database,
        audit: Audit,
        workspaces: Workspaces,
        engines: Engines,
        find_recipe: FindRecipe,
        open_index: OpenIndex,
        *,
        scratch: Path,
    ) -> None:
        self._db = db
        self._audit = audit
        self._workspaces = workspaces
        self._engines = engines
        self._find_recipe = find_recipe
        self._open_index = open_index
        self._making = Making(scratch, self._tell)

    async def begin(self, who: Principal, reference: str, form: ImageBuild) -> EnvironmentImage:
        """Begin to make an image of what a workspace's environment holds now.

        Raises InvalidInput (`images-not-available`, `image-not-allowed`), Conflict (`image-running`,
        `limit-exceeded`), NotFound (`build-not-found`), Unavailable (`engine-unavailable`).
        """
        row = await self._find(who, reference, "image.change")
        builder = self._builder(row)
        if form.push and not builder.registry:
            raise InvalidInput(
                "images-not-available",
                "No registry is set to which images could be pushed.",
                hint="An administrator names one: engines.container.builds.repository.",
            )
        lock, recipe = await self._lock(row)
        order = ImageOrder(row["id"], row["name"], lock.hash, lock.python, base=form.base)
        name = builder.name(order)
        known = [one.name for one in await builder.list_(row["id"])]
        if name not in known and len(known) >= builder.most:
            raise Conflict(
                "limit-exceeded",
                f"{row['name']!r} has {len(known)} images, and may have {builder.most}.",
                hint=f"Remove one: studiolo environment remove-image {row['name']} IMAGE.",
            )
        if self._making.is_busy(row["id"]):
            raise Conflict(
                "image-running", f"An image of {row['name']!r} is being made already.", hint="Wait, or cancel it."
            )
        record = partial(self._record, who, row)
        open_index = partial(self._open_index, row["id"], who.person_id)
        wire = self._making.begin(Wanted(order, builder, recipe, lock, form.push, open_index, record), name)
        try:
            await record("image.build", name, push=form.push)
        except BaseException:
            # Nothing is made of which there is no record.
            await self._making.cancel(row["id"], wire.id)
            raise
        return wire

    async def list_(self, who: Principal, reference: str) -> list[EnvironmentImage]:
        """Return a workspace's images; none where no engine makes any. Raises Unavailable."""
        row = await self._find(who, reference, "image.read")
        builder = self._choose(config_of(row).engine)
        return await self._list(row, builder) if builder is not None else []

    async def seen(self, who: Principal, reference: str) -> Seen | None:
        """Return a workspace's images for a page, which waits for no engine; None where none makes images."""
        row = await self._find(who, reference, "image.read")
        builder = self._choose(config_of(row).engine)
        if builder is None:
            return None
        can_push = bool(builder.registry)
        try:
            async with asyncio.timeout(_PAGE_SECONDS):
                return Seen(await self._list(row, builder), can_push)
        except TimeoutError:
            return Seen([], can_push, "The engine that has them does not answer.")
        except StudioloError as exc:
            return Seen([], can_push, exc.message)

    async def get(self, who: Principal, reference: str, image: str, *, wait_seconds: float = 0) -> EnvironmentImage:
        """Return an image, once it is made or so much time has passed. Raises NotFound (`image-not-found`)."""
        row = await self._find(who, reference, "image.read")
        if (under_way := await self._making.wait(row["id"], image, wait_seconds)) is not None:
            return under_way
        return await self._get(row, image)

    async def remove(self, who: Principal, reference: str, image: str) -> None:
        """Remove an image, or cancel it. Raises NotFound (`image-not-found`), Conflict (`image-in-use`)."""
        row = await self._find(who, reference, "image.change")
        if (cancelled := await self._making.cancel(row["id"], image)) is not None:
            await self._record(who, row, "image.cancel", cancelled)
            return
        builder = self._builder(row)
        found = next((one for one in await builder.list_(row["id"]) if one.tag == image), None)
        if found is None:
            if not self._making.forget(row["id"], image):
                raise _not_found(row, image)
            # It was not made, and is looked at no more.
            return
        await builder.remove(found)
        self._making.forget(row["id"], image)
        await self._record(who, row, "image.remove", found.name)

    async def sweep_forever(self) -> None:
        """Remove images of workspaces that were erased, and what is left of builds that were cut off."""
        await repeat(self._sweep, every_seconds=_SWEEP_SECONDS, failed="images-not-swept")

    async def close(self) -> None:
        """End what is under way."""
        await self._making.close()

    async def _list(self, row: RowMapping, builder: ImageBuilder) -> list[EnvironmentImage]:
        live = await self._live(row)
        works = self._making.list_(row["id"])
        found = []
        for image in await builder.list_(row["id"]):
            known = works.pop(image.tag, None)
            told = {"state": known.state, "progress": known.progress, "left_out": known.left_out,
                    "code": known.code, "message": known.message} if known is not None else {}  # fmt: skip
            found.append(_wire(image, live).model_copy(update=told))
        # Made, and removed by somebody at the engine: there is no such image.
        left = [one.model_copy(update={"is_live": one.hash == live}) for one in works.values() if one.state != "ready"]
        return [*reversed(left), *found]

    async def _get(self, row: RowMapping, image: str) -> EnvironmentImage:
        builder = self._choose(config_of(row).engine)
        listed = await self._list(row, builder) if builder is not None else []
        found = next((one for one in listed if one.id == image), None)
        if found is None:
            raise _not_found(row, image)
        return found

    async def _find(self, who: Principal, reference: str, operation: str) -> RowMapping:
        async with self._db.read() as connection:
            return await self._workspaces.resolve(connection, who, reference, operation)

    async def _live(self, row: RowMapping) -> str | None:
        async with self._db.read() as connection:
            live = await queries.find_live(connection, row["id"])
        return live["hash"] if live is not None else None

    async def _lock(self, row: RowMapping) -> tuple[Lock, Recipe]:
        async with self._db.read() as connection:
            live = await queries.find_live(connection, row["id"])
        recipe = await self._find_recipe(row["id"])
        if live is None or not live["lock"] or recipe is None:
            raise NotFound(
                "build-not-found",
                f"{row['name']!r} has no environment yet; it is made at its first use.",
                hint=f"Start a session or install a package: studiolo install {row['name']} PACKAGE.",
            )
        return Lock.from_toml(live["lock"]), recipe

    def _choose(self, engine: str | None) -> ImageBuilder | None:
        """Return who makes images: the workspace's own engine if it can, else the first that can."""
        for name in dict.fromkeys((engine or self._engines.default, *self._engines.usable)):
            if name in self._engines and isinstance(found := self._engines[name], BuildsImages):
                return found.images
        return None

    def _builder(self, row: RowMapping) -> ImageBuilder:
        found = self._choose(config_of(row).engine)
        if found is None:
            raise InvalidInput(
                "images-not-available",
                "No engine of this platform makes images: that needs Podman or Docker.",
                hint="An administrator adds [engines.container] to the settings. The lock can be had without: "
                f"studiolo environment lock {row['name']}.",
            )
        return found

    async def _sweep(self) -> None:
        builder = self._choose(None)
        if builder is None:
            return
        await builder.tidy()
        images = await builder.list_()
        async with self._db.read() as connection:
            erased = set(await workspace_queries.list_erased(connection, [one.workspace_id for one in images]))
        for image in images:
            if image.workspace_id in erased:
                await builder.remove(image)

    def _tell(self, workspace_id: str) -> None:
        self._audit.live.publish((f"workspace:{workspace_id}",), workspace_id=workspace_id)

    async def _record(self, who: Principal, row: RowMapping, action: str, name: str, **detail: Any) -> None:
        topics = (f"workspace:{row['id']}",)
        async with self._db.write() as tx:
            await self._audit.record(
                tx, who, action, row["name"], workspace_id=row["id"], topics=topics, image=name, **detail
            )


def _wire(image: BuiltImage, live: str | None) -> EnvironmentImage:
    return EnvironmentImage(
        id=image.tag,
        name=image.name,
        state="ready",
        hash=image.lock,
        is_live=image.lock == live,
        base=image.base,
        size=image.size,
        made_at=image.made_at,
    )


def _not_found(row: RowMapping, image: str) -> NotFound:
    return NotFound(
        "image-not-found",
        f"{row['name']!r} has no image {image[:64]!r}.",
        hint=f"studiolo environment images {row['name']} lists them.",
    )
