"""Folders of an environment are opened over no link, by one call where the system has it."""

import os
from pathlib import Path

import pytest

from studiolo.packages.installed import handles
from studiolo.packages.installed.handles import opened, opened_below


@pytest.fixture(params=["at once", "one by one"])
def top(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with folders, a file and a link in it."""
    if request.param == "one by one":
        monkeypatch.setattr(handles, "_open_at_once", lambda top, names: -1)
    (tmp_path / "one/two").mkdir(parents=True)
    (tmp_path / "one/file").touch()
    (tmp_path / "link").symlink_to("one")
    return tmp_path


@pytest.mark.parametrize("names", [(), ("one",), ("one", "two")])
def test_a_folder_below_is_opened_and_closed(top: Path, names: tuple[str, ...]) -> None:
    with opened(top) as here, opened_below(here, names) as below:
        assert os.path.samestat(os.fstat(below), top.joinpath(*names).stat())
        assert not os.get_inheritable(below)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(below)


@pytest.mark.parametrize("names", [("link",), ("link", "two"), ("one", "file"), ("absent", "two")])
def test_links_files_and_what_is_not_there_are_refused(top: Path, names: tuple[str, ...]) -> None:
    with opened(top) as here, pytest.raises(OSError), opened_below(here, names):
        pass
