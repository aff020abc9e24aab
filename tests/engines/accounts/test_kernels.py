"""Kernels of this machine under accounts: forked from what root has imported, or exec'd; and what is not believed."""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from engines.accounts.conftest import Workspace
from engines.everybodys_python import only_with_it
from gateway.kernels import Bench, ended, run
from studiolo.contract.errors import Unavailable
from studiolo.gateway.base import KernelPlan

pytestmark = only_with_it()

_TELL = """
import json, os, pathlib
def read(task):
    status = dict(line.split(":", 1) for line in task.joinpath("status").read_text().splitlines())
    return [status["Uid"].split()[0], *(status[name].strip() for name in ("CapEff", "CapPrm", "NoNewPrivs"))]
threads = [read(task) for task in pathlib.Path("/proc/self/task").iterdir()]
pathlib.Path("made").touch()
print(json.dumps(dict(threads=[list(one) for one in sorted(set(map(tuple, threads)))], groups=os.getgroups(),
                      home=os.path.expanduser("~"), folder=os.getcwd())))
"""


@pytest.fixture(params=["fork", "exec"])
async def bench(request: pytest.FixtureRequest, data_dir: Path, run_dir: Path) -> AsyncIterator[Bench]:
    """A launcher that forks, or execs."""
    made = Bench(data_dir, run_dir / "k", Path("/"), 0 if request.param == "fork" else None)
    yield made
    await made.close()


def _plan(bench: Bench, workspace: Workspace, **changes: Any) -> KernelPlan:
    places = {"JUPYTER_CONFIG_DIR": workspace.home / "config", "IPYTHONDIR": workspace.home / "ipython"}
    python = str(workspace.environment / "bin/python")
    values = {
        "argv": (python, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
        "environment": None if bench.spares is None else workspace.environment,
        "folder": workspace.folder,
        "root": workspace.folder,
        "variables": {"PATH": os.environ["PATH"], **{name: str(place) for name, place in places.items()}},
    }
    return bench.plan(**(values | changes))


async def test_a_kernel_is_its_workspaces_account_in_all_its_threads(
    bench: Bench, make_workspace: Callable[[], Workspace]
) -> None:
    workspace = make_workspace()
    told = json.loads(await run(await bench.start(_plan(bench, workspace)), _TELL))
    none = "0" * 16
    assert told == {
        # Whatever began before it was the account: people's code comes to run in any of them.
        "threads": [[str(workspace.account), none, none, "1"]],
        "groups": [],
        "home": str(workspace.home),
        "folder": str(workspace.folder),
    }
    assert (workspace.folder / "made").stat().st_uid == workspace.account


async def test_a_kernel_names_no_socket_that_its_host_goes_to(
    bench: Bench, make_workspace: Callable[[], Workspace]
) -> None:
    workspace = make_workspace()
    process = await bench.start(_plan(bench, workspace))
    folder = Path(str(process.connection["ip"])).parent
    refused = (
        "import os\ntry:\n    os.rename({0!r}, {0!r} + 'x')\nexcept OSError as exc:\n    print(type(exc).__name__)"
    )
    assert await run(process, refused.format(f"{process.connection['ip']}-1")) == "PermissionError\n"
    assert folder.stat().st_uid == 0


async def test_a_folder_that_leads_to_another_workspace_gives_a_kernel_no_rights_there(
    bench: Bench, make_workspace: Callable[[], Workspace]
) -> None:
    workspace, other = make_workspace(), make_workspace()
    (workspace.folder / "theirs").symlink_to(other.folder)
    with contextlib.suppress(Unavailable):
        process = await bench.start(_plan(bench, workspace, folder=workspace.folder / "theirs"))
        # It had bound its sockets before it looked where it is.
        assert await ended(process)
    [log] = bench.folder.glob("kernels/*/kernel.log")
    assert "Permission denied" in log.read_text()
