"""The two variables that put a list of their own in place of the policies', each under two names."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from studiolo.contract.errors import InvalidInput
from studiolo.packages.policy.merging import Override, read_override
from studiolo.server.settings import Settings

_log = structlog.get_logger(__name__)
_BLOCKED = "JUPYTER_BLOCKED_PACKAGES"
_STARTUP = "JUPYTER_STARTUP_BLOCKED_PACKAGES"
_OFF = "off"


@dataclass(frozen=True)
class Variables:
    """What they say; None: not set. `notes`: what people should know of how they were read."""

    blocked: Override | None = None
    startup_blocked: Override | None = None
    notes: tuple[str, ...] = ()


def read_variables(settings: Settings, environ: Mapping[str, str]) -> Variables:
    """Read both. Raises InvalidInput (`settings-invalid`) naming the variable and the entry that is no rule."""
    notes: list[str] = []
    blocked = _choose(_BLOCKED, settings.jupyter_blocked_packages, environ, notes)
    startup = _choose(_STARTUP, settings.jupyter_startup_blocked_packages, environ, notes)
    if blocked is not None and not blocked[1].strip():
        notes.append(
            f"{blocked[0]} is empty, which blocks nothing less: the policies' own lists hold. Say off, or unset it."
        )
        blocked = None
    if startup is not None and not startup[1].strip():
        notes.append(f"{startup[0]} is empty, which is taken as off: nothing is looked for when a session starts.")
    for note in notes:
        _log.warning("policy-variable", note=note)
    return Variables(_override(blocked), _override(startup), tuple(notes))


def _choose(name: str, ours: str | None, environ: Mapping[str, str], notes: list[str]) -> tuple[str, str] | None:
    theirs = environ.get(f"FETCHML_{name}")
    if ours is None:
        return None if theirs is None else (f"FETCHML_{name}", theirs)
    if theirs is not None and theirs != ours:
        notes.append(f"FETCHML_{name} and STUDIOLO_{name} differ; STUDIOLO_{name} holds.")
    return f"STUDIOLO_{name}", ours


def _override(chosen: tuple[str, str] | None) -> Override | None:
    if chosen is None:
        return None
    source, text = chosen
    try:
        return Override((), source) if text.strip() == _OFF else read_override(text, source)
    except ValueError as exc:
        raise InvalidInput("settings-invalid", f"{exc}.", hint="Entries stand between commas: aiohttp,six<2.") from exc
