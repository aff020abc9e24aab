"""A kernel under an account of its own, whose host is root and goes to its sockets by name.

A forked kernel binds them as root and becomes the account then. One that is exec'd binds its own, in the account's
folder; root gives each a second name where the account cannot put anything else.
"""

import os
import shutil
import stat
from pathlib import Path

from studiolo.runtime import account
from studiolo.runtime.connecting import PORTS, is_too_long, write_connection
from studiolo.runtime.kernelrequest import KernelRequest, RunFiles
from studiolo.runtime.launch import OWN, read_json


def prepare(request: KernelRequest, *, binds_itself: bool) -> None:
    """Make the folder that is the account's own, with a connection file for a kernel that binds its sockets itself.

    To be called by root, before anything of the account runs there. Raises OSError.
    """
    account.keep_to_oneself()
    own = request.files.folder / OWN
    # Of an earlier launch nothing is left that could lead elsewhere.
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(mode=0o700)
    os.fchown(1, request.account, -1)
    if binds_itself:
        _write_connections(request, RunFiles(own))
    account.make_own(own, request.account)
    own.parents[1].chmod(0o711)


def own_words(request: KernelRequest) -> list[str]:
    """Return the command with the connection file that the account can read."""
    mine = str(RunFiles(request.files.own).connection)
    return [word.replace(str(request.run_files.connection), mine) for word in request.argv]


def become_account(request: KernelRequest) -> None:
    """Be the account from now on, in the kernel's folder. Raises OSError."""
    account.take(request.account)
    os.chdir(request.folder)


def take_sockets(request: KernelRequest) -> bool:
    """Give the sockets that the kernel has bound their names for the host; True once all have one."""
    return all(_take(request, number) for number, _ in enumerate(PORTS, 1))


def _write_connections(request: KernelRequest, own: RunFiles) -> None:
    """Tell the kernel to bind in its account's folder, and the host to come to names that are root's beside it."""
    ours = RunFiles(request.files.folder)
    if is_too_long(own):
        raise OSError(f"The path {own.folder} is too long for a kernel's sockets: use a shorter data directory.")
    connection = read_json(request.run_files.connection) or {}
    connection |= {port: number for number, port in enumerate(PORTS, 1)} | {"transport": "ipc"}
    write_connection(request.run_files, connection | {"ip": str(ours.sockets)})
    write_connection(own, connection | {"ip": str(own.sockets)})
    os.chown(own.connection, request.account, request.account)
    for number, _ in enumerate(PORTS, 1):
        Path(f"{ours.sockets}-{number}").unlink(missing_ok=True)


def _take(request: KernelRequest, number: int) -> bool:
    name = Path(f"{RunFiles(request.files.folder).sockets}-{number}")
    if name.exists():
        return True
    try:
        os.link(f"{RunFiles(request.files.own).sockets}-{number}", name, follow_symlinks=False)
    except OSError:
        return False
    # Looked at where the account cannot exchange it any more.
    seen = name.lstat()
    if stat.S_ISSOCK(seen.st_mode) and seen.st_uid == request.account:
        return True
    name.unlink()
    return False
