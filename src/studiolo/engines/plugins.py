"""How engines come in: an entry point of the group `studiolo.engines` names an EnginePlugin.

Built-in ones and those of other packages are found in the same way. What stands in the settings under
`[engines.<name>]` is read by the plug-in's own model; an engine without such a table is not there (`local` always is).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from studiolo.contract.errors import InvalidInput
from studiolo.engines.base import Engine

GROUP = "studiolo.engines"
Options = TypeVar("Options", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class EngineGround:
    """What an engine may know of the platform that it works for.

    `sockets`: the private, short folder of sessions' sockets. `instance`: names this platform on engines that it shares
    with others; all objects carry it. `address`: the platform's own, as sessions reach it. `door`: a unix socket that
    leads there too, alone in its folder. `certificates`: files that sessions' tools are told to trust, where they are
    there. `stop_grace`: seconds.
    """

    data_dir: Path
    sockets: Path
    instance: str
    address: str
    stop_grace: float = 10.0
    door: Path | None = None
    certificates: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class EnginePlugin:
    """An engine that can be had. `build` gets the settings as `settings` read them, and does no I/O."""

    name: str
    settings: type[BaseModel]
    build: Callable[[EngineGround, Any], Engine]


def find_plugin(name: str) -> EnginePlugin | None:
    """Return the plug-in of that name, None when no installed package has one. Raises what its import raises."""
    found = next(iter(entry_points(group=GROUP, name=name)), None)
    plugin = found.load() if found else None
    return plugin if isinstance(plugin, EnginePlugin) else None


def list_plugins() -> list[str]:
    """Return the names of all that can be had, sorted."""
    return sorted(entry_points(group=GROUP).names)


def read_options(engine: str, model: type[Options], given: Mapping[str, Any]) -> Options:
    """Return what a profile says for `engine` (see WorkloadSpec.options). Raises InvalidInput (`settings-invalid`)."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as exc:
        wrong = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in exc.errors())
        raise InvalidInput(
            "settings-invalid",
            f"The profile's options for {engine} cannot be used: {wrong}.",
            hint=f"An administrator corrects `profiles[].engines.{engine}` in the settings.",
        ) from exc
