"""A platform whose local sessions and kernels live in enclosures, as its people use it."""

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from base_environments import small_lock
from e2e.conftest import Platform
from e2e.kernels import channels, execute, start_kernel
from e2e.outliving import outlive_server_and_platform
from engines.everybodys_python import only_with_it, packages_folders
from studiolo.runtime.acting import LOWEST

pytestmark = only_with_it()

_WORK = """
import json, os, pathlib, socket, urllib.request
def refusal(call):
    try:
        return str(call())
    except OSError as exc:
        return type(exc).__name__
platform = json.load(urllib.request.urlopen(os.environ["STUDIOLO_URL"] + "/api/v1/platform", timeout=30))
pathlib.Path("notes.txt").write_text("saved here")
print(json.dumps(dict(
    uid=os.getuid(),
    folder=os.getcwd(),
    network=os.listdir("/sys/class/net"),
    reached=refusal(lambda: socket.create_connection(("127.0.0.1", {port}), 2)),
    version=platform["version"],
    workspaces=os.listdir({data!r} + "/workspaces"),
    strangers=[one for one in os.listdir("/proc") if one.isdigit() and os.stat("/proc/" + one).st_uid != os.getuid()],
)))
"""


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A platform with enclosures, in a folder that accounts can pass."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    folder.chmod(0o711)
    shown = json.dumps([str(path) for path in packages_folders()])
    local = {"ACCOUNTS": "on", "NAMESPACES": "on", "SHOWN": shown}
    made = Platform(folder, lock=small_lock(), **{f"STUDIOLO_LOCAL__{name}": value for name, value in local.items()})
    made.up()
    yield made
    made.down()
    shutil.rmtree(folder, ignore_errors=True)


def test_sessions_and_kernels_alone_reach_the_platform_and_nothing_else(platform: Platform) -> None:
    assert [one["isolation"] for one in platform.json("engines") if one["name"] == "local"] == ["L3"]
    client = platform.client()
    assert "policy is enforced" in client.get("/api/v1/platform").json()["package_policy"]
    for name in ("one", "two"):
        platform.run("create", name)
    platform.run("start", "one")
    session = platform.json("status", "one")["sessions"][0]["id"]
    kernels = {f"/s/{session}": start_kernel(client, session), "/w/one": _start_alone(client)}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code = _WORK.format(port=listener.getsockname()[1], data=str(platform.data_dir))
        for place, kernel in kernels.items():
            with channels(client, "", kernel, place=place) as opened:
                told = json.loads(execute(opened, code))
                assert told["uid"] >= LOWEST
                assert (told["network"], told["reached"]) == (["lo"], "ConnectionRefusedError")
                assert (told["workspaces"], told["strangers"]) == ([Path(told["folder"]).name], [])
                assert told["version"]
                assert "Successfully installed" in execute(opened, "!pip install colorama", timeout=120)
                execute(opened, "!pip uninstall -y colorama", timeout=120)
    # Installed by the platform, and found by a kernel that runs.
    platform.run("install", "one", "colorama")
    for place, kernel in kernels.items():
        with channels(client, "", kernel, place=place) as opened:
            execute(opened, "import colorama")
        client.delete(f"{place}/api/kernels/{kernel}").raise_for_status()
    outlive_server_and_platform(platform, "one", "sessions/{}/1")


def _start_alone(client: httpx.Client) -> str:
    made = client.post("/w/one/api/kernels", json={"name": "python3"}, timeout=120)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])
