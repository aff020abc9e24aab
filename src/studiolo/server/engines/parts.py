"""The engines that the settings name, built by their plug-ins (see engines.plugins)."""

from typing import Any

from pydantic import ValidationError

from studiolo.contract.errors import InvalidInput
from studiolo.engines.base import Engine
from studiolo.engines.local.enclosing import Enclosing
from studiolo.engines.local.engine import LocalEngine
from studiolo.engines.local.gpus import GPUs
from studiolo.engines.plugins import EngineGround, EnginePlugin, find_plugin, list_plugins
from studiolo.server.engines.engines import LOCAL, Engines
from studiolo.server.settings import Settings


def build_engines(settings: Settings) -> Engines:
    """Return all engines of this platform; nothing is asked of them yet.

    Raises InvalidInput (`settings-invalid`): an engine that no package has, wrong settings of one, a default that
    is not there.
    """
    ground = EngineGround(
        data_dir=settings.data_dir,
        sockets=settings.session_sockets,
        instance=settings.instance,
        address=settings.address,
        stop_grace=settings.sessions.stop_grace.total_seconds(),
        door=settings.workload_door,
        certificates=(settings.authority_file, settings.trusted_file) if settings.authority_file else (),
    )
    engines: dict[str, Engine] = {LOCAL: local_engine(settings)}
    for name, table in settings.engines.tables.items():
        engines[name] = _build(name, table, ground)
    hidden = () if settings.engines.local.enabled else (LOCAL,)
    return Engines(engines, default=settings.engines.default, hidden=hidden)


def local_engine(settings: Settings) -> LocalEngine:
    """Return the engine that runs sessions on this machine."""
    return LocalEngine(
        data_dir=settings.data_dir,
        session_sockets=settings.session_sockets,
        fork_server_socket=settings.fork_server_socket,
        start_method=settings.sessions.start_method,
        stop_grace=settings.sessions.stop_grace,
        gpus=GPUs(settings.engines.local.gpus, settings.engines.local.gpu_types),
        accounts=settings.local.accounts == "on",
        enclosing=_enclosing(settings) if settings.local.namespaces == "on" else None,
    )


def _enclosing(settings: Settings) -> Enclosing:
    return Enclosing(
        settings.data_dir,
        settings.runtime_dir,
        address=settings.address,
        door=settings.workload_door,
        shown=tuple(settings.local.shown),
    )


def _build(name: str, table: dict[str, Any], ground: EngineGround) -> Engine:
    plugin = _find(name)
    try:
        return plugin.build(ground, plugin.settings.model_validate(table))
    except ValidationError as exc:
        wrong = "; ".join(
            f"{'.'.join(map(str, ('engines', name, *fault['loc'])))}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in exc.errors()
        )
        raise InvalidInput("settings-invalid", f"The settings cannot be used: {wrong}.") from exc


def _find(name: str) -> EnginePlugin:
    try:
        plugin = find_plugin(name)
    except ImportError as exc:
        raise InvalidInput(
            "settings-invalid",
            f"The settings name the engine {name[:40]!r}, which cannot be loaded: {exc}.",
            hint="Install what it needs, or take its table out of the settings.",
        ) from exc
    if plugin is None:
        there = ", ".join((LOCAL, *(one for one in list_plugins() if one != LOCAL)))
        raise InvalidInput(
            "settings-invalid",
            f"The settings name an engine {name[:40]!r}, which no installed package has.",
            hint=f"Engines that can be had: {there}.",
        )
    return plugin
