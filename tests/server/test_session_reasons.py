"""What people read when a session or a part of it ended: pure words over plain data."""

from datetime import UTC, datetime, timedelta

import pytest

from studiolo.engines.base import Death, Exit
from studiolo.server.sessions import memory_deaths
from studiolo.server.sessions.idle_stop import describe_time
from studiolo.server.sessions.memory_deaths import describe_death
from studiolo.server.sessions.wire import end_reason, more_memory

NOW = datetime(2026, 11, 21, tzinfo=UTC)
GIB = 1024**3


def test_a_server_out_of_memory_says_peak_limit_and_what_to_do() -> None:
    seen = Exit("out-of-memory", "It ran out of memory.", NOW, signal=9, memory_peak=2 * GIB, memory_limit=2 * GIB)
    reason = end_reason(None, seen, ["last line"], NOW, workspace="churn")
    assert (reason.memory_peak, reason.memory_limit) == (2 * GIB, 2 * GIB)
    assert reason.hint == "Start it again with more memory: studiolo scale churn --memory 4Gi"


def test_a_wish_wins_over_what_the_engine_saw() -> None:
    seen = Exit("out-of-memory", "It ran out of memory.", NOW)
    reason = end_reason({"code": "stopped-by-person", "by": "Ana"}, seen, [], NOW, workspace="churn")
    assert (reason.code, reason.message) == ("stopped-by-person", "Stopped by Ana.")


@pytest.mark.parametrize(("limit", "wanted"), [(150 * 1024**2, "300Mi"), (3 * GIB, "6Gi"), (GIB // 2, "1Gi")])
def test_more_memory_means_twice_as_much_as_the_button_of_a_page_does(limit: int, wanted: str) -> None:
    assert more_memory("churn", limit).endswith(f"--memory {wanted}")


@pytest.mark.parametrize("what", ["kernel", "terminal", "server", "processes"])
def test_each_death_says_what_was_lost_and_what_to_do(what: str) -> None:
    told = describe_death(what, None, 2 * GIB, 2 * GIB, "churn")
    assert "the session used 2 GiB of 2 GiB" in told
    assert "safe" in told
    assert "studiolo scale churn --memory 4Gi" in told
    assert "whole machine" in describe_death(what, None, None, None, "churn")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("sub/nb.ipynb", "sub/nb.ipynb"),
        ("sub/3a3ab604-3365-46b5-a639-eb88dae7f975", None),
        ("3a3ab604-3365-46b5-a639-eb88dae7f975", None),
        (None, None),
    ],
)
def test_a_path_that_jupyterlab_made_up_is_no_name(name: str | None, shown: str | None) -> None:
    entry = memory_deaths._entry(Death(NOW, "kernel", GIB, GIB, 7, name), "churn")
    assert entry["name"] == shown
    assert entry["message"].startswith(f"A kernel ({shown}) ran" if shown else "A kernel ran out of memory")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(20, "20 s"), (90, "2 min"), (5400, "90 min"), (7200, "2 h"), (86400, "24 h"), (90061, "25 h")],
)
def test_times_are_said_as_people_say_them(seconds: int, words: str) -> None:
    assert describe_time(timedelta(seconds=seconds)) == words
