"""Checks of the platform itself: database, environment, parts."""

import asyncio
import socket
from pathlib import Path

from studiolo.contract.errors import StudioloError
from studiolo.contract.resources import Capacity, EngineInfo
from studiolo.server.commands.probe import ask
from studiolo.server.doctor.result import Result, failed
from studiolo.server.settings import Settings
from studiolo.server.supervisor.parts import log_of
from studiolo.server.supervisor.records import find_running

_NOT_RUNNING = "The platform does not run; `studiolo up` starts it."


def check_database(settings: Settings) -> Result:
    """The database opens and its schema is this version's."""
    from studiolo.server.schema import check_schema

    if settings.database_url is None and not (settings.data_dir / "studiolo.db").exists():
        return Result("database", "ok", "None yet; `studiolo up` makes it.")
    try:
        check_schema(settings)
    except StudioloError as exc:
        return failed("database", exc)
    return Result("database", "ok", "It opens and has this version's schema.")


def check_base_environment(settings: Settings) -> Result:
    """The default notebook environment has been built."""
    ready = sorted(settings.data_dir.glob("environments/base-*/.ready"))
    if ready:
        return Result("notebook environment", "ok", f"{ready[-1].parent}.")
    if find_running(settings) is None:
        return Result("notebook environment", "ok", "None yet; the platform builds it at its first start.")
    remedy = f"The first build takes a minute; if it stays so, see {log_of(settings, 'control-plane')}."
    return Result("notebook environment", "warn", "It is not there yet.", remedy)


def check_fork_server(settings: Settings) -> Result:
    """The fork server takes connections."""
    return _check_socket(settings, "fork server", settings.fork_server_socket)


def check_kernel_host(settings: Settings) -> Result:
    """The kernel host takes connections."""
    return _check_socket(settings, "kernel host", settings.kernels_socket)


def check_engines(settings: Settings) -> Result:
    """The engines that the settings name are there, and each says that it is well."""
    try:
        found = asyncio.run(_look_at_engines(settings))
    except StudioloError as exc:
        return failed("engines", exc)
    told = " ".join(f"{one.name} ({one.isolation}): {one.message or 'well.'}" for one in found)
    if all(one.healthy for one in found):
        return Result("engines", "ok", told)
    return Result("engines", "warn", told, "Sessions on others run; see the engine's own page in the how-to guides.")


async def _look_at_engines(settings: Settings) -> list[EngineInfo]:
    from studiolo.server.engines.parts import build_engines

    engines = build_engines(settings)
    try:
        return [await engines.info(name, Capacity()) for name in engines]
    finally:
        await engines.aclose()


def _check_socket(settings: Settings, name: str, path: Path) -> Result:
    if find_running(settings) is None:
        return Result(name, "ok", _NOT_RUNNING)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(5)
            probe.connect(str(path))
    except OSError as exc:
        remedy = f"It is started again by itself; its log is {log_of(settings, name.replace(' ', '-'))}."
        return Result(name, "fail", f"It does not answer: {exc.strerror or exc}.", remedy)
    return Result(name, "ok", "It answers.")


def check_address(settings: Settings) -> Result:
    """The API answers at the platform's own address."""
    running = find_running(settings)
    if running is None:
        return Result("platform", "ok", _NOT_RUNNING)
    try:
        status, body = ask(settings, "/api/v1/health")
    except StudioloError as exc:
        logs = f"See {log_of(settings, 'control-plane')} and {log_of(settings, 'front-door')}."
        return Result("platform", "fail", exc.message, logs)
    if status != 200:
        remedy = "Is it the port and domain that it was started with? Give doctor the same flags."
        return Result("platform", "fail", f"{settings.address} answers {status}.", remedy)
    return Result("platform", "ok", f"Version {body['version']} answers at {settings.address}.")
