"""What a notebook says of the environment that it ran in, `metadata.studiolo`, and how it is had again elsewhere.

`environment`: {hash, build, base} (`sha256:…`; on platforms the hash of the lock); `packages`, on request: requirements
with exact versions, as pip and uv take them; `conda`: the same of conda's (`name=version`). Cells that ran while nobody
had the notebook open have a `metadata.studiolo` of their own, with `at`, when they ran (ISO 8601).
"""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from studiolo.contract.environments import EnvironmentDetails
from studiolo.contract.models import Request

_MOST = 1000


class EnvironmentRestore(Request):
    """An environment to have again: by `lock`, by its `hash`, if this platform has that lock, else from packages."""

    lock: str | None = Field(None, max_length=8 << 20, description="The text of a pylock.toml of a Studiolo.")
    hash: str | None = Field(None, max_length=80, examples=["sha256:1f0c…"], description="Of the environment's lock.")
    packages: list[str] = Field(default_factory=list, max_length=_MOST, examples=[["numpy==2.3.1"]])
    conda: list[str] = Field(default_factory=list, max_length=_MOST, examples=[["libblas=3.9"]])


def environment_in(notebook: dict[str, Any]) -> EnvironmentRestore:
    """Return what a notebook says of its environment: the newest of what it and its cells say; empty without any."""
    told = max(_told(notebook), key=lambda one: str(one.get("at") or ""), default={})
    environment = told.get("environment")
    found = environment.get("hash") if isinstance(environment, dict) else environment
    stamped = _ours(notebook)
    return EnvironmentRestore(
        hash=found if isinstance(found, str) and len(found) <= 80 else None,
        packages=_strings(stamped.get("packages")),
        conda=_strings(stamped.get("conda")),
    )


def stamp_of(environment: EnvironmentDetails, *, packages: bool) -> dict[str, Any]:
    """Return the members of `metadata.studiolo` that tell of an environment; with `packages` all that is in it."""
    build, found = environment.build, dict[str, Any]()
    if environment.hash is not None and build is not None:
        found["environment"] = {"hash": f"sha256:{environment.hash}", "build": build.number, "base": environment.base}
    if packages:
        found["packages"] = [f"{one.name}=={one.version}" for one in environment.packages if one.ecosystem == "pypi"]
        found["conda"] = [f"{one.name}={one.version}" for one in environment.packages if one.ecosystem == "conda"]
    return {name: value for name, value in found.items() if value}


def _told(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cells = notebook.get("cells")
    for part in (notebook, *(cells if isinstance(cells, list) else ())):
        if "environment" in (ours := _ours(part)):
            yield ours


def _ours(part: Any) -> dict[str, Any]:
    metadata = part.get("metadata") if isinstance(part, dict) else None
    ours = metadata.get("studiolo") if isinstance(metadata, dict) else None
    return ours if isinstance(ours, dict) else {}


def _strings(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)][:_MOST] if isinstance(value, list) else []
