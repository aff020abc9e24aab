"""Interpreters of this machine, found by the real installer."""

import subprocess
import sys
from pathlib import Path

import pytest

from studiolo.contract.details import EnvironmentConfig
from studiolo.contract.errors import InvalidInput
from studiolo.server.environments.interpreters import Interpreter, Interpreters

RUNNING = ".".join(map(str, sys.version_info[:3]))


@pytest.fixture
def interpreters() -> Interpreters:
    return Interpreters("")


@pytest.mark.parametrize("wanted", ["3", ".".join(RUNNING.split(".")[:2]), RUNNING])
async def test_the_running_one_is_the_default(interpreters: Interpreters, wanted: str) -> None:
    assert await interpreters.choose(wanted) == ""


async def test_what_is_found_runs_and_is_what_it_says(interpreters: Interpreters) -> None:
    found = await interpreters.list_found()
    assert RUNNING in [one.name for one in found]
    for one in found:
        said = subprocess.check_output([one.path, "-c", "import platform; print(platform.python_version())"], text=True)
        assert said.strip() == one.name


async def test_an_other_default_is_chosen_by_its_version() -> None:
    assert Path(await Interpreters("/usr/bin/python3").choose(RUNNING)).exists()


@pytest.mark.req("S0-17")
async def test_one_that_is_not_there_lists_those_found(interpreters: Interpreters) -> None:
    with pytest.raises(InvalidInput, match=r"Python 3\.99 was not found on this machine") as caught:
        await interpreters.choose("3.99")
    assert RUNNING in caught.value.extra["candidates"]
    assert "uv python install 3.99" in str(caught.value.hint)


async def test_one_too_old_for_the_shipped_environment_says_so() -> None:
    interpreters = Interpreters("/usr/bin/python3", oldest=(4,))
    with pytest.raises(InvalidInput, match=r"is older than 4, which notebooks need") as caught:
        await interpreters.choose(RUNNING)
    assert caught.value.extra["candidates"] == []


async def test_versions_are_compared_by_their_parts(
    interpreters: Interpreters, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(not_older_than: float) -> list[Interpreter]:
        return [Interpreter((3, 110, 0), "/no"), Interpreter((3, 100, 2), "/b"), Interpreter((3, 100, 1), "/a")]

    monkeypatch.setattr(interpreters, "list_found", look)
    assert await interpreters.choose("3.100") == "/b"
    assert await interpreters.choose("3.100.1") == "/a"


async def test_the_latest_jupyter_is_the_one_that_there_is(interpreters: Interpreters) -> None:
    settled = await interpreters.settle(EnvironmentConfig(jupyter_version="latest"))
    assert settled.jupyter_version is not None
    assert await interpreters.settle(settled) == settled
    major = settled.jupyter_version.partition(".")[0]
    assert (await interpreters.settle(EnvironmentConfig(jupyter_version=major))).jupyter_version != major
