"""What must be so before the first part starts: data directory, lock, run directory, port, schema."""

import contextlib
import shlex
import shutil
from collections.abc import Callable, Iterator

from studiolo.contract.errors import Conflict, InvalidInput, StudioloError
from studiolo.engines.local.reaching import check_reachable
from studiolo.kit import ports, rundir
from studiolo.kit.shared_secret import load_shared_secret
from studiolo.server.settings import Settings
from studiolo.server.settings.engines import EngineSettings
from studiolo.server.settings.settings import default_data_dir
from studiolo.server.supervisor.caddyfile import listen_addresses
from studiolo.server.supervisor.data_directory import prepare_data_directory
from studiolo.server.supervisor.records import end_leftovers, held_lock

# A session's socket is named by its id (18 characters) and a launch number.
LONGEST_SOCKET = "d/s-0123456789abcdef.01234567890123456789012345.s"
SchemaCheck = Callable[[Settings], None]


@contextlib.contextmanager
def prepared(settings: Settings, check_schema: SchemaCheck | None = None) -> Iterator[None]:
    """Make everything ready and hold the lock. Raises the StudioloError that says what stands in the way."""
    prepare_data_directory(settings)
    with held_lock(settings):
        prepare_run_directory(settings)
        # Before the port is looked at: a front door that was left over holds it.
        end_leftovers(settings)
        check_port(settings)
        check_engines(settings)
        check_accounts(settings)
        (check_schema or _default_schema_check)(settings)
        try:
            yield
        finally:
            remove_run_directory(settings)


def check_accounts(settings: Settings) -> None:
    """Raise InvalidInput (`settings-invalid`) where workspaces shall have accounts that could not work."""
    settings.local.check()
    if settings.local.accounts == "on":
        check_reachable(settings.data_dir, settings.local.first_account)


def prepare_run_directory(settings: Settings) -> None:
    """Make and check the folders for sockets. Raises Unavailable (`run-directory-unusable`)."""
    rundir.prepare(settings.runtime_dir, longest_name=LONGEST_SOCKET)
    rundir.prepare(settings.session_sockets, longest_name="")
    for file in (settings.kernels_key_file, settings.files_key_file, settings.index_key_file):
        load_shared_secret(file)


def remove_run_directory(settings: Settings) -> None:
    """Remove the folder for sockets if we chose it and no session and no kernel needs it."""
    if settings.run_dir is not None or _has_kernels(settings):
        return
    with contextlib.suppress(OSError):
        # Of a session that runs something is in it.
        settings.session_sockets.rmdir()
        shutil.rmtree(settings.runtime_dir)


def _has_kernels(settings: Settings) -> bool:
    """Tell whether a kernel runs: its shim writes how it ended as the last thing."""
    launched = (settings.data_dir / "kernels").glob("*/shim.json")
    return any(not shim.with_name("exit.json").exists() for shim in launched)


def check_port(settings: Settings) -> None:
    """Raise Conflict (`port-taken`) or InvalidInput (`settings-invalid`) if the port cannot be listened on."""
    addresses, port = listen_addresses(settings), settings.port
    error = ports.why_unusable(addresses, port)
    if error is None:
        return
    if ports.is_taken(error):
        raise _port_taken(settings, addresses)
    hint = "Ports below 1024 need a privilege; use a higher one with --port." if port < 1024 else None
    raise InvalidInput(
        "settings-invalid", f"Nothing can listen on {settings.host} port {port}: {error.strerror}.", hint=hint
    )


def _port_taken(settings: Settings, addresses: list[str]) -> StudioloError:
    port = settings.port
    owner, free = ports.find_owner(port), ports.find_free(addresses, port)
    who = f"{owner.name} (process {owner.pid} of {owner.username})" if owner else "another program"
    where = "" if settings.data_dir == default_data_dir() else f" --data-dir {shlex.quote(str(settings.data_dir))}"
    return Conflict(
        "port-taken",
        f"Port {port} is taken by {who}.",
        hint=f"studiolo up{where} --port {free}" if free else "Name a free port with --port.",
        port=port,
        free_port=free,
    )


def check_engines(settings: Settings) -> None:
    """Raise InvalidInput (`settings-invalid`) for engines that the settings name and that cannot be built."""
    if settings.engines == EngineSettings():
        # This machine's alone: nothing has to be loaded to know that it can be built.
        return
    from studiolo.server.engines.parts import build_engines

    build_engines(settings)


def _default_schema_check(settings: Settings) -> None:
    from studiolo.server.schema import check_schema

    check_schema(settings)
