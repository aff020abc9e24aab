"""What of the machine reaches a session, and what wins."""

from pathlib import Path

import pytest

from studiolo.engines.base import WorkloadSpec
from studiolo.engines.variables import session_variables

MACHINE = {
    "HOME": "/home/ana",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin",
    "HTTPS_PROXY": "http://proxy:3128",
    "PIP_DEFAULT_TIMEOUT": "60",
    "PIP_INDEX_URL": "https://index.example",
    "PIP_FIND_LINKS": "/opt/wheels",
    "UV_INDEX_MINE_PASSWORD": "of the platform",
    "STUDIOLO_DATABASE_URL": "postgresql://user:password@db/x",
    "AWS_SECRET_ACCESS_KEY": "aws",
    "PYTHONPATH": "/platform",
    "VIRTUAL_ENV": "/platform/venv",
    "NOTIFY_SOCKET": "/run/notify",
    "JUPYTER_TOKEN": "token",
}


def _variables(**variables: str) -> dict[str, str]:
    spec = WorkloadSpec(
        "s-1",
        3,
        Path("/w"),
        Path("/e"),
        "/s/s-1/",
        secret="hidden-secret",
        platform_url="http://localhost:8888",
        api_key="hidden-key",
        variables=variables,
    )
    return session_variables(
        spec, run_folder=Path("/r"), private_folder=Path("/d/jupyter"), tools=Path("/t"), machine=MACHINE
    )


def test_what_programs_need_of_the_machine_is_passed_on() -> None:
    found = _variables()
    assert {name: found[name] for name in ("HOME", "LC_ALL", "HTTPS_PROXY", "PIP_DEFAULT_TIMEOUT")} == {
        name: MACHINE[name] for name in ("HOME", "LC_ALL", "HTTPS_PROXY", "PIP_DEFAULT_TIMEOUT")
    }


@pytest.mark.parametrize(
    "name",
    [
        *("STUDIOLO_DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "NOTIFY_SOCKET", "JUPYTER_TOKEN"),
        *("PIP_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX_MINE_PASSWORD"),
    ],
)
def test_the_platforms_own_is_not(name: str) -> None:
    assert name not in _variables()


def test_the_workspaces_environment_comes_first_and_the_platforms_tools_last() -> None:
    assert _variables()["PATH"] == "/e/bin:/usr/bin:/t"
    assert _variables(PATH="/opt/bin")["PATH"] == "/e/bin:/opt/bin:/t"
    assert _variables()["VIRTUAL_ENV"] == "/e"


def test_the_workspaces_variables_win_over_the_machines_and_the_default_places() -> None:
    found = _variables(HOME="/w", JUPYTER_CONFIG_DIR="/elsewhere")
    assert (found["HOME"], found["JUPYTER_CONFIG_DIR"]) == ("/w", "/elsewhere")
    assert found["JUPYTER_DATA_DIR"] == "/d/jupyter/data"


def test_nothing_wins_over_what_makes_the_session_this_session() -> None:
    found = _variables(STUDIOLO_SESSION="s-other", STUDIOLO_LAUNCH="s-other.1", JUPYTER_RUNTIME_DIR="/x")
    assert found["STUDIOLO_SESSION"] == "s-1"
    assert found["STUDIOLO_LAUNCH"] == "s-1.3"
    assert found["JUPYTER_RUNTIME_DIR"] == "/r"


def test_they_hold_no_secret() -> None:
    assert "hidden" not in str(_variables())
    assert _variables()["STUDIOLO_KEY_FILE"] == "/r/key"


def test_our_index_is_asked_past_a_proxy() -> None:
    assert _variables(STUDIOLO_INDEX="http://127.0.0.1:8888")["NO_PROXY"] == "127.0.0.1"
    assert "NO_PROXY" not in _variables()
