"""Where shortcuts may lead: into the session's own folder, whatever the session says."""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.server.shortcuts import _WORTH_IT, Shortcuts

SESSION, HOLDER = "s-0123456789abcdef", "k" * 26


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A folder with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("told", "linked"),
    [
        ("{sockets}/s-0123456789abcdef.1/p1", True),
        ("{sockets}/control.sock", False),
        ("{sockets}/s-0123456789abcdef.1/../control.sock", False),
        ("/run/docker.sock", False),
    ],
)
async def test_a_session_leads_the_front_door_to_its_own_sockets_only(run_dir: Path, told: str, linked: bool) -> None:
    sockets, links = run_dir / "s", run_dir / "d"
    sockets.mkdir()
    upstream = sockets / f"{SESSION}.1.sock"
    body = json.dumps({"socket": told.format(sockets=sockets)}).encode()
    asked = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()
        asked.set()

    shortcuts = Shortcuts(links)
    shortcuts.prepare()
    names = (b"x-studiolo-secret", b"x-studiolo-person", b"x-studiolo-auth", b"x-studiolo-login")
    known = {**dict.fromkeys(names, b"x"), b"x-studiolo-upstream": f"unix/{upstream}".encode()}
    async with await asyncio.start_unix_server(answer, upstream):
        for _ in range(_WORTH_IT):
            shortcuts.note(SESSION, HOLDER, known)
        await asyncio.wait_for(asked.wait(), 30)
        await asyncio.gather(*shortcuts._tasks)
    shortcuts.note(SESSION, HOLDER, known)
    assert (links / f"{SESSION}.{HOLDER}.s").is_symlink() is linked
    shortcuts.close_all()
