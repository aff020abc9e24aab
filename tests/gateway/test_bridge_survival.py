"""Kernels that die, are started anew, or lose their host: what clients are told, and what they get afterwards."""

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from gateway import hosting
from gateway.bridging import NUMBERED_PROTOCOL, V1_PROTOCOL, Message, Peer, Workbench, bridge_to, texts
from studiolo.gateway.base import KernelState
from studiolo.gateway.starting.launching import LocalProcess

MIB = 1024 * 1024


class Host:
    """A host in a process of its own, for one kernel."""

    def __init__(self, bench: Workbench, process: LocalProcess) -> None:
        self._command = [sys.executable, hosting.__file__, str(bench.folder), process.kernel_id]
        self.program: subprocess.Popen[str] | None = None
        self._url = ""

    def start(self, *, fresh: bool = False) -> None:
        command = [*self._command, *(["fresh"] if fresh else [])]
        self.program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.program.stdout is not None
        self._url = self.program.stdout.readline().strip()
        assert self._url

    def kill(self) -> None:
        if self.program is not None and self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        if self.program is not None and self.program.stdout is not None:
            self.program.stdout.close()

    @property
    def memory_bytes(self) -> int:
        assert self.program is not None
        return int(psutil.Process(self.program.pid).memory_info().rss)

    @asynccontextmanager
    async def client(
        self, *, protocol: str = V1_PROTOCOL, session: str = "s-1", after: int | None = None
    ) -> AsyncIterator[Peer]:
        query = {"session_id": session, "rights": "see,execute", "person": "p", "login": "l"}
        if after is not None:
            query["after"] = str(after)
        async with (
            aiohttp.ClientSession() as web,
            web.ws_connect(self._url, params=query, protocols=(protocol,), max_msg_size=0) as socket,
        ):
            yield Peer(socket, session)


@pytest.fixture
async def process(workbench: Workbench) -> LocalProcess:
    return await workbench.start()


@pytest.fixture
async def forked(workbench: Workbench) -> LocalProcess:
    """A kernel that numbers and keeps its output."""
    process = await workbench.start(environment=workbench.environment)
    assert process.spool is not None
    return process


@pytest.fixture
def forked_host(workbench: Workbench, forked: LocalProcess) -> Iterator[Host]:
    host = Host(workbench, forked)
    host.start(fresh=True)
    yield host
    host.kill()


@pytest.fixture
def host(workbench: Workbench, process: LocalProcess) -> Iterator[Host]:
    host = Host(workbench, process)
    host.start(fresh=True)
    yield host
    host.kill()


def is_dead(message: Message) -> bool:
    return message.type == "status" and message.content["execution_state"] == "dead"


@pytest.mark.req("S4-41")
async def test_a_killed_kernel_is_told_beneath_its_cell(process: LocalProcess, tmp_path: Path) -> None:
    async with bridge_to(process, tmp_path) as bridge:
        client, other = await bridge.connect(), await bridge.connect()
        running = await client.execute("print('last words', flush=True)\nimport time\ntime.sleep(600)")
        await client.until(lambda message: message.type == "stream")
        os.kill(process.pid, signal.SIGKILL)
        came = await client.until(is_dead)
        assert bridge.kernel.exit is not None
        told = next(message for message in came if message.type == "stream")
        assert (told.parent["msg_id"], told.content["text"]) == (running, f"[{bridge.kernel.exit.message}]\n")
        reply = next(message for message in came if message.type == "execute_reply")
        assert (reply.content["ename"], reply.content["evalue"]) == ("DeadKernelError", bridge.kernel.exit.message)
        await other.until(is_dead)
        assert bridge.kernel.state is KernelState.DEAD
        refused = await other.until_done(await other.execute("1"))
        assert next(m for m in refused if m.type == "execute_reply").content["ename"] == "DeadKernelError"


