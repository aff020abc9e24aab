"""A backup of a platform that runs is a platform: restored elsewhere it starts, and people find what they had."""

from collections.abc import Callable
from pathlib import Path

import pytest

from base_environments import give_base, small_lock
from e2e.conftest import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_backed_up_while_it_ran_starts_elsewhere(make_platform: Callable[..., Platform]) -> None:
    first = make_platform("one")
    first.up()
    made = first.json("create", "churn", "--description", "Who leaves")
    (Path(made["path"]) / "notebooks" / "data.csv").write_text("1,2\n")
    first.run("start", "churn")
    backup = first.json("backup", str(first.folder / "to"))
    # Once more through the platform itself.
    through = first.json("backups", "start", "--wait")
    assert (through["workspaces"], through["people"]) == (backup["workspaces"], backup["people"]) == (1, 1)
    files = content(Path(made["path"]))
    first.down()
    second = make_platform("two")
    second.run("restore", backup["folder"], "--data-dir", str(second.folder / "restored"))
    second.data_dir = second.folder / "restored"
    second.variables["STUDIOLO_DATA_DIR"] = str(second.data_dir)
    # It would be built again otherwise.
    give_base(second.data_dir, small_lock())
    second.up()
    found = second.json("info", "churn")
    assert (found["id"], found["description"]) == (made["id"], "Who leaves")
    assert found["path"].startswith(str(second.data_dir))
    assert content(Path(found["path"])) == files
    # The session that ran is over, and nobody waits for it.
    assert second.run("exec", "churn", "--", "echo", "here").stdout == "here\n"
    again = second.run("restore", backup["folder"], "--data-dir", str(second.data_dir), check=False)
    assert (again.returncode, "holds something already" in again.stderr) == (6, True)
