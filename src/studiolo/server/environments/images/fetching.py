"""The files of a recipe, each fetched from our own index and checked by its hash."""

import asyncio
import hashlib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
from packaging.tags import Tag, compatible_tags, cpython_tags, platform_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from studiolo.contract.errors import Denied, StudioloError, Unavailable
from studiolo.engines.images import PINS, Say
from studiolo.runtime.recipes import Pin, Recipe

_PAGE = "application/vnd.pypi.simple.v1+json"
_AT_ONCE = 4
_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Access:
    """Where files come from, and how to sign in there. `certificates`: a bundle to trust; None: the usual one."""

    url: str
    login: str
    key: str
    certificates: Path | None = None


async def fetch(recipe: Recipe, access: Access, folder: Path, say: Say) -> None:
    """Bring a wheel for each pin of a recipe into `folder`, and a list of them with their hashes.

    Raises Denied (`package-refused`), Unavailable (`packages-unavailable`, `image-failed`), OSError.
    """
    pins, turns, lines = (*recipe.base, *recipe.added), asyncio.Semaphore(_AT_ONCE), list[str]()
    tags = _tags(recipe.python)
    trusted = ssl.create_default_context(cafile=access.certificates) if access.certificates else True
    async with httpx.AsyncClient(
        auth=(access.login, access.key), verify=trusted, timeout=_SECONDS, follow_redirects=True, trust_env=False
    ) as client:

        async def bring(pin: Pin) -> None:
            async with turns:
                lines.append(await _bring(client, access.url, pin, tags, folder))
                say(f"Fetching packages: {len(lines)} of {len(pins)}.")

        try:
            async with asyncio.TaskGroup() as group:
                for pin in pins:
                    group.create_task(bring(pin))
        except ExceptionGroup as failed:
            raise _reason(failed) from failed
    await asyncio.to_thread((folder / PINS).write_text, "".join(f"{line}\n" for line in sorted(lines)))


def choose(files: Sequence[Mapping[str, Any]], pin: Pin, tags: Mapping[Tag, int]) -> Mapping[str, Any] | None:
    """Return the file of a page, as PEP 691 has it, that is best for a pin; None if none may be taken.

    `tags`: those that fit, the best with the lowest number.
    """
    ranked = []
    for file in files:
        try:
            _, version, _, own = parse_wheel_filename(file["filename"])
        except InvalidWheelFilename:
            continue
        sha256, rank = file.get("hashes", {}).get("sha256"), min((tags[tag] for tag in own if tag in tags), default=-1)
        is_meant = sha256 in pin.hashes if pin.hashes else bool(sha256) and str(version) == pin.version
        if is_meant and rank >= 0:
            ranked.append((rank, file["filename"], file))
    return min(ranked, key=lambda one: one[:2])[2] if ranked else None


def _tags(python: str) -> dict[Tag, int]:
    version = tuple(int(part) for part in python.split(".")[:2]) if python else None
    platforms = list(platform_tags())
    interpreter = "cp" + "".join(map(str, version)) if version else None
    found = [*cpython_tags(version, platforms=platforms), *compatible_tags(version, interpreter, platforms)]
    return {tag: number for number, tag in reversed([*enumerate(found)])}


async def _bring(client: httpx.AsyncClient, index: str, pin: Pin, tags: Mapping[Tag, int], folder: Path) -> str:
    page = await client.get(f"{index}{pin.name}/", headers={"Accept": _PAGE})
    _check(page, pin)
    file = choose(page.json().get("files", ()), pin, tags)
    if file is None:
        raise Unavailable(
            "image-failed",
            f"The index has no wheel of {pin.name} {pin.version} that is the environment's and fits this machine.",
            hint="Install another version of it, then make the image again.",
        )
    digest, address = hashlib.sha256(), urljoin(str(page.url), file["url"].partition("#")[0])
    if httpx.URL(address).netloc != httpx.URL(index).netloc:
        # The key is for our own index alone.
        raise Unavailable("packages-unavailable", f"The index has {pin.name} at another place.", hint="Try again.")
    async with client.stream("GET", address) as reply:
        if reply.is_error:
            await reply.aread()
        _check(reply, pin)
        with (folder / file["filename"]).open("wb") as target:
            async for block in reply.aiter_bytes():
                digest.update(block)
                await asyncio.to_thread(target.write, block)
    found = digest.hexdigest()
    if found != file["hashes"]["sha256"]:
        raise Unavailable(
            "image-failed",
            f"{file['filename']} is not the file that the environment was made of.",
            hint="Try again; if it happens once more, the index's source has changed a file.",
        )
    return f"{pin.name}=={pin.version} --hash=sha256:{found}"


def _check(reply: httpx.Response, pin: Pin) -> None:
    if not reply.is_error:
        return
    try:
        told = reply.json()
        said = str(told.get("detail") or told.get("title") or reply.reason_phrase)
    except (ValueError, AttributeError):
        said = reply.reason_phrase
    what = f"{pin.name} {pin.version}: {said}"
    if reply.status_code == httpx.codes.FORBIDDEN:
        raise Denied("package-refused", what, hint="The policy has changed since it was installed; ask for it.")
    raise Unavailable("packages-unavailable", what, hint="Try again; studiolo doctor asks the platform's index.")


def _reason(failed: ExceptionGroup[Exception]) -> Exception:
    """Return the first of what went wrong that is an error for people."""
    for one in failed.exceptions:
        if isinstance(one, StudioloError):
            return one
    first = failed.exceptions[0]
    if isinstance(first, httpx.HTTPError | ValueError):
        return Unavailable(
            "packages-unavailable",
            "The platform's index does not answer as it should.",
            hint="Try again; studiolo doctor asks it.",
            detail=repr(first),
        )
    return first