@pytest.mark.req("S4-53")
async def test_a_restarted_kernel_keeps_its_clients_and_journal(workbench: Workbench, tmp_path: Path) -> None:
    first = await workbench.start()
    async with bridge_to(first, tmp_path) as bridge:
        client = await bridge.connect(protocol=NUMBERED_PROTOCOL, after=0)
        await client.run("x = 'kept'\nprint('one', flush=True)")
        await client.execute("import time\ntime.sleep(600)")
        await client.until(lambda message: message.type == "execute_input")
        await bridge.kernel.interrupt()
        assert await bridge.kernel.shutdown_request(restart=True)
        await first.wait()
        await bridge.kernel.replaced(await workbench.start(kernel_id=first.kernel_id))
        came = await client.run("print('x' in globals(), flush=True)")
        assert texts(came) == "False\n"
        states = [m.content["execution_state"] for m in client.seen if m.type == "status"]
        assert "starting" in states
        assert not {"restarting", "dead"} & set(states)
        numbers = [message.number for message in client.seen if message.number]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_an_idle_kernel_goes_on_after_its_host_was_killed(host: Host) -> None:
    async with host.client() as client:
        await client.run("x = 1")
    host.kill()
    host.start()
    async with host.client() as client:
        assert texts(await client.run("print(x)")) == "1\n"


async def test_a_reply_that_was_owed_reaches_the_session_after_its_host_was_killed(host: Host) -> None:
    async with host.client() as client:
        owed = await client.execute("import time, os\nwhile not os.path.exists('go'): time.sleep(0.05)\nx = 2")
        await client.until(lambda message: message.type == "execute_input")
    host.kill()
    host.start()
    async with host.client() as client:
        folder = Path(host._command[2])
        (folder / "go").touch()
        came = await client.until(lambda message: message.channel == "shell")
        assert (came[-1].parent["msg_id"], came[-1].content["status"]) == (owed, "ok")


async def test_a_reply_that_nobody_heard_becomes_an_error(host: Host, process: LocalProcess) -> None:
    async with host.client() as client:
        lost = await client.execute("import os\nwhile not os.path.exists('go'): pass\nopen('gone', 'w').close()")
        await client.until(lambda message: message.type == "execute_input")
    host.kill()
    folder = Path(host._command[2])
    (folder / "go").touch()
    async with asyncio.timeout(20):
        while not (folder / "gone").exists():
            await asyncio.sleep(0.01)
    host.start()
    async with host.client() as client:
        came = await client.until(lambda message: message.channel == "shell")
        assert (came[-1].parent["msg_id"], came[-1].content["ename"]) == (lost, "ReplyLost")
        gaps = [m for m in came if m.type == "stream" and "may be missing" in m.content["text"]]
        assert len(gaps) == 1


COUNTING = "import time\nfor n in range({0}): print(n, flush=True); time.sleep(0.0005)\nprint('end', flush=True)"


def is_end(message: Message) -> bool:
    return message.type == "stream" and message.content["text"].endswith("end\n")


async def test_a_host_that_is_killed_during_output_loses_and_doubles_nothing(forked_host: Host) -> None:
    """Three hosts in a row, each killed in the middle of a loop of prints: numbered clients get each line once."""
    last = 0
    text = ""
    numbers = []
    for turn in range(4):
        async with forked_host.client(protocol=NUMBERED_PROTOCOL, after=last) as client:
            if turn == 0:
                await client.execute(COUNTING.format(4000))
            enough = 300 if turn < 3 else 10**9
            came = await client.until(lambda m: len(client.seen) >= enough or is_end(m))  # noqa: B023
            numbers += [message.number for message in came if message.number]
            text += texts(came)
            last = numbers[-1]
        forked_host.kill()
        forked_host.start()
    assert numbers == list(range(1, last + 1))
    assert text == "".join(f"{n}\n" for n in range(4000)) + "end\n"


