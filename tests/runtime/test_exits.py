"""What a person reads when a session has ended."""

import signal

import pytest

from studiolo.runtime.exits import Ending, Memory, count_machine_kills, explain

GIB = 1024**3
NONE = Memory(ran_out=False, machine_kills=0)


def _out(**known: int | None) -> Memory:
    return Memory(ran_out=True, machine_kills=1, **known)


def _ending(status: int, **changes: object) -> Ending:
    values: dict[str, object] = {
        "status": status,
        "was_ready": True,
        "stop_was_asked": False,
        "grace_ran_out": False,
        "grace_seconds": 10.0,
        "memory": NONE,
    }
    return Ending(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ending", "reason", "words"),
    [
        (_ending(0), "server-exited", "shut down from inside"),
        (_ending(3), "server-exited", "exit code 3"),
        (_ending(-signal.SIGSEGV), "killed", "SIGSEGV"),
        (_ending(-200), "killed", "signal 200"),
        (_ending(1, was_ready=False), "never-ready", "before it was ready"),
        (_ending(-signal.SIGKILL), "killed", "no lack of memory"),
        (_ending(-signal.SIGKILL, was_ready=False), "killed", "killed from outside"),
        (_ending(-signal.SIGKILL, memory=_out(peak=2 * GIB, limit=2 * GIB)), "out-of-memory", "it used 2 of 2 GiB."),
        (_ending(-signal.SIGKILL, memory=_out(peak=2040 * 1024**2, limit=2 * GIB)), "out-of-memory", "2.0 of 2 GiB."),
        (
            _ending(-signal.SIGKILL, memory=_out(peak=150 * 1024**2, limit=150 * 1024**2)),
            "out-of-memory",
            "150 of 150 MiB",
        ),
        (_ending(-signal.SIGKILL, memory=_out(peak=GIB)), "out-of-memory", "The machine ran out"),
        (_ending(-signal.SIGKILL, memory=Memory(None, 1)), "out-of-memory", "The machine ran out"),
        (_ending(-signal.SIGKILL, memory=Memory(False, 3)), "killed", "no lack"),
        (_ending(-signal.SIGKILL, memory=Memory(None, 0)), "killed", "no lack"),
        (_ending(-signal.SIGKILL, memory=Memory(None, None)), "killed", "probably because the machine"),
        (_ending(0, stop_was_asked=True), "stopped", "The session was stopped."),
        (_ending(-15, stop_was_asked=True, was_ready=False), "stopped", "The session was stopped."),
        (_ending(-9, stop_was_asked=True, grace_ran_out=True), "stopped", "within 10 s"),
    ],
)
def test_the_reason_is_true_and_the_message_a_sentence(ending: Ending, reason: str, words: str) -> None:
    found, message = explain(ending)
    assert found == reason
    assert words in message
    assert message[0].isupper()
    assert message.endswith(".")


def test_the_machines_counter_of_memory_kills_is_read_where_there_is_one() -> None:
    assert (count_machine_kills() or 0) >= 0
