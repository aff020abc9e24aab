"""Which interpreters of Python the machine has, and which one a workspace's `python_version` means."""

import asyncio
import json
import platform
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version

import uv

from studiolo.contract.details import EnvironmentConfig
from studiolo.contract.errors import InvalidInput, Unavailable

# The shipped lock was resolved for this version and newer ones.
OLDEST = (3, 11)
_LOOK_SECONDS = 30.0
# Somebody who has just installed one does not want to wait for it.
_REMEMBER_SECONDS = 300.0
_LOOK_AGAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython of this machine. `version` as in (3, 12, 1)."""

    version: tuple[int, ...]
    path: str

    @property
    def name(self) -> str:
        """The version as text."""
        return ".".join(map(str, self.version))


class Interpreters:
    """Finds interpreters; `default` is the one of the default environment, empty for the running one."""

    def __init__(self, default: str, *, oldest: tuple[int, ...] = OLDEST) -> None:
        self._default = default
        self._oldest = oldest
        self._found: list[Interpreter] = []
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    async def settle(self, environment: EnvironmentConfig) -> EnvironmentConfig:
        """Return it with `latest` resolved to the JupyterLab that there is.

        Raises InvalidInput (`python-not-found`, `jupyter-not-found`) with what there is.
        """
        if environment.python_version is not None:
            await self.choose(environment.python_version)
        wanted, shipped = environment.jupyter_version, version("jupyterlab")
        if wanted is None:
            return environment
        if wanted != "latest" and not _means(wanted, shipped.split(".")):
            raise InvalidInput(
                "jupyter-not-found",
                f"JupyterLab {wanted} is not there; this platform runs JupyterLab {shipped}.",
                hint=f'Write "latest" or "{shipped}", or leave jupyter_version out.',
                candidates=[shipped],
            )
        return environment.model_copy(update={"jupyter_version": shipped})

    async def choose(self, wanted: str) -> str:
        """Return the interpreter for a version such as `3.12`; empty where the default one fits.

        Raises InvalidInput (`python-not-found`) that lists those found.
        """
        if not self._default and _means(wanted, map(str, sys.version_info[:3])):
            return ""
        for age in (_REMEMBER_SECONDS, _LOOK_AGAIN_SECONDS):
            found = await self.list_found(age)
            fitting = [one for one in found if _means(wanted, map(str, one.version)) and one.version >= self._oldest]
            if fitting:
                return max(fitting, key=lambda one: one.version).path
        raise _not_found(wanted, await self.list_found(_REMEMBER_SECONDS), self._oldest)

    async def list_found(self, not_older_than: float = _REMEMBER_SECONDS) -> list[Interpreter]:
        """Return one interpreter per version, newest first, as last looked up (seconds ago at most)."""
        async with self._looking:
            if time.monotonic() - self._looked_at > not_older_than:
                self._found = await _look()
                self._looked_at = time.monotonic()
            return self._found


async def version_of(interpreter: str) -> str:
    """Return the version of an interpreter of ours, as `3.11.7`. Raises Unavailable (`build-failed`)."""
    if interpreter == sys.executable:
        return platform.python_version()
    asked = ("-I", "-c", "import platform; print(platform.python_version())")
    process = await asyncio.create_subprocess_exec(interpreter, *asked, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    output, _ = await process.communicate()
    if process.returncode:
        raise Unavailable("build-failed", f"The interpreter {interpreter} does not run.", hint="Install it anew.")
    return output.decode().strip()


def _means(wanted: str, version: Iterable[str]) -> bool:
    parts = wanted.split(".")
    return list(version)[: len(parts)] == parts


async def _look() -> list[Interpreter]:
    process = await asyncio.create_subprocess_exec(
        uv.find_uv_bin(), "python", "list", "--only-installed", "--output-format", "json", "--no-config",
        stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            output, _ = await process.communicate()
        entries = json.loads(output)
    except (TimeoutError, ValueError):
        entries = []
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    running = Interpreter(tuple(sys.version_info[:3]), sys.executable)
    found = {running.version: running}
    for entry in entries:
        if entry["implementation"] == "cpython" and entry.get("variant", "default") == "default":
            parts = entry["version_parts"]
            one = Interpreter((parts["major"], parts["minor"], parts["patch"]), entry["path"])
            found.setdefault(one.version, one)
    return sorted(found.values(), key=lambda one: one.version, reverse=True)


def _not_found(wanted: str, found: list[Interpreter], oldest: tuple[int, ...]) -> InvalidInput:
    usable = [one.name for one in found if one.version >= oldest]
    needed = ".".join(map(str, oldest))
    is_old = any(_means(wanted, map(str, one.version)) for one in found)
    why = f"is older than {needed}, which notebooks need" if is_old else "was not found on this machine"
    return InvalidInput(
        "python-not-found",
        f"Python {wanted} {why}. There {'is' if len(usable) == 1 else 'are'} {', '.join(usable) or 'none'}.",
        hint="Choose one of these or leave python_version out. "
        f"An administrator can add one: uv python install {wanted}.",
        candidates=usable,
    )
