"""A platform whose local sessions run under accounts, as its people use it."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from base_environments import small_lock
from e2e.conftest import Platform
from e2e.kernels import channels, execute, start_kernel
from e2e.outliving import outlive_server_and_platform
from engines.everybodys_python import only_with_it
from studiolo.runtime.acting import LOWEST

pytestmark = only_with_it()

_WORK = "import os, pathlib; pathlib.Path('notes.txt').write_text('saved here'); print(os.getuid(), os.getcwd())"
_REACH = """
import os
for attempt in (lambda: open({file!r}), lambda: os.listdir({folder!r}), lambda: os.kill({pid}, 0)):
    try:
        print("reached", attempt())
    except PermissionError:
        print("refused")
"""


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A platform with accounts, in a folder that these can pass."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    folder.chmod(0o711)
    made = Platform(folder, lock=small_lock(), STUDIOLO_LOCAL__ACCOUNTS="on")
    made.up()
    yield made
    made.down()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.req("S0-79")
def test_workspaces_work_under_accounts_that_cannot_reach_each_other_and_outlive_the_platform(
    platform: Platform,
) -> None:
    assert [one["isolation"] for one in platform.json("engines") if one["name"] == "local"] == ["L1"]
    client, told = platform.client(), {}
    for workspace in ("one", "two"):
        platform.run("create", workspace)
        platform.run("start", workspace)
        session = platform.json("status", workspace)["sessions"][0]["id"]
        started = start_kernel(client, session)
        with channels(client, session, started) as kernel:
            uid, folder = execute(kernel, _WORK).split()
            pid = json.loads((platform.data_dir / "sessions" / session / "1/shim.json").read_text())["session_pid"]
            if workspace == "two":
                # Its notebook server, which runs still.
                theirs = {"file": f"{told['one'][1]}/notes.txt", "folder": told["one"][1], "pid": told["one"][2]}
                assert execute(kernel, _REACH.format(**theirs)).split() == ["refused"] * 3
            assert "Successfully installed" in execute(kernel, "!pip install colorama", timeout=120)
        told[workspace] = (uid, folder, pid)
        client.delete(f"/s/{session}/api/kernels/{started}").raise_for_status()
        assert (Path(folder) / "notes.txt").stat().st_uid == int(uid) >= LOWEST
        platform.run("cp", f"{workspace}:notes.txt", str(platform.folder / workspace))
        assert (platform.folder / workspace).read_text() == "saved here"
    assert told["one"][0] != told["two"][0]
    outlive_server_and_platform(platform, "one", "sessions/{}/1")
