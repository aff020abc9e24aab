"""Kernelspecs: read from folders as Jupyter lays them out, chosen by name, shown as Jupyter shows them."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from studiolo.contract.errors import NotFound
from studiolo.gateway.starting.plans import read_plain

DEFAULT = "python3"
# What clients ask for when they mean: some Python.
_ANY_PYTHON = ("python", "python3")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
_RESOURCES = ("kernel.js", "kernel.css")
# As ipykernel writes them; with anything else in it a command is run as it stands.
_LAUNCHER = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
# debugpy warns into the output of each kernel that is exec'd without `-Xfrozen_modules=off`.
NO_WARNING = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spec:
    """One kernelspec. `folder`: where its logos are. `environment`: the venv whose ipykernel it is, else None."""

    name: str
    folder: Path | None
    argv: tuple[str, ...]
    display_name: str
    language: str
    interrupt_mode: str = "signal"
    variables: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    environment: Path | None = None


def list_specs(folders: Sequence[Path]) -> dict[str, Spec]:
    """Return the kernelspecs in some folders by name; the first that has a name wins. What cannot be read is logged."""
    found: dict[str, Spec] = {}
    for folder in folders:
        for file in sorted(folder.glob("*/kernel.json")) if folder.is_dir() else ():
            # As Jupyter: names are compared in lower case.
            name = file.parent.name.lower()
            if name not in found and (spec := read_spec(file.parent, name)) is not None:
                found[name] = spec
    return found


def read_spec(folder: Path, name: str) -> Spec | None:
    """Read `folder/kernel.json`; None, and a line in the log, when it is broken.

    Source: jupyter_client, kernelspec.KernelSpec.
    """
    try:
        return _spec(folder, name, json.loads(read_plain(folder / "kernel.json")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        _log.warning("The kernelspec in %s cannot be used: %r", folder, exc)
        return None


def _spec(folder: Path, name: str, members: Mapping[str, Any]) -> Spec:
    if not _NAME.fullmatch(name):
        raise ValueError("its name has other characters than letters, digits, dot, dash and underscore")
    argv = [str(word).replace("{resource_dir}", str(folder)) for word in members["argv"]]
    if not argv:
        raise ValueError("it has no command")
    argv[0] = _program(folder, argv[0])
    variables = {str(key): str(value) for key, value in (members.get("env") or {}).items()}
    if environment := forkable(argv):
        # A fork is asked for by the plain command.
        argv = [argv[0], *_LAUNCHER]
        variables = NO_WARNING | variables
    return Spec(
        name=name,
        folder=folder,
        argv=tuple(argv),
        display_name=str(members.get("display_name") or name),
        language=str(members.get("language") or ""),
        interrupt_mode="message" if members.get("interrupt_mode") == "message" else "signal",
        variables=variables,
        metadata=dict(members.get("metadata") or {}),
        environment=environment,
    )


def _program(folder: Path, program: str) -> str:
    """Return what `python` in a kernelspec means: the interpreter of the environment that it was installed into."""
    if re.fullmatch(r"python(3(\.\d+)?)?", program):
        for parent in folder.parents[:4]:
            if (parent / "bin" / "python").exists():
                return str(parent / "bin" / "python")
    return program


def forkable(argv: Sequence[str]) -> Path | None:
    """Return the venv whose ipykernel a command starts, if it is that and nothing more, else None."""
    words = [word for word in argv[1:] if word != "-Xfrozen_modules=off"]
    interpreter = Path(argv[0])
    if tuple(words) != _LAUNCHER or not interpreter.is_absolute() or interpreter.parent.name != "bin":
        return None
    root = interpreter.parent.parent
    return root if (root / "pyvenv.cfg").is_file() else None


def choose(specs: Mapping[str, Spec], name: str | None, default: str = DEFAULT) -> Spec:
    """Return the spec of a name; `python` and no name mean the default one. Raises NotFound, naming what there is."""
    wanted = (name or default).lower()
    for candidate in (wanted, *((DEFAULT, default) if wanted in _ANY_PYTHON else ())):
        if candidate in specs:
            return specs[candidate]
    there = ", ".join(sorted(specs)[:50]) or "none"
    raise NotFound(
        "kernelspec-not-found",
        f"The '{wanted[:64]}' kernel is not available.",
        hint=f"Kernels here: {there}.",
        candidates=sorted(specs)[:50],
    )


def listing(specs: Mapping[str, Spec], prefix: str, default: str = DEFAULT) -> dict[str, Any]:
    """Return the answer of `GET /api/kernelspecs`."""
    if default not in specs:
        default = min(specs, default=default)
    return {"default": default, "kernelspecs": {name: model(spec, prefix) for name, spec in specs.items()}}


def model(spec: Spec, prefix: str) -> dict[str, Any]:
    """Return one kernelspec as Jupyter's API shows it: {name, spec, resources}."""
    return {
        "name": spec.name,
        "spec": {
            "argv": list(spec.argv),
            "env": dict(spec.variables),
            "display_name": spec.display_name,
            "language": spec.language,
            "interrupt_mode": spec.interrupt_mode,
            "metadata": dict(spec.metadata),
        },
        "resources": {
            file.stem
            if file.name.startswith("logo-")
            else file.name: f"{prefix}kernelspecs/{quote(spec.name)}/{quote(file.name)}"
            for file in resource_files(spec)
        },
    }


def resource_files(spec: Spec) -> list[Path]:
    """Return the files of a spec that its model names: its logos, script and style sheet."""
    if spec.folder is None:
        return []
    files = [*sorted(spec.folder.glob("logo-*")), *(spec.folder / name for name in _RESOURCES)]
    return [file for file in files if file.is_file() and not file.is_symlink()]


def find_resource_file(spec: Spec, name: str) -> Path | None:
    """Return the file of that name beside `kernel.json`, if clients may read it: no link, nothing hidden.

    Source: jupyter_server 2.21, services/kernelspecs: it serves all that lies there. `kernel.json` has its own address.
    """
    if spec.folder is None or name.startswith(".") or name == "kernel.json" or Path(name).name != name:
        return None
    file = spec.folder / name
    return file if file.is_file() and not file.is_symlink() else None


def with_metadata(spec: Spec, **ours: Any) -> Spec:
    """Return the spec with members added to `metadata.studiolo`."""
    known = spec.metadata.get("studiolo", {})
    return replace(spec, metadata={**spec.metadata, "studiolo": {**known, **ours}})
