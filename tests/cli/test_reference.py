from pathlib import Path

from studiolo.cli.reference import reference
from studiolo.cli.table import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def test_the_reference_page_is_what_the_commands_say() -> None:
    """To mend: python -m studiolo.cli.reference > docs/reference/cli.md"""
    assert PAGE.read_text() == reference()


def test_the_reference_page_has_every_command() -> None:
    headings = [line.removeprefix("### ") for line in PAGE.read_text().splitlines() if line.startswith("### ")]
    assert headings == [entry.words for entry in COMMANDS]
