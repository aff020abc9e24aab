"""A session of a real platform finds a dataset, by its variable and beside its notebooks."""

from pathlib import Path

import pytest

from e2e.conftest import Platform

pytestmark = pytest.mark.e2e


@pytest.mark.req("S2-34", "S2-35")
def test_a_program_in_a_session_reads_a_dataset(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "2026.csv").write_text("1,2\n")
    platform.run("datasets", "add", "billing", str(tmp_path), "--everybody")
    made = platform.json("create", "reads-datasets")
    by_variable = platform.run("exec", "reads-datasets", "--", "sh", "-c", 'cat "$STUDIOLO_DATASETS/billing/2026.csv"')
    assert by_variable.stdout == "1,2\n"
    assert (Path(made["path"]) / "datasets" / "billing" / "2026.csv").read_text() == "1,2\n"
    platform.run("datasets", "remove", "billing", "--yes")
    gone = platform.run("exec", "reads-datasets", "--", "sh", "-c", 'ls "$STUDIOLO_DATASETS"')
    assert gone.stdout == ""
    platform.run("delete", "reads-datasets", "--yes", "--stop-sessions")
