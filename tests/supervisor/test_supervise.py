"""The supervisor with stand-in parts: small programs that say READY and then do as they are told."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from studiolo.server.settings import Settings
from studiolo.server.settings.environment import settings_environment
from studiolo.testing.waiting import is_gone, wait_for

PROGRAM = Path(__file__).with_name("stand_in_platform.py")


class Platform:
    """A supervisor in a process of its own over parts that note their starts and stops in `journal`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.journal = settings.data_dir / "journal"
        self.process: subprocess.Popen[str] | None = None

    def start(self, *parts: str) -> None:
        """Start over parts written `name[:needs][=behaviour]`."""
        env = {**os.environ, **settings_environment(self.settings)}
        argv = [sys.executable, str(PROGRAM), *parts]
        self.process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def is_ready(self) -> bool:
        return (self.settings.data_dir / "platform.json").exists()

    def events(self) -> list[str]:
        return self.journal.read_text().splitlines() if self.journal.exists() else []

    def pid_of(self, part: str) -> int:
        found = json.loads((self.settings.data_dir / "processes.json").read_text())
        return int(found[part]["pid"])

    def end(self, number: int = signal.SIGTERM) -> str:
        """Send a signal and return what it printed."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)[0]


@pytest.fixture
def platform(make_settings: Callable[..., Settings]) -> Iterator[Platform]:
    running = Platform(make_settings())
    yield running
    if running.process is not None and running.process.poll() is None:
        running.process.kill()
        running.process.communicate(timeout=10)


def test_parts_start_in_order_and_stop_in_reverse(platform: Platform) -> None:
    platform.start("one", "two", "three:two")
    wait_for(platform.is_ready)
    platform.end()
    started = [event for event in platform.events() if event.startswith("start")]
    ended = [event for event in platform.events() if event.startswith("end")]
    assert sorted(started[:2]) == ["start one", "start two"]
    assert started[2] == "start three"
    assert ended == ["end three", "end two", "end one"]
    assert platform.process is not None
    assert platform.process.returncode == 0
    assert not platform.is_ready()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_usual_signal_stops_it_cleanly(platform: Platform, number: int) -> None:
    platform.start("one")
    wait_for(platform.is_ready)
    platform.end(number)
    assert platform.events() == ["start one", "end one"]


def test_a_part_that_dies_is_started_again(platform: Platform) -> None:
    platform.start("one", "two")
    wait_for(platform.is_ready)
    first = platform.pid_of("one")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: platform.events().count("start one") == 2 and platform.pid_of("one") != first)
    assert platform.events().count("start two") == 1
    assert "one was ended by signal 9" in platform.end()


def test_a_part_that_dies_again_and_again_is_started_ever_later(platform: Platform) -> None:
    platform.start("one", "two=dies-when-ready")
    wait_for(lambda: platform.events().count("start two") >= 4)
    printed = platform.end()
    assert [delay in printed for delay in ("in 0.1 s", "in 0.2 s", "in 0.4 s")] == [True, True, True]


def test_a_part_that_cannot_start_stops_everything_and_names_its_log(platform: Platform) -> None:
    platform.start("one", "two=fails")
    assert platform.process is not None
    printed, _ = platform.process.communicate(timeout=30)
    assert platform.process.returncode == 8
    assert "The two ended with exit code 3. Its log is" in printed
    assert "why it failed" in printed
    assert "Traceback" not in printed
    assert platform.events()[-1] == "end one"


def test_a_part_that_never_says_ready_is_given_up(platform: Platform) -> None:
    platform.start("one=silent")
    assert platform.process is not None
    printed, _ = platform.process.communicate(timeout=30)
    assert "was not ready within 1 s" in printed


def test_a_part_that_ignores_the_wish_to_stop_is_killed(platform: Platform) -> None:
    platform.start("one=stubborn")
    wait_for(platform.is_ready)
    pid = platform.pid_of("one")
    platform.end()
    assert not psutil.pid_exists(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_parts_die_with_a_killed_supervisor_but_what_they_detached_lives_on(platform: Platform) -> None:
    platform.start("one=detaches")
    wait_for(platform.is_ready)
    part = psutil.Process(platform.pid_of("one"))
    session = psutil.Process(int((platform.settings.data_dir / "detached").read_text()))
    try:
        platform.end(signal.SIGKILL)
        wait_for(lambda: is_gone(part))
        assert session.is_running()
    finally:
        session.kill()


def test_a_start_after_a_kill_ends_leftovers_first(platform: Platform) -> None:
    leftover = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    started = psutil.Process(leftover.pid).create_time()
    record = {"one": {"pid": leftover.pid, "started": started}, "two": {"pid": os.getpid(), "started": 1.0}}
    (platform.settings.data_dir / "processes.json").write_text(json.dumps(record))
    platform.start("one")
    wait_for(platform.is_ready)
    assert leftover.wait(5) == -signal.SIGKILL
    assert leftover.stdin is not None
    leftover.stdin.close()
    platform.end()


def test_a_second_start_names_the_first(platform: Platform) -> None:
    platform.start("one")
    wait_for(platform.is_ready)
    second = Platform(platform.settings)
    second.start("one")
    assert second.process is not None
    printed, _ = second.process.communicate(timeout=30)
    assert second.process.returncode == 6
    assert platform.process is not None
    assert f"{platform.settings.address} (process {platform.process.pid})" in printed
    platform.end()


def test_sessions_are_ended_while_the_parts_still_serve(platform: Platform) -> None:
    platform.start("--stop-sessions", "one")
    wait_for(platform.is_ready)
    platform.end()
    assert platform.events() == ["start one", "stop sessions", "end one"]


def test_orphans_below_the_supervisor_are_collected(platform: Platform) -> None:
    platform.start("one=orphans")
    wait_for(platform.is_ready)
    assert platform.process is not None
    top = psutil.Process(platform.process.pid)
    orphan = int((platform.settings.data_dir / "detached").read_text())
    wait_for(lambda: not psutil.pid_exists(orphan))
    assert [child.pid for child in top.children()] == [platform.pid_of("one")]
    platform.end()
