"""Whose a launch on this machine is: the number of its workspace, see docs/decisions/012 and `runtime.account`."""

from dataclasses import replace
from pathlib import Path

from studiolo.contract.errors import Conflict
from studiolo.runtime import account
from studiolo.runtime.acting import hand_over, owner_of
from studiolo.runtime.launch import LaunchRequest


def find_account(folder: Path, *, is_needed: bool) -> int:
    """Return the number that a workspace's folder belongs to; 0: none. Raises Conflict (`workspace-has-no-account`)."""
    # The session itself says that its folder is gone.
    owner = owner_of(folder) if folder.exists() else None
    if owner is None and is_needed:
        raise Conflict(
            "workspace-has-no-account",
            f"Here each workspace runs under an account of its own, and the folder {folder} belongs to none.",
            hint="A workspace on a folder of the machine runs on another engine: studiolo engines. Or duplicate it.",
        )
    return owner[0] if owner else 0


def with_account(request: LaunchRequest, number: int, run_folder: Path) -> LaunchRequest:
    """Return the request of a launch under an account; 0: as it is. `run_folder`: where the account writes nothing."""
    if not number:
        return request
    variables = account.at_home(request.variables, number)
    return replace(request, account=number, variables=variables, run_folder=str(run_folder))


def make_ready(request: LaunchRequest) -> None:
    """Have what the launch uses belong to its account, and let that pass to it. Blocking. Raises OSError."""
    launch, number = Path(request.launch_folder), request.account
    for above in (launch.parents[1], launch.parent):
        above.chmod(0o711)
    home = Path(request.variables["HOME"])
    if not home.is_dir():
        account.make_own(home, number)
    for folder in (home, Path(request.environment)):
        # Done last of all below it, so that it tells whether all is done.
        if folder.stat().st_uid != number and not folder.is_symlink():
            hand_over(folder, (number, number))
