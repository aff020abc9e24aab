"""Which kernels are ended because nobody uses them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from studiolo.gateway.base import KernelState
from studiolo.gateway.culling import Culling, Seen
from studiolo.gateway.settings import HostSettings

SETTINGS = HostSettings(data=Path("/d"), run=Path("/r"), cull_idle=100, keep_unread=1000)
IDLE = Seen("k", False, KernelState.IDLE, 0, datetime(2026, 1, 1, tzinfo=UTC), False)


def due_after(seconds: float, one: Seen, settings: HostSettings = SETTINGS) -> bool:
    culling = Culling(settings)
    return culling.decide([one], 0) == [] and culling.decide([one], seconds) == ["k"]


def test_an_idle_kernel_is_ended_after_its_time_and_not_before() -> None:
    assert due_after(100, IDLE)
    assert not due_after(99, IDLE)


@pytest.mark.parametrize(
    "one",
    [
        replace(IDLE, state=KernelState.BUSY),
        replace(IDLE, state=KernelState.RESTARTING),
        replace(IDLE, connections=1),
        replace(IDLE, is_of_session=True),
    ],
)
def test_busy_connected_and_sessions_kernels_are_kept(one: Seen) -> None:
    assert not due_after(10_000, one)


def test_settings_let_connected_and_sessions_kernels_be_ended() -> None:
    settings = replace(SETTINGS, cull_connected=True, cull_sessions=True)
    assert due_after(100, replace(IDLE, connections=1, is_of_session=True), settings)
    assert not due_after(10_000, IDLE, replace(SETTINGS, cull_idle=None))


def test_unread_output_keeps_a_kernel_for_longer() -> None:
    unread = replace(IDLE, has_unread=True)
    assert not due_after(999, unread)
    assert due_after(1000, unread)


def test_whatever_changes_begins_the_time_anew() -> None:
    culling = Culling(SETTINGS)
    culling.decide([IDLE], 0)
    assert culling.decide([replace(IDLE, last_active_at=IDLE.last_active_at + timedelta(seconds=1))], 99) == []
    assert culling.decide([replace(IDLE, last_active_at=IDLE.last_active_at + timedelta(seconds=1))], 150) == []


def test_a_clock_that_jumps_and_a_host_that_restarts_end_nothing() -> None:
    long_ago = replace(IDLE, last_active_at=datetime(1999, 1, 1, tzinfo=UTC))
    assert Culling(SETTINGS).decide([long_ago], 1e9) == []
