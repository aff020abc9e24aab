"""Images from environments: made by the daemon, pushed, listed and removed (see docs/decisions/015)."""

import asyncio
import base64
import contextlib
import fnmatch
import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uv
from aiodocker import Docker

from studiolo.contract.errors import Conflict, InvalidInput, StudioloError, Unavailable
from studiolo.engines.container import buildfile
from studiolo.engines.container.daemon import NOT_FOUND, Daemon, RefusedError
from studiolo.engines.container.pulling import LayerProgress, pull
from studiolo.engines.container.settings import ContainerSettings
from studiolo.engines.images import BuiltImage, Fetch, ImageOrder, Say
from studiolo.runtime.rebuild import MADE_OF

_IN_USE = 409
_LINES_KEPT = 20
# What Docker calls images without a name.
_NAMELESS = "<none>:<none>"
# As Podman and as Docker tell it.
_STEP = re.compile(r"^(?:\[\d+/\d+\] )?S(?:TEP|tep) (\d+)/(\d+)")
_WITHOUT_PYTHON = ("No interpreter found", "No virtual or system environment found")


class Building:
    """Makes images; an ImageBuilder. `scratch`: a folder for what goes to the daemon; `platform`: whose they are."""

    def __init__(self, daemon: Daemon, settings: ContainerSettings, *, scratch: Path, platform: str) -> None:
        self._daemon = daemon
        self._settings = settings
        self._scratch = scratch
        self._platform = platform
        self._under_way = 0

    @property
    def most(self) -> int:
        """See ImageBuilder."""
        return self._settings.builds.most

    @property
    def registry(self) -> str:
        """See ImageBuilder."""
        return self._settings.builds.registry

    def allows(self, image: str) -> bool:
        """Tell whether sessions, and images of environments, may begin from an image."""
        return image == self._settings.image or any(
            fnmatch.fnmatchcase(image, allowed) for allowed in self._settings.images
        )

    def refusal(self, image: str) -> InvalidInput:
        """Return the error for one from which they may not."""
        return InvalidInput(
            "image-not-allowed",
            f"Sessions here may not run in the image {image}.",
            hint=f"Choose one of: {', '.join([self._settings.image, *self._settings.images])}.",
        )

    def name(self, order: ImageOrder) -> str:
        """See ImageBuilder.name."""
        if order.base is not None and not self.allows(order.base):
            raise self.refusal(order.base)
        return buildfile.name_of(self._settings.builds.repository, order, self._settings.image)

    async def build(self, order: ImageOrder, fetch: Fetch, say: Say) -> BuiltImage:
        """See ImageBuilder.build."""
        base, name = order.base or self._settings.image, self.name(order)
        found = await self._base(base, say)
        key = buildfile.key_of(order, found["Id"])
        before = await self._find(order.workspace_id, name)
        if before is not None and before["Labels"].get(buildfile.KEY) == key:
            return _read(before)
        account = str((found.get("Config") or {}).get("User") or "")
        try:
            text = buildfile.dockerfile(base, account, python=order.python, platform=self._platform)
        except ValueError as exc:
            raise _unfit(base, f"{exc}.") from exc
        labels = buildfile.labels_of(order, name=name, base=base, base_id=found["Id"], platform=self._platform)
        texts = {"Dockerfile": text, MADE_OF: json.dumps({"lock": order.lock})}
        await asyncio.to_thread(self._scratch.mkdir, mode=0o700, parents=True, exist_ok=True)
        self._under_way += 1
        try:
            with tempfile.TemporaryDirectory(prefix="image-", dir=self._scratch) as folder:
                context = Path(folder) / "context.tar"
                programs = {"uv": Path(uv.find_uv_bin())}
                await asyncio.to_thread(buildfile.write_context, context, await fetch(), texts, programs)
                image = await self._build(context, labels, say, base, order.python)
            repository, _, tag = name.rpartition(":")
            # Only now has it a name: what is cut off before is nobody's.
            await self._ask(lambda docker: docker.images.tag(image, repository, tag=tag))
        finally:
            self._under_way -= 1
            await asyncio.shield(self._tidy_quietly())
        made = await self._find(order.workspace_id, name)
        if made is None:
            raise _failed("The daemon does not list what it made.")
        return _read(made)

    async def tidy(self) -> None:
        """See ImageBuilder.tidy: images of ours without a name, while none is being made that will have one."""
        for one in await self._list(None, named=False):
            if self._under_way == 0:
                with contextlib.suppress(Conflict):
                    await self._delete(one["Id"])

    async def push(self, image: BuiltImage, say: Say) -> None:
        """See ImageBuilder.push."""
        builds = self._settings.builds
        headers = {"X-Registry-Auth": await asyncio.to_thread(self._login)}
        params = {"tag": image.tag} | ({"tlsVerify": "false"} if builds.insecure else {})
        path = f"images/{image.name.rpartition(':')[0]}/push"
        progress = LayerProgress()
        said: list[str] = []

        def tell(step: Mapping[str, Any]) -> None:
            if (percent := progress.add(dict(step))) is not None:
                say(f"Pushing {image.name}: {percent} %.")
            elif word := str(step.get("status") or step.get("stream") or "").strip():
                said.append(word)

        say(f"Pushing {image.name}.")
        try:
            await self._follow(path, params, headers, None, tell)
        except RefusedError as exc:
            raise Unavailable(
                "image-not-pushed",
                f"The image {image.name} could not be pushed: {_sentence(str(exc))}",
                hint="See that the registry answers and takes the login of engines.container.builds.",
            ) from exc

    async def list_(self, workspace_id: str | None = None) -> Sequence[BuiltImage]:
        """See ImageBuilder.list_."""
        return sorted(map(_read, await self._list(workspace_id)), key=lambda one: one.made_at, reverse=True)

    async def remove(self, image: BuiltImage) -> None:
        """See ImageBuilder.remove."""
        await self._delete(image.name)

    async def is_of(self, image: str, workspace_id: str) -> bool:
        """Tell whether an image, by its name, was made of a workspace's environment. Raises Unavailable."""
        return bool(workspace_id) and await self._find(workspace_id, image) is not None

    async def _base(self, base: str, say: Say) -> Mapping[str, Any]:
        """Return what the daemon says of a base, once it is here."""
        wanted = self._settings.pull
        found = await self._daemon.find_image(base)
        if (wanted == "always" and not base.startswith("localhost/")) or (found is None and wanted != "never"):
            try:
                await pull(self._daemon, base, say)
            except RefusedError as exc:
                raise _failed(f"The image {base} cannot be had: {_sentence(str(exc))}") from exc
            found = await self._daemon.find_image(base)
        if found is None:
            raise _failed(f'The image {base} is not here, and images are not fetched (pull = "never").')
        return found

    async def _build(self, context: Path, labels: Mapping[str, str], say: Say, base: str, python: str) -> str:
        """Have the daemon make it; returns its id."""
        params = {
            "networkmode": "none",
            "labels": json.dumps(dict(labels)),
            "rm": "1",
            "forcerm": "1",
            # Podman's own word: nothing is left of the steps. Docker leaves the first stage, see tidy.
            "layers": "0",
        }
        lines, made = list[str](), list[str]()

        def hear(line: str) -> None:
            if step := _STEP.match(line):
                say(f"Building: step {step[1]} of {step[2]}.")
            elif line.strip() and not line.startswith("-->"):
                lines[:] = [*lines, line.strip()][-_LINES_KEPT:]
                say(line.strip())

        with context.open("rb") as file, _Lines(hear) as heard:

            def tell(step: Mapping[str, Any]) -> None:
                heard.add(str(step.get("stream") or ""))
                if found := (step.get("aux") or {}).get("ID"):
                    made.append(str(found))

            try:
                await self._follow("build", params, {"Content-Type": "application/x-tar"}, file, tell)
            except RefusedError as exc:
                said = "\n".join([*lines, str(exc)])
                if any(words in said for words in _WITHOUT_PYTHON):
                    raise _unfit(base, f"it has no Python {python}, which the environment has.") from exc
                last = next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "")
                raise _failed(_sentence(f"{last} {exc}".strip())) from exc
        if not made:
            raise _failed("The daemon does not say what it made.")
        return made[-1]

    async def _follow(
        self, path: str, params: Mapping[str, str], headers: Mapping[str, str], data: Any, tell: Callable[[Any], None]
    ) -> None:
        """Have the daemon do what takes long, and hear what it says. Raises RefusedError, Unavailable."""

        async def go(docker: Docker) -> None:
            asked = docker._query(path, "POST", params=params, headers=headers, data=data, timeout=None)
            async with asked as reply:
                async for step in _steps(reply.content.iter_any()):
                    if error := step.get("error"):
                        raise RefusedError(reply.status, str(error))
                    tell(step)

        await self._daemon.ask(go, seconds=self._settings.builds.seconds)

    def _login(self) -> str:
        """Return the header that signs in at the registry. Raises Unavailable."""
        builds = self._settings.builds
        if builds.username is None or builds.password_file is None:
            return base64.urlsafe_b64encode(b"{}").decode()
        try:
            password = builds.password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise Unavailable(
                "image-not-pushed",
                "The file with the registry's password cannot be read.",
                hint="An administrator mends engines.container.builds.password_file.",
                detail=str(exc),
            ) from exc
        members = {"username": builds.username, "password": password, "serveraddress": builds.registry.split("/")[0]}
        return base64.urlsafe_b64encode(json.dumps(members).encode()).decode()

    async def _find(self, workspace_id: str, name: str) -> Mapping[str, Any] | None:
        listed = await self._list(workspace_id)
        return next((one for one in listed if one["Labels"][buildfile.NAME] == name), None)

    async def _list(self, workspace_id: str | None, *, named: bool = True) -> list[Mapping[str, Any]]:
        """Return images of ours: those that have their name, or those that have none."""
        # Podman 4 finds nothing by two labels at once.
        filters = {"label": [f"{buildfile.PLATFORM}={self._platform}"]}
        found = await self._ask(lambda docker: docker.images.list(filters=filters))
        if not named:
            return [one for one in found if not set(one.get("RepoTags") or ()) - {_NAMELESS}]
        return [
            one
            for one in found
            if one["Labels"].get(buildfile.NAME) in (one.get("RepoTags") or ())
            and workspace_id in (None, one["Labels"].get(buildfile.WORKSPACE))
        ]

    async def _delete(self, name: str) -> None:
        try:
            await self._daemon.ask(lambda docker: docker.images.delete(name), seconds=self._settings.builds.seconds)
        except RefusedError as exc:
            if exc.status == _IN_USE:
                raise Conflict(
                    "image-in-use", f"The image {name} is in use.", hint="Stop the sessions that run in it."
                ) from exc
            if exc.status != NOT_FOUND:
                raise _failed(_sentence(str(exc))) from exc

    async def _tidy_quietly(self) -> None:
        with contextlib.suppress(StudioloError):
            await self.tidy()

    async def _ask(self, call: Callable[[Docker], Any]) -> Any:
        try:
            return await self._daemon.ask(call)
        except RefusedError as exc:
            raise _failed(_sentence(str(exc))) from exc