async def test_a_stock_session_goes_on_through_the_kill_of_a_host(forked_host: Host, tmp_path: Path) -> None:
    """What was written into the dead websocket may be missing for it; nothing comes twice or out of order."""
    killed = tmp_path / "killed"
    wait = f"while n == 1000 and not os.path.exists({str(killed)!r}): time.sleep(0.01)"
    code = f"import os, time\nfor n in range(3000):\n    print(n, flush=True)\n    {wait}\nprint('end')"
    async with forked_host.client() as client:
        running = await client.execute(code)
        await client.until(lambda m: len(client.seen) > 200)
        forked_host.kill()
        killed.touch()
        with contextlib.suppress(EOFError):
            await client.until(lambda message: False)
        before = texts(client.seen).split()
    forked_host.start()
    async with forked_host.client() as client:

        def has_all(_: Message) -> bool:
            # Output and reply come on channels of their own, in either order.
            has_reply = any(m.channel == "shell" and m.parent.get("msg_id") == running for m in client.seen)
            return has_reply and any(map(is_end, client.seen))

        after = texts(await client.until(has_all)).split()
    got = [int(line) for line in [*before, *after] if line != "end"]
    assert got == sorted(set(got))
    assert got[-1] == 2999
    assert len(got) > 2900


async def test_what_zmq_dropped_is_fetched(workbench: Workbench, forked: LocalProcess, tmp_path: Path) -> None:
    """A host that stands still for a while, so that every queue towards it overflows."""
    async with bridge_to(forked, tmp_path) as bridge:
        client = await bridge.connect(protocol=NUMBERED_PROTOCOL, after=0)
        await client.run("pass")
        await client.execute("for n in range(6_000): print(n, flush=True)\nopen('done', 'w').close()\nprint('end')")
        await client.until(lambda message: message.type == "execute_input")
        # On purpose without an await: nobody reads from ZMQ meanwhile.
        done = workbench.folder / "done"
        while not done.exists():
            select.select([], [], [], 0.05)
        came = await client.until(is_end)
        assert texts(came) == "".join(f"{n}\n" for n in range(6_000)) + "end\n"
        numbers = [message.number for message in client.seen if message.number]
        assert numbers == list(range(1, numbers[-1] + 1))


async def test_memory_of_a_host_is_bounded_while_somebody_does_not_read(forked_host: Host) -> None:
    """400 MiB pass by a client that takes none of them; what the journal dropped is a gap of known size."""
    host = forked_host
    async with host.client(session="slow", protocol=NUMBERED_PROTOCOL, after=0) as slow, host.client() as quick:
        await quick.run("pass")
        before = host.memory_bytes
        await quick.execute(f"for n in range(400): print('x' * {MIB}, flush=True)\nprint('end', flush=True)")
        # Not looked at, so that it is quick.
        while b'"end\\n"' not in (await quick.socket.receive()).data:
            pass
        assert host.memory_bytes - before < 200 * MIB
        came = await slow.until(lambda m: m.type == "stream" and m.content["text"].endswith("end\n"))
        numbers = [message.number for message in came if message.number and message.type != "gap"]
        missing = sum(message.content["messages"] for message in came if message.type == "gap")
        assert missing
        assert missing + len(numbers) == numbers[-1]
        assert numbers == sorted(set(numbers))


async def test_a_kernel_of_another_language_works_alike(workbench: Workbench, tmp_path: Path) -> None:
    """bash_kernel knows neither numbers nor much of the control channel."""
    argv = (sys.executable, "-m", "bash_kernel", "-f", "{connection_file}")
    async with bridge_to(await workbench.start(argv=argv, spec_name="bash", language="bash"), tmp_path) as bridge:
        client, viewer = await bridge.connect(protocol=None), await bridge.connect(rights="see")
        assert texts(await client.run("x=7; echo $((6 * x))")) == "42\n"
        info = await viewer.until_done(await viewer.send("kernel_info_request"))
        assert next(m for m in info if m.type == "kernel_info_reply").content["language_info"]["name"] == "bash"
        running = await client.execute("sleep 60")
        await client.until(lambda message: message.type == "execute_input")
        done = asyncio.create_task(client.until_done(running))
        # An interrupt that comes before bash has begun to sleep ends nothing: people press the button again.
        while not done.done():
            await bridge.kernel.interrupt()
            await asyncio.wait({done}, timeout=2)
        await done
        assert texts(await client.run("echo $x")) == "7\n"
