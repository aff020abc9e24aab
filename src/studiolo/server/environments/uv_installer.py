"""PyPI packages by uv: resolved with `uv pip compile`, installed with `uv pip install` at exactly those hashes."""

import asyncio
import re
import tempfile
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tomli_w
from packaging.utils import canonicalize_name

from studiolo.contract.errors import Conflict, StudioloError, Unavailable
from studiolo.server.environments.installing import Alteration, Resolved, Tell, Wanted
from studiolo.server.environments.programs import point_programs
from studiolo.server.environments.uv_tool import Outcome, run_uv

_RESOLVE_SECONDS = 120.0
_ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?P<via>(?:\n +#.*)*)", re.MULTILINE)
_VIA = re.compile(r"#\s*(?:via)?\s*([A-Za-z0-9._-]+)?")
_CAUSES_SHOWN = 6


class UvInstaller:
    """Implements Installer. `cache`: a folder for metadata of what there is; no files are installed from it."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    async def resolve(self, wanted: Wanted) -> list[Resolved]:
        """See Installer.resolve. Nothing is built: a project without a wheel for this machine does not resolve."""
        with tempfile.TemporaryDirectory(prefix="plan-") as name:
            lock = Path(name) / "pylock.toml"
            preferred = {n: v for n, v in wanted.present.items() if n not in wanted.upgrade}
            lock.write_text(tomli_w.dumps(_as_lock(preferred)))
            outcome = await self._compile(wanted, lock)
            if outcome.code != 0:
                raise _unresolved(outcome)
            return [_read_package(package) for package in tomllib.loads(lock.read_text()).get("packages", [])]

    async def explain(self, wanted: Wanted, closure: Sequence[Resolved]) -> dict[str, list[str]]:
        """See Installer.explain."""
        with tempfile.TemporaryDirectory(prefix="plan-") as name:
            pins = Path(name) / "requirements.txt"
            pins.write_text("".join(f"{one.name}=={one.version}\n" for one in closure))
            outcome = await self._compile(wanted, pins)
            if outcome.code != 0:
                raise _unresolved(outcome)
            return {
                canonicalize_name(found["name"]): sorted(_read_via(found["via"]))
                for found in _ENTRY.finditer(pins.read_text())
            }

    async def apply(self, prefix: Path, change: Alteration, tell: Tell) -> None:
        """See Installer.apply. Bytecode is left to the first import, as with uv anywhere.

        Nothing in `prefix` runs, and links in it lead no write out of it (with Landlock).
        """
        _check_python(prefix, change.interpreter)
        with tempfile.TemporaryDirectory(prefix="uv-", dir=prefix.parent) as name:
            python = ["--python", str(change.interpreter), "--prefix", str(prefix), "--cache-dir", f"{name}/cache"]
            run = partial(run_uv, folder=Path(name), writes_in=(prefix, Path(name)), tell=tell)
            if change.remove:
                _check(await run(["pip", "uninstall", *python, "--", *change.remove]))
            if change.install:
                pins, variables = _write_pins(Path(name), change)
                # The cache is on the same disk and goes: files move into place, and none is there unasked.
                options = [*python, "--link-mode", "hardlink", "--no-deps", "--no-build", "--reinstall", "-r", pins]
                _check(await run(["pip", "install", *options], variables=variables))
                await asyncio.to_thread(point_programs, prefix, change.interpreter)

    async def _compile(self, wanted: Wanted, output: Path) -> Outcome:
        limits = output.with_name("limits.txt")
        limits.write_text("".join(f"{spec}\n" for spec in wanted.limits))
        arguments = ["pip", "compile", "-", "-o", str(output), "--cache-dir", str(self._cache), "--no-header"]
        arguments += ["--python", str(wanted.interpreter), "--no-build", "--quiet", "--constraints", str(limits)]
        if output.suffix == ".toml":
            arguments += ["--format", "pylock.toml"]
        if wanted.not_after is not None:
            arguments += ["--exclude-newer", wanted.not_after.astimezone(UTC).isoformat()]
        for name in sorted(wanted.upgrade):
            arguments += ["--upgrade-package", name]
        text = "".join(f"{spec}\n" for spec in (*wanted.specs, *wanted.keep))
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                return await run_uv(arguments, folder=output.parent, text=text)
        except TimeoutError as exc:
            raise Unavailable(
                "packages-unavailable",
                f"To find versions that fit took longer than {_RESOLVE_SECONDS:.0f} s.",
                hint="Name versions of the packages, then try again.",
            ) from exc


def _as_lock(present: dict[str, str]) -> dict[str, Any]:
    packages = [{"name": name, "version": version} for name, version in present.items()]
    return {"lock-version": "1.0", "created-by": "studiolo", "packages": packages}


def _read_package(package: dict[str, Any]) -> Resolved:
    # uv lists the wheels that fit this interpreter, the best first.
    wheels = package.get("wheels") or []
    file = wheels[0] if wheels else package.get("sdist") or package.get("archive") or {}
    uploaded = file.get("upload-time")
    return Resolved(
        name=canonicalize_name(package["name"]),
        version=str(package.get("version", "")),
        file=file.get("name") or urlsplit(file.get("url", "")).path.rpartition("/")[2] or None,
        sha256=(file.get("hashes") or {}).get("sha256"),
        uploaded_at=uploaded.replace(tzinfo=uploaded.tzinfo or UTC) if isinstance(uploaded, datetime) else None,
        is_wheel=bool(wheels),
    )


def _read_via(comments: str) -> set[str]:
    names = (_VIA.match(line.strip()) for line in comments.splitlines())
    # `-r -` is our own input.
    return {canonicalize_name(found[1]) for found in names if found and found[1] and not found[1].startswith("-")}


def _write_pins(folder: Path, change: Alteration) -> tuple[str, dict[str, str]]:
    """Write what is to be installed, and return its path and the variables by which uv finds the index."""
    pins = folder / "pins.txt"
    pins.write_text("".join(map(_pin, change.install)))
    if change.index is None:
        return str(pins), {}
    netrc = folder / "netrc"
    netrc.touch(mode=0o600)
    netrc.write_text(change.index.netrc)
    variables = {"NETRC": str(netrc), "UV_DEFAULT_INDEX": change.index.url, "UV_NO_CONFIG": "1"}
    if change.index.certificates is not None:
        variables["SSL_CERT_FILE"] = str(change.index.certificates)
    return str(pins), variables


def _pin(one: Resolved) -> str:
    return f"{one.name}=={one.version}" + (f" --hash=sha256:{one.sha256}" if one.sha256 else "") + "\n"


_NO_WHEEL = re.compile(r"Because (?:all versions of )?(?P<name>[\w.-]+)(?:==\S+)? ha(?:ve|s) no usable wheels")


def _unresolved(outcome: Outcome) -> StudioloError:
    causes = [line.strip().removeprefix("cause: ") for line in outcome.said.splitlines() if line.strip()]
    said = " ".join(causes[:_CAUSES_SHOWN])
    if found := _NO_WHEEL.search(said):
        name = found["name"]
        return Conflict(
            "package-unsolvable",
            f"{name} has no wheel that fits, only source distributions, which run code while they are installed: none "
            "is built here.",
            hint=f"In a session `pip install {name}` builds it, where the policy (wheels_only) or an exception lets it "
            f"pass: studiolo request WORKSPACE {name}",
        )
    if "No solution found" in outcome.said:
        return Conflict(
            "package-unsolvable",
            said.partition("dependencies ")[2] or said,
            hint="Name other versions, or leave one of the packages out.",
        )
    return Unavailable(
        "packages-unavailable",
        f"What packages there are could not be asked for: {said.removeprefix('error: ')}",
        hint="See that the platform reaches its package index; studiolo doctor asks it.",
    )


def _check_python(prefix: Path, interpreter: Path) -> None:
    """Raise Unavailable (`build-failed`) where an interpreter would install for another Python than is there."""
    ours, theirs = ({path.name for path in place.glob("lib/python3.*")} for place in (interpreter.parents[1], prefix))
    if theirs and not ours & theirs:
        raise Unavailable(
            "build-failed",
            f"The environment has {min(theirs)}, and the platform has no interpreter of that version for it.",
            hint="Install with conda instead, or make a workspace with that python_version.",
        )


def _check(outcome: Outcome) -> None:
    if outcome.code != 0:
        causes = [line.strip().removeprefix("cause: ") for line in outcome.said.splitlines() if line.strip()]
        raise Unavailable(
            "build-failed",
            " ".join(causes[-_CAUSES_SHOWN:]),
            hint="The environment is as it was. Try again, or see what the platform's log says.",
        )
