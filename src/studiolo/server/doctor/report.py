"""The list of checks, and how it is run."""

from collections.abc import Callable

from studiolo.server.doctor import machine, platform
from studiolo.server.doctor.result import Result
from studiolo.server.settings import Settings

CHECKS: tuple[Callable[[Settings], Result], ...] = (
    machine.check_python,
    machine.check_system,
    machine.check_caddy,
    machine.check_uv,
    machine.check_builds,
    machine.check_accounts,
    machine.check_data_directory,
    machine.check_run_directory,
    machine.check_port_free,
    machine.check_session_names,
    machine.check_clock,
    machine.check_open_files,
    machine.check_memory,
    platform.check_database,
    platform.check_base_environment,
    platform.check_fork_server,
    platform.check_kernel_host,
    platform.check_engines,
    platform.check_address,
)


def examine(settings: Settings) -> list[Result]:
    """Run all checks, in order. A check that breaks is a finding of its own."""
    return [_run(check, settings) for check in CHECKS]


def _run(check: Callable[[Settings], Result], settings: Settings) -> Result:
    try:
        return check(settings)
    except Exception as exc:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        return Result(name, "fail", f"The check itself failed: {type(exc).__name__}: {exc}.", "Report this.")
