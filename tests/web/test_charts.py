"""Lines over time as geometry."""

from datetime import UTC, datetime, timedelta

from studiolo.server.web.charts import draw

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def minutes(*values: float | None) -> list[tuple[datetime, float | None]]:
    return [(NOON + timedelta(minutes=index), value) for index, value in enumerate(values)]


def test_a_single_value_is_no_line() -> None:
    assert draw(minutes(5), limit=None) is None
    assert draw(minutes(None, 5, None), limit=None) is None


def test_the_line_spans_the_width_and_stays_below_its_limit() -> None:
    chart = draw(minutes(4, 8, 16), limit=16)
    assert chart is not None
    assert chart.paths[0].startswith("M0 ")
    assert "L50 " in chart.paths[0]
    assert "L100 " in chart.paths[0]
    assert chart.limit_y == chart.end_y > 12


def test_minutes_that_nobody_measured_are_a_gap() -> None:
    points = [*minutes(1, 2), (NOON + timedelta(minutes=9), 3.0), (NOON + timedelta(minutes=10), 4.0)]
    chart = draw(points, limit=None)
    assert chart is not None
    assert len(chart.paths) == 2


def test_a_span_leaves_out_what_is_older() -> None:
    chart = draw(minutes(*range(1, 31)), limit=None, span=timedelta(minutes=10))
    assert chart is not None
    assert chart.first_at == NOON + timedelta(minutes=19)


def test_an_idle_line_lies_on_the_ground() -> None:
    chart = draw(minutes(0, 0), limit=None)
    assert chart is not None
    assert chart.end_y == 86
