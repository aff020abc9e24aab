"""Makes views of channels: once for each policy, state of the channel and day, in a process beside this one."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from studiolo.contract.errors import Unavailable
from studiolo.packages.conda.filtering import Job
from studiolo.packages.conda.upstream import Upstream
from studiolo.packages.conda.views import View
from studiolo.packages.policy.effective import Policy

_AT_ONCE = 2
# Each remembers where the shards of some ten thousand packages are.
_MOST_OPEN = 64
_KEPT_SECONDS = 7 * 86400


def _now() -> datetime:
    return datetime.now(UTC)


class Viewing:
    """Views in `folder`, of the files that `upstream` keeps. What nobody asked for in a week is removed."""

    def __init__(self, folder: Path, upstream: Upstream, now: Callable[[], datetime] = _now) -> None:
        self._folder = folder
        self._upstream = upstream
        self._now = now
        self._open: OrderedDict[Path, View] = OrderedDict()
        self._locks: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def view(self, policy: Policy, channel: str, address: str, subdir: str) -> View:
        """Return the view of a channel's folder under a policy. Raises what `Upstream.repodata` does."""
        upstream, digest = await self._upstream.repodata(address, subdir)
        now = self._now()
        key = _digest(digest, policy.hash, channel, subdir, now.date().isoformat())
        place = self._folder / _digest(channel, subdir) / policy.hash[:32] / key
        async with self._locks[place.parent]:
            if not await asyncio.to_thread(_find, place):
                self._open.pop(place, None)
                job = Job(str(upstream), "", channel, subdir, policy.to_json(), now.isoformat())
                await self._make(place, job)
            view = self._open.setdefault(place, View(place, key))
            self._open.move_to_end(place)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        return view

    async def _make(self, place: Path, job: Job) -> None:
        part = await asyncio.to_thread(_begin, self._folder, place)
        try:
            async with self._turns:
                await _run(Job(job.upstream, str(part), job.channel, job.subdir, job.policy, job.now))
            await asyncio.to_thread(_publish, part, place)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise


async def _run(job: Job) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "studiolo.packages.conda.filtering", stdin=PIPE, stdout=DEVNULL, stderr=PIPE
    )
    try:
        _, said = await process.communicate(job.to_json())
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise Unavailable(
            "packages-unavailable",
            f"What the channel {job.channel} says of {job.subdir} cannot be read.",
            hint="Try again later, or tell an administrator: the channel may be broken.",
            detail=said.decode(errors="replace")[-2000:],
        )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _begin(folder: Path, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=folder, prefix=".part-"))


def _find(place: Path) -> bool:
    """Tell whether the view is there, and note that it is in use."""
    try:
        os.utime(place.parent)
    except FileNotFoundError:
        return False
    return place.is_dir()


def _publish(part: Path, place: Path) -> None:
    """Move a view to its place. Older ones of its policy, those of policies out of use, and torn ones are removed."""
    part.rename(place)
    long_ago = time.time() - _KEPT_SECONDS
    gone = [old for old in place.parent.iterdir() if old != place]
    aside = [*place.parent.parent.iterdir(), *place.parent.parent.parent.glob(".part-*")]
    for old in [*gone, *(old for old in aside if old.stat().st_mtime < long_ago)]:
        shutil.rmtree(old, ignore_errors=True)
