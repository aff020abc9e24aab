"""What must hold for the kernels of any session that has a kernel host: they outlive its server and the platform."""

import json
from pathlib import Path
from typing import Any

from e2e.conftest import Platform
from e2e.kernels import channels, execute, send, start_kernel
from studiolo.testing.waiting import wait_for

COUNT = 80
COUNTING = f"import time\nfor n in range({COUNT}):\n    print(n, flush=True); time.sleep(0.1)"


def outlive_server_and_platform(platform: Platform, workspace: str, launch: str) -> None:
    """Kill the notebook server and the control plane in mid-cell; a plain client reads all output once, in order.

    `launch`: the folder of a session's first launch below the data directory, with `{}` for the session's id.
    """
    client = platform.client()
    session = platform.json("status", workspace)["sessions"][0]["id"]
    shim = platform.data_dir / launch.format(session) / "shim.json"
    kernel, other = start_kernel(client, session), start_kernel(client, session)
    with channels(client, session, kernel) as socket:
        send(socket, COUNTING)
        wait_for(lambda: '"text": "3\\n"' in str(socket.recv(60)), "it counts")
    server = _server(shim)
    with channels(client, session, other) as socket:
        # Process ids are those of where it runs.
        execute(socket, f"import os; os.kill({server}, 9)")
    platform.kill(platform.part("studiolo.server.main"))
    platform.wait_up()
    wait_for(lambda: _printed(platform, kernel).endswith(f"{COUNT - 1}\n"), "the cell is done", 120)
    assert _printed(platform, kernel) == "".join(f"{n}\n" for n in range(COUNT))
    # Known to the platform by what their host reports.
    assert {kernel, other} <= {one["id"] for one in platform.json("kernels", "list")}
    wait_for(lambda: _server(shim) != server, "the server is started anew", 60)
    wait_for(lambda: client.get(f"/s/{session}/api/contents").status_code == 200, "it answers", 60)
    platform.run("kernels", "stop", other)
    wait_for(lambda: {one["id"] for one in client.get(f"/s/{session}/api/kernels").json()} == {kernel}, "it ended")


def _server(shim: Path) -> int:
    return int(json.loads(shim.read_text())["session_pid"])


def _printed(platform: Platform, kernel: str) -> str:
    entries: list[dict[str, Any]] = []
    after = 0
    while (found := platform.json("kernels", "output", kernel, "--after", str(after)))["entries"]:
        entries, after = entries + found["entries"], found["next"]
    messages = [entry["message"] for entry in entries]
    return "".join(one["content"]["text"] for one in messages if one["header"]["msg_type"] == "stream")
