"""When the authority is told of kernels."""

import pytest

from studiolo.gateway.reporting import Reporting

KERNEL = {"id": "k", "state": "idle", "connections": 0, "path": None, "output": 1, "last_active_at": "x"}


@pytest.mark.parametrize("change", [{"state": "busy"}, {"connections": 1}, {"path": "n.ipynb"}])
def test_what_people_act_on_is_told_at_once(change: dict[str, object]) -> None:
    reporting = Reporting()
    reporting.was_told([KERNEL], 0)
    assert reporting.is_due([KERNEL | change], 0.1)


def test_kernels_that_come_and_go_are_told_at_once() -> None:
    reporting = Reporting()
    assert reporting.is_due([], 0)
    reporting.was_told([KERNEL], 0)
    assert reporting.is_due([], 0.1)


def test_mere_output_is_told_every_ten_seconds_and_nothing_new_every_minute() -> None:
    reporting = Reporting()
    reporting.was_told([KERNEL], 0)
    assert [reporting.is_due([KERNEL | {"output": 2}], now) for now in (9, 10)] == [False, True]
    assert [reporting.is_due([KERNEL], now) for now in (59, 60)] == [False, True]


def test_a_report_that_was_not_taken_is_due_again() -> None:
    reporting = Reporting()
    assert reporting.is_due([KERNEL], 0)
    assert reporting.is_due([KERNEL], 1)
