"""Kernels without a session, each in an enclosure of its own: forked from what root has imported, or exec'd."""

import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from engines.accounts.conftest import Workspace
from engines.everybodys_python import only_with_it, packages_folders
from gateway.kernels import Bench, ended, run
from studiolo.contract.errors import Unavailable
from studiolo.engines.local.enclosing import Enclosing
from studiolo.gateway.base import KernelPlan
from studiolo.runtime import processes

pytestmark = only_with_it()

_TELL = """
import json, os, socket
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
print(json.dumps(dict(uid=os.getuid(), network=os.listdir("/sys/class/net"), folder=os.listdir("."),
                      beside=os.listdir(".."), temporary=os.listdir("/var/tmp"))))
"""


@pytest.fixture(params=["fork", "exec"])
async def bench(request: pytest.FixtureRequest, data_dir: Path, run_dir: Path) -> AsyncIterator[Bench]:
    """A launcher that forks, or execs."""
    made = Bench(data_dir, run_dir / "k", Path("/"), 0 if request.param == "fork" else None)
    yield made
    await made.close()


@pytest.fixture
def plan(
    bench: Bench, make_workspace: Callable[[], Workspace], data_dir: Path, run_dir: Path, kernels_base: Path
) -> KernelPlan:
    """A kernel of a workspace, in an enclosure."""
    workspace = make_workspace()
    variables = {"PATH": os.environ["PATH"], "JUPYTER_CONFIG_DIR": str(workspace.home / "config")}
    shown = (kernels_base, *packages_folders())
    enclosing = Enclosing(data_dir, run_dir, "http://localhost:1", run_dir / "door.sock", shown=shown)
    python = str(workspace.environment / "bin/python")
    values: dict[str, Any] = {
        "argv": (python, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
        "environment": None if bench.spares is None else workspace.environment,
        "folder": workspace.folder,
        "root": workspace.folder,
        "variables": variables,
        "enclosure": enclosing.of(
            folder=workspace.folder, environment=workspace.environment, variables=variables, home=workspace.home
        ),
    }
    return bench.plan(**values)


async def test_a_kernel_alone_sees_its_own_part_of_the_machine(bench: Bench, plan: KernelPlan) -> None:
    told = json.loads(await run(await bench.start(plan), _TELL))
    assert told["uid"] == plan.folder.stat().st_uid
    assert told["network"] == ["lo"]
    assert (told["folder"], told["beside"]) == (["notebooks"], [plan.folder.name])
    assert "kernels" not in told["temporary"]


async def test_a_relay_ends_with_its_kernel(bench: Bench, plan: KernelPlan) -> None:
    process = await bench.start(plan)
    [relay] = [one for one in processes.list_descendants(bench.shim(process)) if _name(one.pid) == "studiolo-relay"]
    os.kill(process.pid, signal.SIGKILL)
    assert (await ended(process)).reason == "killed"
    assert not processes.is_alive(relay.pid, relay.start_time)


async def test_an_enclosure_that_cannot_be_made_is_why_a_kernel_does_not_start(bench: Bench, plan: KernelPlan) -> None:
    wrong = dict(plan.enclosure) | {"scratch_bytes": -1}
    with pytest.raises(Unavailable, match="No enclosure can be made"):
        await bench.start(
            bench.plan(
                **{name: getattr(plan, name) for name in ("argv", "environment", "folder", "root", "variables")},
                enclosure=wrong,
            )
        )


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
