"""Builds what bases of environments are made with; workspaces are measured with them before they have environments."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from studiolo.server.environments.base import ensure_base
from studiolo.server.environments.bases import Bases
from studiolo.server.environments.interpreters import OLDEST, Interpreters
from studiolo.server.environments.service import BuildOther
from studiolo.server.environments.uv_installer import UvInstaller
from studiolo.server.foundation import Foundation
from studiolo.server.settings import Settings


@dataclass(frozen=True)
class BaseParts:
    """Which interpreters there are, how packages are resolved, and the catalogue of bases."""

    interpreters: Interpreters
    pip_installer: UvInstaller
    bases: Bases


def build_bases(on: Foundation) -> BaseParts:
    """Build them; nothing runs yet."""
    settings = on.settings.environments
    interpreters = Interpreters(settings.python, oldest=_oldest_python(on.settings))
    pip = UvInstaller(on.settings.data_dir / "cache" / "plans")
    bases = Bases(
        on.db,
        on.clock,
        on.audit,
        interpreters,
        pip,
        data_dir=on.settings.data_dir,
        lock_file=settings.lock_file,
        timeout=settings.build_timeout,
    )
    return BaseParts(interpreters, pip, bases)


def base_of(settings: Settings) -> BuildOther:
    """Return how to have the platform's own base for an interpreter, which tells of its progress."""

    async def build(python: str, progress: Callable[[str], None]) -> Path:
        return await ensure_base(
            settings.data_dir,
            python=python,
            lock_file=settings.environments.lock_file,
            timeout=settings.environments.build_timeout,
            progress=progress,
        )

    return build


def _oldest_python(settings: Settings) -> tuple[int, ...]:
    # For which versions another lock was made, its administrator knows.
    return OLDEST if settings.environments.lock_file is None else (3,)
