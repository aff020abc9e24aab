"""`/facts/…`: what people should know of a wheel before they allow it. For the control plane, at no front door."""

from typing import Any

from aiohttp import web
from packaging.metadata import RawMetadata, parse_email

from studiolo.contract.errors import NotFound, StudioloError
from studiolo.packages.index.asking import Ask
from studiolo.packages.index.projects import File, Project, time_of
from studiolo.packages.index.upstream import Upstream
from studiolo.packages.names import canonical

_LONGEST = 120
_LICENCE = "License :: "


async def answer(ask: Ask) -> web.StreamResponse:
    """Answer `/facts/{name}/{file}`: JSON {size_bytes, uploaded_at, licence, maintainers}; unknown is null.

    Without a file: {channel, files: [{file, version, uploaded_at, is_wheel, sha256}]}. No policy is asked: nothing of
    the file itself is handed out. Raises NotFound (`package-not-found`), Unavailable.
    """
    name, file = ask.path if len(ask.path) == 2 else ("", "")
    owner = await ask.services.owners.find(ask.policy, canonical("pypi", name)) if name else None
    if owner is not None and not file:
        return web.json_response(_files(owner[1]), headers={"Cache-Control": "no-store"})
    found = owner[1].find(file) if owner is not None else None
    if owner is None or found is None:
        raise NotFound("package-not-found", f"The index has no file {file[:200]!r}.")
    uploaded_at = time_of(found.uploaded_at)
    told = await _metadata(ask, owner[0], found)
    return web.json_response(
        {
            "size_bytes": found.size,
            "uploaded_at": uploaded_at.isoformat() if uploaded_at else None,
            "licence": _licence(told),
            "maintainers": _maintainers(told),
        },
        headers={"Cache-Control": "no-store"},
    )


def _files(project: Project) -> dict[str, Any]:
    return {
        "channel": project.channel,
        "files": [
            {
                "file": one.name,
                "version": one.version,
                "uploaded_at": one.uploaded_at,
                "is_wheel": one.is_wheel,
                "sha256": one.sha256,
            }
            for one in project.files
            if one.yanked is None
        ],
    }


async def _metadata(ask: Ask, upstream: Upstream, file: File) -> RawMetadata:
    """Return what the wheel says of itself; nothing where it cannot be read: that is unknown then, not wrong."""
    if not file.is_wheel:
        return {}
    try:
        return parse_email(await ask.services.metadata.get(upstream.client, file))[0]
    except (StudioloError, ValueError):
        return {}


def _licence(told: RawMetadata) -> str | None:
    """The expression (PEP 639), else what older metadata say in a line, else the classifiers' last parts."""
    line = told.get("license", "").strip()
    named = [one.rpartition(" :: ")[2] for one in told.get("classifiers", ()) if one.startswith(_LICENCE)]
    return _short(told.get("license_expression") or ("" if "\n" in line else line) or ", ".join(named))


def _maintainers(told: RawMetadata) -> str | None:
    names = (told.get("maintainer"), told.get("maintainer_email"), told.get("author"), told.get("author_email"))
    return _short(next((name for name in names if name and name.strip()), ""))


def _short(text: str) -> str | None:
    text = " ".join(text.split())
    return (text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…") or None
