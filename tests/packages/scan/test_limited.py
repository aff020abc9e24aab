"""What dies, hangs or eats memory costs its own piece of work, and nothing else."""

import os
import signal
import time
from typing import Any

from studiolo.packages.scan.limited import Work, do_all


def results(*works: Work, seconds: float = 60) -> list[tuple[str, Any]]:
    return [(done.work.name, done.lost or done.result) for done in do_all(works, until=time.monotonic() + seconds)]


def hang() -> None:
    signal.pause()


def eat() -> int:
    return len(bytearray(1 << 40))


def fault() -> None:
    raise ValueError("no")


def test_pieces_after_a_lost_one_are_done() -> None:
    works = [
        Work("first", lambda: [1, {"a": "é\udcff"}], 30),
        Work("dies", lambda: os.kill(os.getpid(), signal.SIGKILL), 30),
        Work("second", lambda: 2, 30),
        Work("hangs", hang, 0.2),
        Work("eats", eat, 30),
        Work("fails", fault, 30),
        Work("third", lambda: "x" * 1_000_000, 30),
    ]
    assert results(*works) == [
        ("first", [1, {"a": "é?"}]),
        ("dies", "died"),
        ("second", 2),
        ("hangs", "time"),
        ("eats", "memory"),
        ("fails", "failed"),
        ("third", "x" * 1_000_000),
    ]


def test_what_is_left_when_the_time_is_over_is_skipped_and_named() -> None:
    works = [Work("hangs", hang, 30), Work("second", lambda: 2, 30)]
    assert results(*works, seconds=0.2) == [("hangs", "time"), ("second", "skipped")]


def test_content_that_is_out_to_stop_the_scan_does_not_keep_it_for_ever() -> None:
    works = [Work(str(number), lambda: os.kill(os.getpid(), signal.SIGKILL), 30) for number in range(60)]
    assert [what for _, what in results(*works)].count("skipped") == 10
