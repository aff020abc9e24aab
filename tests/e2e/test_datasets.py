"""A session of a real platform finds a dataset, by its variable and beside its notebooks."""

from pathlib import Path

import pytest

from e2e.conftest import Platform, fresh

pytestmark = pytest.mark.e2e


@pytest.mark.req("S2-17", "S2-34", "S2-35", "S4-68")
def test_a_program_in_a_session_reads_a_dataset(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "2026.csv").write_text("1,2\n")
    name = fresh("billing")
    platform.run("datasets", "add", name, str(tmp_path), "--everybody")
    made = platform.json("create", "reads-datasets")
    read = f'cat "$STUDIOLO_DATASETS/{name}/2026.csv"'
    by_variable = platform.run("exec", "reads-datasets", "--", "sh", "-c", read)
    assert by_variable.stdout == "1,2\n"
    assert (Path(made["path"]) / "datasets" / name / "2026.csv").read_text() == "1,2\n"
    platform.run("datasets", "remove", name, "--yes")
    gone = platform.run("exec", "reads-datasets", "--", "sh", "-c", 'ls "$STUDIOLO_DATASETS"')
    assert gone.stdout == ""
