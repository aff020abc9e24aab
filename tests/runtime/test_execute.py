"""Commands in a session: what they are given, what comes back, and that nothing of them is left."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from studiolo.engines.base import Handle
from studiolo.runtime.launch import LaunchFiles, read_json
from studiolo.testing.fixtures import LocalBench
from studiolo.testing.local import SessionClient

TTY = {"rows": 30, "columns": 100}


@pytest.fixture
async def session(bench: LocalBench) -> Handle:
    """A ready session."""
    return await bench.start_ready()


@pytest.fixture
def client(bench: LocalBench, session: Handle) -> SessionClient:
    """Speaks to the session as the front door does."""
    return bench.client(session)


@asynccontextmanager
async def _connect(
    client: SessionClient, *, auth: str | None = "key", **headers: str
) -> AsyncIterator[ClientConnection]:
    url = f"ws://localhost{client.base_url}studiolo/execute"
    sent = (client.headers(auth) if auth else {}) | headers
    async with asyncio.timeout(60):
        async with unix_connect(
            str(client.socket), url, additional_headers=sent, compression=None, max_size=None
        ) as socket:
            yield socket


@asynccontextmanager
async def _running(client: SessionClient, *argv: str, **members: Any) -> AsyncIterator[ClientConnection]:
    async with _connect(client) as socket:
        await socket.send(json.dumps({"argv": list(argv), "cwd": None, "env": {}, "tty": None} | members))
        yield socket


async def _collect(socket: ClientConnection) -> tuple[dict[str, Any], bytes, bytes]:
    """Return the last text frame, standard output and standard error."""
    streams = {1: bytearray(), 2: bytearray()}
    async for frame in socket:
        if isinstance(frame, str):
            return json.loads(frame), bytes(streams[1]), bytes(streams[2])
        streams[frame[0]] += frame[1:]
    raise AssertionError("no end was told")


async def _until(socket: ClientConnection, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        frame = await socket.recv()
        assert isinstance(frame, bytes), frame
        seen += frame[1:]
    return seen


async def _gone(pid: int) -> None:
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.02)


def _server(bench: LocalBench, session: Handle) -> psutil.Process:
    known = read_json(LaunchFiles(bench.files(session)).shim)
    assert known is not None
    return psutil.Process(known["session_pid"])


async def test_output_errors_and_exit_code_come_apart(client: SessionClient) -> None:
    async with _running(client, "sh", "-c", "printf out; printf err >&2; exit 7") as socket:
        assert await _collect(socket) == ({"exit": 7}, b"out", b"err")


async def test_a_command_runs_in_the_workspaces_folder_and_environment(
    bench: LocalBench, client: SessionClient
) -> None:
    code = "import os, sys; print(os.getcwd(), sys.prefix, os.environ['WHO'])"
    async with _running(client, "python", "-c", code, cwd="notebooks", env={"WHO": "ana"}) as socket:
        end, out, _ = await _collect(socket)
    assert end == {"exit": 0}
    assert out.decode().split() == [str(bench.workspace / "notebooks"), str(bench.environment), "ana"]


async def test_input_is_binary_and_ends_when_it_is_said(client: SessionClient) -> None:
    given = bytes(range(256)) * 4096
    async with _running(client, "cat") as socket:
        for start in range(0, len(given), 65536):
            await socket.send(b"\0" + given[start : start + 65536])
        await socket.send(json.dumps({"eof": True}))
        end, out, _ = await _collect(socket)
    assert end == {"exit": 0}
    assert out == given


async def test_a_signal_reaches_the_command_and_shows_in_its_exit_code(client: SessionClient) -> None:
    async with _running(client, "sh", "-c", "echo up; sleep 60 & wait") as socket:
        await _until(socket, b"up")
        await socket.send(json.dumps({"signal": "INT"}))
        end, _, _ = await _collect(socket)
    assert end == {"exit": 130}


async def test_without_a_command_the_persons_shell_runs_on_a_terminal(client: SessionClient) -> None:
    async with _running(client, tty=TTY) as socket:
        await socket.send(b"\0stty size; [ -t 1 ] && echo ter''minal\r")
        seen = await _until(socket, b"terminal\r\n")
        assert b"30 100" in seen
        await socket.send(json.dumps({"resize": {"rows": 50, "columns": 120}}))
        await socket.send(b"\0stty size\r")
        await _until(socket, b"50 120")
        await socket.send(b"\0sleep 60\r")
        await socket.send(b"\0\x03")
        await socket.send(b"\0exit 3\r")
        end, _, _ = await _collect(socket)
    assert end == {"exit": 3}


@pytest.mark.parametrize("tty", [None, TTY])
async def test_all_of_a_command_ends_when_its_socket_closes(client: SessionClient, tty: object) -> None:
    script = "trap '' HUP; (setsid sh -c 'trap \"\" HUP; echo $$.; sleep 60; sleep 61') & echo $$.; sleep 60; sleep 61"
    async with _running(client, "sh", "-c", script, tty=tty) as socket:
        seen = b""
        while seen.count(b".") < 2:
            seen += await _until(socket, b".")
        pids = [int(word) for word in seen.replace(b".", b" ").split()]
        assert all(psutil.pid_exists(pid) for pid in pids)
    async with asyncio.timeout(20):
        for pid in pids:
            await _gone(pid)


async def test_what_a_command_leaves_behind_ends_with_it(client: SessionClient) -> None:
    async with _running(client, "sh", "-c", "sleep 60 & echo $!") as socket:
        end, out, _ = await _collect(socket)
    assert end == {"exit": 0}
    async with asyncio.timeout(10):
        await _gone(int(out))


async def test_a_command_that_reads_nothing_ends_when_its_client_goes(client: SessionClient) -> None:
    async with _running(client, "sh", "-c", "echo $$.; sleep 60") as socket:
        pid = int((await _until(socket, b".")).partition(b".")[0])
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                while True:
                    await socket.send(b"\0" + bytes(65536))
        socket.transport.abort()
    async with asyncio.timeout(10):
        await _gone(pid)


async def test_much_output_to_a_slow_client_takes_no_memory(
    bench: LocalBench, session: Handle, client: SessionClient
) -> None:
    server = _server(bench, session)
    size = 100_000_000
    async with _running(client, "head", "-c", str(size), "/dev/zero") as socket:
        received, before, most = 0, server.memory_info().rss, 0
        async for frame in socket:
            if isinstance(frame, str):
                assert json.loads(frame) == {"exit": 0}
                break
            received += len(frame) - 1
            if received % 64 == 0:
                most = max(most, server.memory_info().rss)
    assert received == size
    assert most - before < 20_000_000


@pytest.mark.parametrize(
    ("members", "kind", "words"),
    [
        ({"argv": ["no-such-program"]}, "not-found", "There is no program 'no-such-program'"),
        ({"argv": ["true"], "cwd": "absent"}, "not-found", "There is no folder"),
        ({"argv": ["/"]}, "not-found", "cannot be run"),
        ({"argv": "true"}, "not-found", "A command's words"),
        ({"argv": ["a\0b"]}, "not-found", "A command's words"),
        ({"argv": ["true"], "tty": {"rows": 0, "columns": 1}}, "not-found", "The first frame"),
    ],
)
async def test_what_cannot_be_run_is_refused_in_words(
    client: SessionClient, members: dict[str, Any], kind: str, words: str
) -> None:
    async with _running(client, **members) as socket:
        told, _, _ = await _collect(socket)
    assert told["error"]["kind"] == kind
    assert words in told["error"]["message"]


@pytest.mark.parametrize("frame", ["no json", "[]", b"\1x", b"", '{"resize": {"rows": -1}}', '{"signal": "NONE"}'])
async def test_a_frame_that_cannot_be_understood_ends_the_command(client: SessionClient, frame: str | bytes) -> None:
    async with _running(client, "sleep", "60") as socket:
        await socket.send(frame)
        told, _, _ = await _collect(socket)
        assert told["error"]["kind"] == "invalid"
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_it_opens_for_the_front_door_only_and_for_no_foreign_page(client: SessionClient) -> None:
    for auth, headers in ((None, {}), ("login", {"Origin": "https://evil.example"})):
        with pytest.raises(InvalidStatus) as refusal:
            async with _connect(client, auth=auth, **headers):
                pass
        assert refusal.value.response.status_code == 403
    async with _connect(client, auth="login", Origin="http://localhost"):
        pass


async def test_commands_leave_no_descriptor_behind(bench: LocalBench, session: Handle, client: SessionClient) -> None:
    server = _server(bench, session)

    async def run() -> None:
        for tty in (None, TTY):
            async with _running(client, "true", tty=tty) as socket:
                await _collect(socket)

    await run()
    before = server.num_fds()
    for _ in range(3):
        await run()
    async with asyncio.timeout(10):
        while server.num_fds() > before:
            await asyncio.sleep(0.02)
