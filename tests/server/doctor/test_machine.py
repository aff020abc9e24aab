"""What doctor says of the machine."""

import os
from pathlib import Path

import pytest

from studiolo.runtime import cgroups, landlock
from studiolo.runtime.acting import is_possible
from studiolo.server.doctor.machine import check_accounts, check_builds, check_memory
from studiolo.server.settings import Settings
from studiolo.server.settings.local import LocalSettings


def test_doctor_says_of_memory_what_the_engine_will_find(tmp_path: Path) -> None:
    name = f"studiolo-test-doctor-{os.getpid()}"
    places = cgroups.find_places(name)
    for place in set(places.values()):
        cgroups.remove(place)
    result = check_memory(Settings(data_dir=tmp_path))
    assert ("as a whole (control groups)" in result.finding) is ("memory" in places)
    assert not [place for place in places.values() if place.exists()]
    assert not list(places["memory"].parent.glob("studiolo-doctor-*") if places else [])


def test_doctor_says_whether_builds_are_kept_in_their_environment(tmp_path: Path) -> None:
    result = check_builds(Settings(data_dir=tmp_path))
    version = landlock.find_version()
    assert (f"(Landlock {version})" in result.finding) is (version > 0)


@pytest.mark.skipif(not is_possible(), reason="only root of a Linux can give accounts")
def test_accounts_that_could_run_nothing_are_named_with_the_folder_that_is_closed(tmp_path: Path) -> None:
    assert check_accounts(Settings(data_dir=tmp_path)).status == "ok"
    base = tmp_path / "environments" / "base-closed" / "bin" / "python"
    base.parent.mkdir(parents=True)
    base.touch(0o700)
    result = check_accounts(Settings(data_dir=tmp_path, local=LocalSettings(accounts="on")))
    assert result.status == "fail"
    assert "local.accounts is on" in result.finding
    assert "/opt" in str(result.remedy)