class _Lines:
    """Whole lines of what comes in pieces."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        self._hear = hear
        self._rest = ""

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        if self._rest:
            self._hear(self._rest)

    def add(self, text: str) -> None:
        """Take a piece."""
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            self._hear(line)


async def _steps(blocks: AsyncIterator[bytes]) -> AsyncIterator[Mapping[str, Any]]:
    """Yield the JSON objects of a stream, one a line, however long a line is."""
    rest = b""
    async for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            if line.strip():
                yield json.loads(line)
    if rest.strip():
        yield json.loads(rest)


def _read(listed: Mapping[str, Any]) -> BuiltImage:
    labels = listed["Labels"]
    return BuiltImage(
        workspace_id=labels[buildfile.WORKSPACE],
        name=labels[buildfile.NAME],
        tag=labels.get(buildfile.TAG, ""),
        id=listed["Id"],
        base=labels.get(buildfile.BASE, ""),
        lock=labels.get(buildfile.LOCK, ""),
        size=int(listed.get("Size") or 0),
        made_at=datetime.fromtimestamp(int(listed.get("Created") or 0), UTC),
    )


def _unfit(base: str, why: str) -> InvalidInput:
    return InvalidInput(
        "image-unfit",
        f"No image can be made from {base}: {why}",
        hint="Name another one that sessions may run in: --from IMAGE.",
    )


def _failed(why: str) -> Unavailable:
    return Unavailable("image-failed", why, hint="Try again; `studiolo engines` tells how the engine is.")


def _sentence(text: str) -> str:
    return f"{text.strip().rstrip('.')[:500]}."
