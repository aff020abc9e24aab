"""The kernel host beside a session in a workload: kernels there outlive everything but the workload itself."""

import asyncio
import base64
import contextlib
import json
import os
import signal
from dataclasses import dataclass, replace
from typing import Any

import httpx
import psutil
import pytest

from runtime.test_workload import NOT_YET, SECONDS, SECRET, Place, eventually, place
from studiolo.runtime import processes
from studiolo.runtime.launch import read_json
from studiolo.testing.local import SessionClient, execute

__all__ = ["place"]
pytestmark = pytest.mark.timeout(180)

TCP = "tcp://127.0.0.1:0"
# Long enough to kill something in its middle, whatever the machine does.
COUNT = 40
COUNTING = f"import time\nfor n in range({COUNT}):\n    print(n, flush=True); time.sleep(0.1)\ncounted = True"


@dataclass(frozen=True)
class KernelsClient(SessionClient):
    """Speaks to the kernel host as the front door does. `scope`: session and launch."""

    scope: str = "s-1.1"
    rights: tuple[str, ...] = ("see", "execute", "start")

    def headers(self, auth: str = "key") -> dict[str, str]:
        """Return the headers that the front door adds."""
        person = {"id": "p-0000000000000001", "name": "ana", "display_name": "Ana Ruiz"}
        caller = {"scope": self.scope, "rights": self.rights, "person": person, "login": "k-1", "prefix": self.base_url}
        header = base64.urlsafe_b64encode(json.dumps(caller).encode()).decode()
        return {"X-Studiolo-Secret": self.secret, "X-Studiolo-Kernels": header}

    async def printed(self, kernel: str) -> str:
        """Return all that a kernel's journal has of its standard output, in its order."""
        async with self.http() as http:
            entries: list[dict[str, Any]] = []
            after, more = 0, True
            while more:
                found = (await http.get(f"api/kernels/{kernel}/journal", params={"after": after})).json()
                entries, after, more = entries + found["entries"], found["next"], found["more"]
        assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
        messages = [entry["message"] for entry in entries]
        return "".join(one["content"]["text"] for one in messages if one["header"]["msg_type"] == "stream")


async def kernels_of(place: Place, **changes: Any) -> KernelsClient:
    """Begin the launch with a kernel host, wait until its session is ready, and return a client of the host."""
    place.begin(host_folder=str(place.folder.parent / "kept"), **changes)
    await place.client()
    ready = read_json(place.files.ready)
    assert ready is not None
    assert ready["kernels"], place.log()
    client = KernelsClient.at(ready["kernels"], "/s/s-1/", SECRET)
    launch = changes.get("launch", 1)
    return KernelsClient(client.socket, client.base_url, client.secret, client.address, f"s-1.{launch}")


async def begin_counting(client: KernelsClient, kernel: str) -> None:
    """Have the kernel count, and go away in the middle."""
    async with client.channels(kernel) as connection:
        with pytest.raises(TimeoutError):
            await execute(connection, COUNTING, within=1.5)


async def until_counted(client: KernelsClient, kernel: str) -> str:
    """Return what the kernel printed once it is done."""
    wanted = f"{COUNT - 1}\n"
    async with asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(*NOT_YET):
                if (printed := await client.printed(kernel)).endswith(wanted):
                    return printed
            await asyncio.sleep(0.1)


