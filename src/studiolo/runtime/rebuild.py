"""A workload's environment, made from its recipe on the workspace's own storage: see docs/decisions/014.

`<folder>/<key>` is one environment, a copy of the image's with what the recipe names on top; `<folder>/live` is a link
to the one that holds. `RECORD` in an environment comes last and says {missing, had, notes}: whether something is to be
tried again, the versions of all that was made, by name, and what people should know.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from studiolo.runtime.installers import InstallError, Patience, RebuildError, install
from studiolo.runtime.launch import LaunchRequest, read_json, write_json
from studiolo.runtime.recipes import Pin, Recipe

# What the workload's log says while one is made, and once that is over; engines show it to people.
PROGRESS = "Making the environment: "
OVER = "The environment is looked after."
RECORD = ".studiolo-recipe"
# In an image's environment, if it was made of a lock: JSON, {lock: its hash}.
MADE_OF = ".studiolo-image"
# Below the workspace's folder. Carriers of files leave it where it is.
FOLDER = ".studiolo/environment"
LIVE = "live"
# Beside the environments: settings and caches of tools that install.
TOOLS = "tools"
_LOCK = ".lock"
_LOOK_SECONDS = 0.5
_NAMES_SHOWN = 10
_LONGEST_NOTE = 2000


def provide(request: LaunchRequest, say: Callable[[str], None]) -> LaunchRequest:
    """Have the environment that the request's recipe names; returns the request to go on with, which says how it went.

    `say` gets lines for the log. Where it cannot be made, the session has the one from before, else the image's.
    """
    live = Path(request.environment)
    say(f"{PROGRESS}looking at what is there.")
    try:
        making = _Making(request, live, Recipe.from_members(request.recipe), say)
        with making.turn():
            notes = making.bring_up_to_date()
    except (RebuildError, OSError, ValueError) as exc:
        reason = f"The workspace's environment could not be made here from its lock. {exc}"
        if (live / RECORD).exists():
            return _told(request, say, f"{reason} It is the one from before.")
        return _told(_moved(request, request.image_environment), say, f"{reason} Kernels run in the image's own.")
    return _told(request, say, " ".join(notes))


def _told(request: LaunchRequest, say: Callable[[str], None], note: str) -> LaunchRequest:
    say(f"{OVER} {note}".rstrip())
    return replace(request, environment_note=note[:_LONGEST_NOTE])


def _moved(request: LaunchRequest, environment: str) -> LaunchRequest:
    """Return the request with another environment, wherever it names the one it has."""

    def move(text: str) -> str:
        return text.replace(request.environment, environment)

    return replace(
        request,
        environment=environment,
        variables={name: move(value) for name, value in request.variables.items()},
        tool_files={move(path): content for path, content in request.tool_files.items()},
    )


class _Making:
    """One look at the folder of environments. Raises RebuildError, OSError."""

    def __init__(self, request: LaunchRequest, live: Path, recipe: Recipe, say: Callable[[str], None]) -> None:
        self._request = request
        self._live = live
        self._folder = live.parent
        self._image = Path(request.image_environment)
        self._recipe = recipe
        self._say = say
        self._patience = Patience(request.environment_seconds)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other session of the workspace makes one."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _lock(descriptor):
                self._say(f"{PROGRESS}another session of the workspace makes it.")
                self._patience.wait(_LOOK_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def bring_up_to_date(self) -> list[str]:
        """Make what is not there, and have it hold; returns what people should know."""
        made = self._folder / self._key()
        record = _record_of(made)
        if record is None or record.get("missing"):
            record = self._make(made, is_there=record is not None)
        if self._target() != made:
            self._switch(made)
        self._tidy(made)
        return [str(note) for note in record["notes"]]

    def _key(self) -> str:
        """Name the environment by all that it is made of. Raises RebuildError where it cannot begin from the image."""
        try:
            interpreter = (self._image / "pyvenv.cfg").read_text()
        except OSError as exc:
            raise RebuildError(f"The image's environment, {self._image}, is none that `python -m venv` makes.") from exc
        there = {folder.name.removeprefix("python") for folder in self._image.glob("lib/python3.*")}
        if self._recipe.python and self._recipe.python not in there:
            raise RebuildError(
                f"The image has Python {', '.join(sorted(there))} and the environment Python {self._recipe.python}: "
                f"name an image with that Python."
            )
        parts = "\n".join((self._recipe.hash, str(self._image), interpreter))
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    def _make(self, made: Path, *, is_there: bool) -> dict[str, Any]:
        if not is_there:
            self._say(f"{PROGRESS}copying the image's.")
            shutil.rmtree(made, ignore_errors=True)
            self._copy(made)
        notes, is_missing = self._fill(made)
        if not is_there:
            notes += self._take_over(made)
        if left_out := self._recipe.left_out:
            notes.append(f"Not in the environment, since no index delivered it: {_shown(left_out)}.")
        record = {"missing": is_missing, "had": _held(made), "notes": notes}
        write_json(made / RECORD, record)
        return record

    def _copy(self, made: Path) -> None:
        def copy(source: str, target: str) -> None:
            self._patience.check()
            shutil.copy2(source, target)

        shutil.copytree(self._image, made, symlinks=True, copy_function=copy)
        _point_programs(made, self._image)

    def _fill(self, made: Path) -> tuple[list[str], bool]:
        """Install what the recipe names; returns notes, and whether something is to be tried again."""
        if (read_json(self._image / MADE_OF) or {}).get("lock") == self._recipe.hash:
            # The image was made of this very lock (docs/decisions/015), and so is its copy.
            return [], False
        try:
            self._install(made, (*self._recipe.base, *self._recipe.added))
        except InstallError as exc:
            if not self._recipe.base:
                raise
            # What was added is what people miss; what the image has may do for the rest.
            self._install(made, self._recipe.added)
            return [f"Of what the environment's base brings the image's own versions are here, if any. {exc}"], True
        return [], False

    def _take_over(self, made: Path) -> list[str]:
        """Install what people had put into the environment that holds until now; returns notes."""
        before = self._target()
        known = (_record_of(before) or {}).get("had") if before else None
        if before is None or before == made or not isinstance(known, dict):
            return []
        there = _held(made)
        own = {name: version for name, version in _held(before).items() if known.get(name) != version}
        pins = [Pin(name, version) for name, version in sorted(own.items()) if name not in there]
        try:
            self._install(made, tuple(pins))
        except InstallError as exc:
            names = _shown([f"{pin.name} {pin.version}" for pin in pins])
            return [f"What was installed here before could not be had again ({names}). {exc}"]
        return []

    def _install(self, made: Path, pins: tuple[Pin, ...]) -> None:
        if pins:
            self._say(f"{PROGRESS}{len(pins)} packages.")
            install(made, pins, self._request, self._patience, lambda line: self._say(f"{PROGRESS}{line}"))

    def _target(self) -> Path | None:
        try:
            return self._folder / self._live.readlink().name
        except OSError:
            return None

    def _switch(self, made: Path) -> None:
        fresh = self._live.with_name(f".{LIVE}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(made.name)
        fresh.replace(self._live)

    def _tidy(self, made: Path) -> None:
        """Remove all environments but this one and the newest of the others, and what a kill has left of some."""
        kept = {made, self._live, self._folder / TOOLS}
        others = [place for place in self._folder.iterdir() if place.is_dir() and place not in kept]
        whole = [place for place in others if (place / RECORD).exists()]
        newest = max(whole, key=lambda place: (place / RECORD).stat().st_mtime, default=None)
        for place in others:
            if place != newest:
                shutil.rmtree(place, ignore_errors=True)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _record_of(environment: Path) -> dict[str, Any] | None:
    """Return what the last making of an environment left; None without one, and where people wrote another thing."""
    found = read_json(environment / RECORD)
    return found if found is not None and isinstance(found.get("notes"), list) else None


def _held(environment: Path) -> dict[str, str]:
    """Return the versions of what is installed in an environment, by name as indexes know it."""
    folders = [str(folder) for folder in environment.glob("lib/python3.*/site-packages")]
    found: dict[str, str] = {}
    for one in distributions(path=folders):
        # What people wrote there need not be what tools write.
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            if one.name and one.version:
                found[re.sub(r"[-_.]+", "-", one.name).lower()] = one.version
    return found


def _point_programs(made: Path, image: Path) -> None:
    """Have programs, and the scripts that activate an environment, name the copy."""
    for file in (made / "bin").iterdir():
        if file.is_symlink() or not file.is_file():
            continue
        content = file.read_bytes()
        if content.startswith(b"#!") or file.name.lower().startswith("activate"):
            file.write_bytes(content.replace(os.fsencode(image) + b"/", os.fsencode(made) + b"/"))


def _shown(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{', '.join(names[:_NAMES_SHOWN])}{more}"
