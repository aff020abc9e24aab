"""Python environments on disk: venvs (uv's too) and conda prefixes, by what lies in them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studiolo.gateway.offers.specs import Spec, with_metadata
from studiolo.gateway.starting.plans import read_json
from studiolo.runtime.kernelcommands import BUILD_FILE

# By folder: what its environment's hash was made of, and the hash.
_known_hashes: dict[Path, tuple[tuple[int, ...], str]] = {}
_MOST_KNOWN = 1000


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment. `site_packages`: where its distributions are. `is_conda`: a conda prefix, not a venv."""

    root: Path
    site_packages: Path
    is_conda: bool

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.root / "bin" / "python"

    @property
    def python_version(self) -> str:
        """`3.11`, from the name of the folder of its packages."""
        return self.site_packages.parent.name.removeprefix("python")

    def why_no_kernel(self) -> str | None:
        """Say why no kernel can start in it, or None."""
        if not self.python.exists():
            return "its interpreter is gone"
        if not (self.site_packages / "ipykernel_launcher.py").exists():
            return "ipykernel is not installed in it"
        return None


def find_environment(root: Path) -> Environment | None:
    """Return the environment whose root this is, or None."""
    is_conda = (root / "conda-meta").is_dir()
    if not is_conda and not (root / "pyvenv.cfg").is_file():
        return None
    packages = sorted(root.glob("lib/python3*/site-packages"))
    return Environment(root, packages[-1], is_conda) if packages else None


def content_hash(environment: Environment) -> str:
    """Return `sha256:…` of the interpreter's version and of every distribution's name and version.

    Two environments with the same distributions have the same hash, on any machine. It is computed again only when
    something was installed or removed.
    """
    state = _state(environment)
    known = _known_hashes.get(environment.root)
    if known is not None and known[0] == state:
        return known[1]
    names = {_canonical(entry.name) for entry in environment.site_packages.glob("*.dist-info")}
    if environment.is_conda:
        names |= {f"conda/{entry.stem}" for entry in (environment.root / "conda-meta").glob("*.json")}
    text = "\n".join([f"python {environment.python_version}", *sorted(names)])
    found = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    if len(_known_hashes) >= _MOST_KNOWN:
        _known_hashes.clear()
    _known_hashes[environment.root] = state, found
    return found


def identify(environment: Environment, at: float | None = None) -> dict[str, Any]:
    """Return what tells others which environment this is: {hash, build, base}.

    `hash`: `sha256:…`, on a platform that of the build's lock, elsewhere the content's, and then alone. `changed`: true
    while something was installed since, of which no build is recorded yet. `at`: as it was then, seconds since 1970.
    """
    try:
        known = read_json(environment.root / BUILD_FILE)
        builds = known["builds"]
        build = next((one for one in reversed(builds) if at is None or one["at"] <= at), builds[0])
        found = {"hash": f"sha256:{build['hash']}"[:80], "build": int(build["number"]), "base": str(known["base"])[:63]}
        is_last = build is builds[-1]
        return found | ({"changed": True} if is_last and known["state"] != list(_state(environment)) else {})
    except (TypeError, KeyError, IndexError, ValueError):
        # None is there, or somebody else wrote it.
        return {"hash": content_hash(environment)}


def with_environment(spec: Spec, resources: Mapping[str, object]) -> Spec:
    """Return a spec whose `metadata.studiolo` says in what it runs: {environment, resources}, see `identify`."""
    environment = environment_of(spec.argv)
    if environment is None:
        return with_metadata(spec, resources=dict(resources))
    return with_metadata(spec, environment=identify(environment), resources=dict(resources))


def environment_of(argv: Sequence[str]) -> Environment | None:
    """Return the environment whose program a kernel's command is, or None."""
    program = Path(argv[0])
    return find_environment(program.parent.parent) if program.is_absolute() else None


def hash_of(metadata: Mapping[str, Any]) -> str | None:
    """Return the hash of the environment that a kernelspec's or kernel's metadata tells of, or None."""
    told = (metadata.get("studiolo") or {}).get("environment")
    found = told.get("hash") if isinstance(told, Mapping) else told
    return str(found)[:80] if found else None


def _state(environment: Environment) -> tuple[int, ...]:
    folders = [environment.site_packages, *([environment.root / "conda-meta"] if environment.is_conda else [])]
    return tuple(folder.stat().st_mtime_ns for folder in (*folders, environment.root / "lib"))


def _canonical(folder: str) -> str:
    """Return `name-version` of a .dist-info folder, in the one spelling of PEP 503."""
    name, _, version = folder.removesuffix(".dist-info").rpartition("-")
    return f"{name.lower().replace('_', '-').replace('.', '-')}-{version}"
