"""Kernelspecs of everything beneath some folders: each environment with ipykernel, each installed kernelspec.

Found anew as they come and go: at each question only folders whose time of change is another are listed again.
"""

import contextlib
import hashlib
import logging
import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from studiolo.contract.errors import NotFound
from studiolo.gateway.offers.environments import Environment, find_environment, identify
from studiolo.gateway.offers.specs import DEFAULT, NO_WARNING, Spec, choose, read_spec, with_metadata
from studiolo.gateway.starting.plans import read_json, replace_json

_DEPTH = 6
_MOST_FOLDERS = 5000
_LOOK_AGAIN_SECONDS = 1.0
# For so long after a look a known environment is looked at alone: a new one could only be chosen by another name.
_RECALL_SECONDS = 60.0
_SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages", "pkgs", "proc", "sys", "dev"})
# Folders that begin with a dot hold environments only under these names.
_HIDDEN = frozenset({".venv", ".venvs", ".virtualenvs", ".conda", ".local", ".pixi", ".pyenv"})
# An environment under such a name is called as the folder around it.
_PLAIN = frozenset({".venv", "venv", ".env", "env", "default"})
_KERNELS = "share/jupyter/kernels"

_log = logging.getLogger(__name__)


class _Listed(NamedTuple):
    changed_at: int
    below: tuple[Path, ...]
    environment: Environment | None
    is_spec: bool


class Catalogue:
    """Looks beneath `roots`, six folders deep. `names`: file in which each thing's name is kept: it never changes."""

    def __init__(self, roots: Sequence[Path], names: Path) -> None:
        self._roots = roots
        self._file = names
        self._names: dict[str, str] = read_json(names) or {}
        self._listed: dict[Path, _Listed] = {}
        self._specs: dict[str, Spec] = {}
        self._roots_of: dict[str, Path] = {}
        self._looked_at = -_LOOK_AGAIN_SECONDS
        # Environments that were left out, and why.
        self.left_out: dict[Path, str] = {}

    def specs(self) -> dict[str, Spec]:
        """Return the kernelspecs by name. Touches the disk; at most once a second."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_AGAIN_SECONDS:
            self._specs = self._look()
            self._looked_at = now
        return self._specs

    def recall(self, name: str | None, default: str) -> Spec | None:
        """Return what `choose` would, as its environment is now, from a look at that alone; None: look at all."""
        if time.monotonic() - self._looked_at > _RECALL_SECONDS:
            return None
        with contextlib.suppress(NotFound, KeyError, OSError):
            environment = find_environment(self._roots_of[choose(self._specs, name, default).name])
            if environment is not None and environment.why_no_kernel() is None:
                return self._of_environment(environment)
        return None

    def _look(self) -> dict[str, Spec]:
        before = dict(self._names)
        environments, spec_folders = self._walk()
        found: dict[str, Spec] = {}
        roots_of: dict[str, Path] = {}
        left_out: dict[Path, str] = {}
        for environment in environments:
            if why := environment.why_no_kernel():
                left_out[environment.root] = why
            else:
                spec = self._of_environment(environment)
                found[spec.name], roots_of[spec.name] = spec, environment.root
            spec_folders += sorted(file.parent for file in (environment.root / _KERNELS).glob("*/kernel.json"))
        roots = {environment.root for environment in environments}
        for folder in spec_folders:
            if (known := self._of_folder(folder, roots)) is not None:
                found[known.name] = known
                roots_of.pop(known.name, None)
        for root in left_out.keys() - self.left_out.keys():
            _log.warning("No kernels from %s: %s.", root, left_out[root])
        self.left_out, self._roots_of = left_out, roots_of
        if self._names != before:
            replace_json(self._file, self._names)
        return found

    def _walk(self) -> tuple[list[Environment], list[Path]]:
        listed: dict[Path, _Listed] = {}
        environments, spec_folders = [], []
        waiting = [(root, 0) for root in self._roots]
        for folder, depth in waiting:
            if folder in listed or len(listed) >= _MOST_FOLDERS:
                continue
            here = self._list(folder)
            if here is None:
                continue
            listed[folder] = here
            if here.environment is not None:
                environments.append(here.environment)
            elif here.is_spec:
                spec_folders.append(folder)
            elif depth < _DEPTH:
                waiting += [(child, depth + 1) for child in here.below]
        self._listed = listed
        return environments, spec_folders

    def _list(self, folder: Path) -> _Listed | None:
        try:
            changed_at = folder.stat().st_mtime_ns
            known = self._listed.get(folder)
            if known is not None and known.changed_at == changed_at:
                return known
            below = []
            is_spec = False
            with os.scandir(folder) as entries:
                for entry in entries:
                    is_spec = is_spec or entry.name == "kernel.json"
                    hidden = entry.name.startswith(".") and entry.name not in _HIDDEN
                    if not hidden and entry.name not in _SKIPPED and entry.is_dir(follow_symlinks=False):
                        below.append(folder / entry.name)
            return _Listed(changed_at, tuple(sorted(below)), find_environment(folder), is_spec)
        except OSError:
            return None

    def _of_environment(self, environment: Environment) -> Spec:
        root = environment.root
        wanted = DEFAULT if root in self._roots else _slug(root.parent.name if root.name in _PLAIN else root.name)
        name = self._name(root, wanted)
        title = "Python 3 (ipykernel)" if name == DEFAULT else f"Python {environment.python_version} ({name})"
        resources = root / _KERNELS / "python3"
        spec = Spec(
            name=name,
            folder=resources if resources.is_dir() else None,
            argv=(
                str(environment.python),
                "-m",
                "ipykernel_launcher",
                "-f",
                "{connection_file}",
            ),
            display_name=title,
            language="python",
            variables=NO_WARNING,
            metadata={"debugger": True},
            # Whatever a conda prefix does when it is activated, a fork would not do.
            environment=None if environment.is_conda else root,
        )
        return with_metadata(spec, environment=identify(environment), resources={})

    def _of_folder(self, folder: Path, environments: set[Path]) -> Spec | None:
        spec = read_spec(folder, folder.name.lower())
        if spec is None or (spec.environment is not None and spec.environment in environments):
            # Broken, or ipykernel's own, which the environment offers already.
            return None
        return replace(spec, name=self._name(folder, _slug(folder.name)))

    def _name(self, path: Path, wanted: str) -> str:
        """Return the name that a thing has kept since it was first seen; the first that wants a name gets it."""
        known = self._names.get(str(path))
        if known is None:
            taken = set(self._names.values())
            parent = _slug(path.parent.parent.name if path.name in _PLAIN else path.parent.name)
            digest = hashlib.sha256(str(path).encode()).hexdigest()[:6]
            known = next(name for name in (wanted, f"{parent}-{wanted}", f"{wanted}-{digest}") if name not in taken)
            self._names[str(path)] = known
        return known


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.") or "kernel"
