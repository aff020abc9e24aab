import pytest

from studiolo.cli.tables import layout, wants_colour

ROWS = [["churn", "● running", "long " * 40], ["研究室", "○ stopped", ""]]
HEADERS = ["NAME!", "STATE!", "DESCRIPTION"]


def test_columns_line_up_and_nothing_trails() -> None:
    assert layout(["A", "LONGER"], [["x", "y"], ["wide cell", ""]], width=None) == [
        "A          LONGER",
        "x          y",
        "wide cell",
    ]


def test_a_table_is_cut_to_the_terminal_and_keeps_names_and_states_whole() -> None:
    lines = layout(HEADERS, ROWS, width=80)
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("churn   ● running  long long")
    assert lines[1].endswith("…")


def test_wide_characters_take_two_cells() -> None:
    lines = layout(HEADERS, ROWS, width=80)
    assert lines[2] == "研究室  ○ stopped"


def test_nothing_is_cut_where_there_is_no_terminal() -> None:
    assert len(layout(HEADERS, ROWS, width=None)[1]) > 200


def test_a_terminal_too_narrow_for_the_names_still_gets_them() -> None:
    assert layout(HEADERS, ROWS, width=10)[1].startswith("churn   ● running  long")


def test_the_state_alone_is_coloured() -> None:
    lines = layout(HEADERS, ROWS, width=80, colour=True)
    assert "\x1b[32m● running\x1b[0m" in lines[1]
    assert "\x1b" not in lines[0]


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour()
    monkeypatch.delenv("NO_COLOR")
    assert wants_colour()


def test_what_others_wrote_cannot_command_the_terminal() -> None:
    assert layout(["A"], [["\x1b[31mred\x9b2J\x07 a\nb \u202egpj.exe"]], width=None)[1] == "�[31mred�2J� a b �gpj.exe"
