"""The file host may be killed at any time: who uploads hardly notices."""

import asyncio
import hashlib
import os
import signal
import sys
from pathlib import Path

import pytest

from server.files.conftest import Stage
from server.files.test_clients import key_of
from studiolo.sdk import AsyncStudiolo, uploading


async def start_host(stage: Stage) -> asyncio.subprocess.Process:
    """Start a file host of its own process in the place of the stage's, and wait until it listens."""
    settings = stage.services.settings
    settings.files_socket.unlink(missing_ok=True)
    argv = (
        *(sys.executable, "-m", "studiolo.files.host", "--socket", str(settings.files_socket)),
        *("--control", str(settings.control_socket), "--cache", str(settings.data_dir / "cache")),
        *("--secret-file", str(settings.files_key_file)),
    )
    process = await asyncio.create_subprocess_exec(*argv)
    async with asyncio.timeout(60):
        while not settings.files_socket.exists():
            await asyncio.sleep(0.02)
    return process


async def test_an_upload_outlives_kills_of_the_file_host(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(uploading, "_PART", 1 << 20)
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(6 << 20))
    kills, host = [2 << 20, 4 << 20], await start_host(stage)

    def kill(done: int) -> None:
        if kills and done > kills[0]:
            kills.pop(0)
            host.send_signal(signal.SIGKILL)

    async def start_again() -> None:
        nonlocal host
        while True:
            await host.wait()
            host = await start_host(stage)

    again = asyncio.create_task(start_again())
    try:
        async with AsyncStudiolo(f"http://localhost:{stage.services.settings.port}", key_of(stage)) as client:
            async with asyncio.timeout(120):
                await client.files.upload("churn", source, "large.bin", progress=kill)
    finally:
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
        if host.returncode is None:
            host.terminate()
            await host.wait()
    assert kills == []
    placed = (stage.folder / "large.bin").read_bytes()
    assert hashlib.sha256(placed).digest() == hashlib.sha256(source.read_bytes()).digest()
    assert await stage.actions() == ["file.upload"]
