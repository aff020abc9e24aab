import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from studiolo.contract.errors import StudioloError
from studiolo.kit import filesystem, rundir
from studiolo.server.settings import Settings
from studiolo.server.supervisor import data_directory
from studiolo.server.supervisor.readiness import LONGEST_SOCKET, check_port, prepared

Make = Callable[..., Settings]


def refusal(settings: Settings) -> StudioloError:
    with pytest.raises(StudioloError) as caught, prepared(settings, check_schema=lambda _: None):
        pass
    return caught.value


def test_a_data_directory_that_is_not_there_is_made_private(make_settings: Make, short_folder: Path) -> None:
    settings = make_settings(data_dir=short_folder / "new" / "data")
    with prepared(settings, check_schema=lambda _: None):
        assert settings.data_dir.stat().st_mode & 0o777 == 0o700
        assert settings.session_sockets.is_dir()


def test_a_data_directory_that_is_a_file_is_refused(make_settings: Make, short_folder: Path) -> None:
    (short_folder / "file").write_text("")
    error = refusal(make_settings(data_dir=short_folder / "file"))
    assert (error.code, "it is a file" in error.message) == ("data-directory-unusable", True)


def test_an_engine_that_no_package_has_is_refused_before_anything_starts(make_settings: Make) -> None:
    error = refusal(make_settings(engines={"surm": {}}))
    assert (error.code, "surm" in error.message, "slurm" in str(error.hint)) == ("settings-invalid", True, True)


def test_a_data_directory_that_cannot_be_made_is_refused(make_settings: Make) -> None:
    error = refusal(make_settings(data_dir=Path("/proc/studiolo")))
    assert error.code == "data-directory-unusable"


def test_a_data_directory_that_cannot_be_written_is_refused(
    make_settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise OSError(30, "Read-only file system")

    # Root may write everywhere, so that a real read-only folder would prove nothing.
    monkeypatch.setattr(data_directory, "try_to_write", fail)
    error = refusal(make_settings())
    assert (error.code, "Read-only file system" in error.message) == ("read-only", True)


def test_a_data_directory_that_others_may_write_is_refused(make_settings: Make) -> None:
    settings = make_settings()
    settings.data_dir.chmod(0o777)
    error = refusal(settings)
    assert (error.code, error.hint) == ("data-directory-unusable", f"chmod go-w {settings.data_dir}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_data_directory_of_another_account_is_refused(make_settings: Make) -> None:
    settings = make_settings()
    os.chown(settings.data_dir, 12345, -1)
    assert "another account (uid 12345)" in refusal(settings).message


def test_a_network_file_system_is_refused_for_sqlite_only(make_settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_directory, "filesystem_type", lambda path: "nfs4")
    assert "network file system (nfs4)" in refusal(make_settings()).message
    data_directory.check_filesystem(make_settings(database_url="postgresql+asyncpg://h/d"))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("nfs", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False), ("fuse.overlayfs", False)],
)
def test_network_file_systems_are_told_by_their_type(kind: str, expected: bool) -> None:
    assert filesystem.is_network(kind) is expected


def test_the_file_system_of_a_folder_is_found() -> None:
    assert filesystem.filesystem_type(Path("/proc/self")) == "proc"


def test_a_full_disk_is_named(make_settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil._ntuple_diskusage(10**9, 10**9, 10**6)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    assert refusal(make_settings()).code == "disk-full"


def test_a_taken_port_names_its_owner_and_a_command_with_a_free_one(make_settings: Make) -> None:
    settings = make_settings()
    with socket.create_server(("127.0.0.1", settings.port)):
        error = refusal(settings)
    assert error.code == "port-taken"
    assert f"(process {os.getpid()} of " in error.message
    assert error.hint is not None
    assert error.hint.startswith("studiolo up")
    assert f"--port {error.extra['free_port']}" in error.hint
    check_port(make_settings(port=error.extra["free_port"]))


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_a_port_taken_on_the_other_loopback_address_counts(make_settings: Make) -> None:
    settings = make_settings()
    with socket.create_server(("::1", settings.port), family=socket.AF_INET6):
        assert refusal(settings).code == "port-taken"


def test_an_address_that_is_not_ours_is_refused(make_settings: Make) -> None:
    error = refusal(make_settings(host="203.0.113.1"))
    assert (error.code, "203.0.113.1" in error.message) == ("settings-invalid", True)


def test_two_platforms_on_one_data_directory_exclude_each_other(make_settings: Make) -> None:
    settings = make_settings()
    with prepared(settings, check_schema=lambda _: None):
        error = refusal(settings)
    assert error.code == "already-running"
    assert settings.address in error.message
    assert f"process {os.getpid()}" in error.message


def test_a_run_directory_that_others_may_enter_is_refused(make_settings: Make) -> None:
    settings = make_settings()
    settings.runtime_dir.chmod(0o755)
    assert refusal(settings).code == "run-directory-unusable"


def test_a_run_directory_that_is_a_link_is_refused(short_folder: Path) -> None:
    (short_folder / "link").symlink_to(short_folder, target_is_directory=True)
    with pytest.raises(StudioloError, match="no folder"):
        rundir.prepare(short_folder / "link", longest_name="x")


def test_a_run_directory_too_long_for_sockets_is_refused(short_folder: Path) -> None:
    with pytest.raises(StudioloError, match="the system takes"):
        rundir.prepare(short_folder / ("long" * 25), longest_name=LONGEST_SOCKET)


def test_a_failed_start_lets_go_of_the_lock(make_settings: Make) -> None:
    settings = make_settings()
    with socket.create_server(("127.0.0.1", settings.port)):
        refusal(settings)
    with prepared(settings, check_schema=lambda _: None):
        pass


def test_the_run_directory_goes_with_the_platform_unless_a_session_needs_it(make_settings: Make) -> None:
    settings = make_settings(run_dir=None)
    with prepared(settings, check_schema=lambda _: None):
        settings.control_socket.touch()
        (settings.session_sockets / "s-1.1.sock").touch()
    assert settings.runtime_dir.exists()
    (settings.session_sockets / "s-1.1.sock").unlink()
    with prepared(settings, check_schema=lambda _: None):
        pass
    assert not settings.runtime_dir.exists()
