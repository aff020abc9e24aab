"""A platform of stand-in parts: `stand_in_platform.py [--stop-sessions] name[:needs][=behaviour] …`."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from types import FrameType

from studiolo.contract.errors import EXIT_CODE, StudioloError
from studiolo.kit.notify import notify
from studiolo.server.settings import Settings, load_settings
from studiolo.server.supervisor.parts import Part
from studiolo.server.supervisor.readiness import prepared
from studiolo.server.supervisor.supervisor import supervise


def note(settings: Settings, line: str) -> None:
    with (settings.data_dir / "journal").open("a") as journal:
        journal.write(f"{line}\n")


def be_part(name: str, behaviour: str) -> int:
    """Be one part, as the behaviour says."""
    settings = load_settings()
    note(settings, f"start {name}")
    if behaviour == "fails":
        print("why it failed", flush=True)
        return 3
    if behaviour in ("detaches", "orphans"):
        detach(settings, lives=behaviour == "detaches")

    def end(number: int, frame: FrameType | None) -> None:
        note(settings, f"end {name}")
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "stubborn" else end)
    if behaviour != "silent":
        notify(READY="1")
    while behaviour != "dies-when-ready":
        signal.pause()
    return 1


def detach(settings: Settings, *, lives: bool) -> None:
    """Leave a grandchild behind, as a fork server does with sessions: long-lived, or ended at once."""
    code = "import os, signal; os.setsid(); " + ("signal.pause()" if lives else "")
    script = f"import subprocess, sys; out = subprocess.DEVNULL; p = subprocess.Popen([sys.executable, '-c', {code!r}], stdout=out, stderr=out); print(p.pid)"
    made = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    (settings.data_dir / "detached").write_text(made.stdout)


def part_of(settings: Settings, text: str) -> Part:
    words, _, behaviour = text.partition("=")
    name, _, needs = words.partition(":")
    argv = (sys.executable, __file__, "part", name, behaviour)
    limit = 1 if behaviour in ("silent", "stubborn") else 20
    after = (needs,) if needs else ()
    return Part(
        name, argv, dict(os.environ), after, start_seconds=20 if behaviour == "stubborn" else limit, stop_seconds=limit
    )


async def stop_sessions(settings: Settings) -> None:
    note(settings, "stop sessions")


def main(arguments: list[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = load_settings()
    ends = stop_sessions if "--stop-sessions" in arguments else None
    parts = [part_of(settings, text) for text in arguments if not text.startswith("--")]
    try:
        with prepared(settings, check_schema=lambda _: None):
            asyncio.run(supervise(settings, parts, on_ready=lambda: asyncio.sleep(0), stop_sessions=ends))
    except StudioloError as error:
        print(f"error: {error.message}\nhint: {error.hint}")
        return EXIT_CODE[error.kind]
    return 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(be_part(*arguments[1:3]) if arguments[:1] == ["part"] else main(arguments))