def pid_of(place: Place, module: str) -> int | None:
    """Return the process of the launch that runs `module`."""
    assert place.process is not None
    for process in psutil.Process(place.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if module in process.cmdline():
                return process.pid
    return None


@pytest.mark.parametrize("listen", ["", TCP])
async def test_a_cell_goes_on_while_its_notebook_server_is_killed(place: Place, listen: str) -> None:
    client = await kernels_of(place, listen=listen)
    kernel = await client.start_kernel()
    await begin_counting(client, kernel)
    server = (read_json(place.files.shim) or {})["session_pid"]
    os.kill(server, signal.SIGKILL)
    await eventually(lambda: (read_json(place.files.shim) or {})["session_pid"] != server)
    assert await until_counted(client, kernel) == "".join(f"{n}\n" for n in range(COUNT))
    assert await client.run(kernel, "print(counted)") == "True\n"
    async with (await place.client()).http() as http, asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(*NOT_YET):
                assert (await http.get("api/contents")).status_code == 200
                break
            await asyncio.sleep(0.05)


async def test_a_host_that_is_killed_is_started_anew_and_has_all_output(place: Place) -> None:
    client = await kernels_of(place)
    kernel = await client.start_kernel()
    await begin_counting(client, kernel)
    first = pid_of(place, "studiolo.gateway.inside")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    # Who asks meanwhile waits for the next one.
    assert await until_counted(client, kernel) == "".join(f"{n}\n" for n in range(COUNT))
    second = pid_of(place, "studiolo.gateway.inside")
    assert second not in (None, first)
    async with client.http() as http:
        (listed,) = (await http.get("api/kernels")).json()
    assert listed["id"] == kernel
    # Killed itself, the workload takes them along.
    own = int(await client.run(kernel, "import os; print(os.getpid())"))
    assert place.process is not None
    place.process.kill()
    await place.end()
    await eventually(lambda: not any(processes.find_process(pid) for pid in (own, second or 0)))


async def test_kernels_end_with_the_workload_and_a_later_launch_shows_their_output(place: Place) -> None:
    client = await kernels_of(place)
    kernel = await client.start_kernel()
    away = "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)"
    pid = int(await client.run(kernel, away))
    assert place.process is not None
    started = psutil.Process(place.process.pid).children(recursive=True)
    place.process.terminate()
    assert (await place.end())[0] == 0
    assert processes.find_process(pid) is None
    assert [process for process in started if process.is_running() and process.status() != "zombie"] == []
    # It was asked, not killed with its shim.
    ended = read_json(place.folder.parent / "kept" / "kernels" / kernel / "exit.json")
    assert ended is not None
    assert (ended["reason"], ended["signal"]) == ("stopped", signal.SIGTERM)
    assert not client.socket.exists()
    later = place.folder.parent / "later"
    later.mkdir()
    place.relaunch(later)
    client = await kernels_of(place, launch=2)
    assert await client.printed(kernel) == f"{pid}\n"
    async with client.http() as http:
        assert (await http.get("api/kernels")).json() == []


async def test_only_the_front_door_reaches_it_and_for_its_own_session_only(place: Place) -> None:
    client = await kernels_of(place, listen=TCP)
    kernel = await client.start_kernel()
    told = "import json, os, sys; print(json.dumps([sys.prefix, dict(os.environ)]))"
    prefix, variables = json.loads(await client.run(kernel, told))
    assert prefix == place.request.environment
    assert (variables["GIVEN_BY_ENGINE"], variables["OURS"]) == ("yes", "request")
    assert "PYTHONFAULTHANDLER" not in variables
    assert SECRET not in variables.values()
    kept = [file for folder in (place.folder, place.run_folder) for file in folder.rglob("*") if file.is_file()]
    assert not [file for file in kept if SECRET.encode() in file.read_bytes()]
    for wrong in (replace(client, secret="another"), replace(client, scope="s-2.1"), replace(client, scope="w-1")):
        async with wrong.http() as http:
            assert (await http.get("api/kernels")).status_code == 401
    async with replace(client, rights=("see",)).http() as http:
        assert (await http.get(f"api/kernels/{kernel}")).status_code == 200
        assert (await http.post("api/kernels")).status_code == 403
        assert (await http.post(f"api/kernels/{kernel}/interrupt")).status_code == 403
    async with httpx.AsyncClient(base_url=f"http://{client.address}") as http:
        assert (await http.get("/_host/kernels", headers={"X-Studiolo-Secret": "another"})).status_code == 404
        assert (await http.get("/_host/kernels", headers={"X-Studiolo-Secret": SECRET})).status_code == 200


async def test_where_there_can_be_no_host_the_servers_own_kernels_serve_and_the_log_says_why(place: Place) -> None:
    (place.workspace / "file").touch()
    process = place.begin(host_folder=str(place.workspace / "file" / "kept"))
    client = await place.client()
    assert (read_json(place.files.ready) or {})["kernels"] == ""
    assert await client.run(await client.start_kernel(), "print(6 * 7)") == "42\n"
    assert "there is no kernel host here" in place.log()
    assert "Not a directory" in place.log()
    process.terminate()
    assert (await place.end())[0] == 0


@pytest.mark.parametrize("listen", ["", TCP])
async def test_without_a_server_kernels_run_and_outlive_a_host_that_is_killed(place: Place, listen: str) -> None:
    client = await kernels_of(place, listen=listen, only_kernels=True)
    assert pid_of(place, "studiolo.runtime.session") is None
    kernel = await client.start_kernel()
    await begin_counting(client, kernel)
    host = await eventually(lambda: pid_of(place, "studiolo.gateway.inside"))
    os.kill(host, signal.SIGKILL)
    assert await until_counted(client, kernel) == "".join(f"{n}\n" for n in range(COUNT))
    own = int(await client.run(kernel, "import os; print(os.getpid())"))
    assert place.process is not None
    place.process.terminate()
    status, _ = await place.end()
    assert status == 0, place.log()
    assert (read_json(place.files.exit) or {})["reason"] == "stopped"
    assert processes.find_process(own) is None


async def test_a_workload_of_kernels_alone_that_can_have_no_host_says_why(place: Place) -> None:
    place.begin(only_kernels=True)
    status, output = await place.end()
    assert status == os.EX_OSERR
    assert "no kernel host" in output
