"""`conda` as sessions have it: the real program, with a session's own key, against a control plane on a port."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from server.environments.test_conda import channel, run, settings
from studiolo.engines.tools import offer_tools
from studiolo.server.app import create_app
from studiolo.server.services import Services
from studiolo.testing.fake_engine import FakeEngine

__all__ = ["channel", "settings"]

Conda = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
async def conda(
    ana: httpx.AsyncClient,
    churn: Path,
    services: Services,
    engine: FakeEngine,
    tmp_path: Path,
) -> AsyncIterator[Conda]:
    """Run the command as a terminal of a session of Ana's in `churn` would; returns its code, output and words."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(_under_its_name(services), log_level="error", access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    started = await ana.post("/api/v1/jupyter/sessions", json={"workspace": "churn"})
    assert started.status_code < 300, started.text
    async with asyncio.timeout(30):
        while not engine.workloads:
            await asyncio.sleep(0.01)
    (workload,) = engine.workloads.values()
    key = tmp_path / "key"
    key.write_text(str(workload.spec.api_key))
    variables = {
        "PATH": os.environ["PATH"],
        "STUDIOLO_URL": f"http://127.0.0.1:{listener.getsockname()[1]}",
        "STUDIOLO_WORKSPACE": "ana/churn",
        "STUDIOLO_KEY_FILE": str(key),
    }
    program = offer_tools(tmp_path) / "conda"

    async def call(*arguments: str, **more: str) -> tuple[int, str, str]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdout=pipe, stderr=pipe, env=variables | more
        )
        out, err = await process.communicate()
        return await process.wait(), out.decode(), err.decode()

    yield call
    server.should_exit = True
    await serving
    listener.close()


def _under_its_name(services: Services) -> Callable[..., Awaitable[None]]:
    """Return the application as it is behind a front door, which passes on by what name it was asked."""
    app, host = create_app(services), services.settings.address.partition("://")[2].encode()

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = [(name, host if name == b"host" else value) for name, value in scope.get("headers", ())]
        await app({**scope, "headers": headers}, receive, send)

    return answer


@pytest.mark.req("S0-57")
async def test_packages_of_a_trusted_channel_are_installed_with_what_they_need(conda: Conda, churn: Path) -> None:
    code, out, err = await conda("install", "-y", "-c", "conda-forge", "plot=1.5", "tool")

    assert code == 0, err
    assert {line.split()[0] for line in out.splitlines() if "installed" in line} == {"draw", "plot", "python", "tool"}
    assert "restart kernels" in out
    assert run(churn, "python", "-c", "import plot; print(plot.version)") == "1.5"


@pytest.mark.req("S0-57")
async def test_a_channel_that_is_not_trusted_is_refused_with_what_to_do(conda: Conda, churn: Path) -> None:
    code, out, err = await conda("install", "-c", "https://elsewhere.test/evil", "plot")

    assert (code, out) == (1, "Looking for versions that fit\n")
    assert "'https://elsewhere.test/evil' is not trusted here" in err
    assert "ask an administrator" in err
    assert not (churn / "conda-meta").exists()


async def test_a_blocked_package_is_refused_with_the_command_that_asks_for_it(conda: Conda) -> None:
    code, _, err = await conda("install", "fetch")

    assert code == 1
    assert "requests is blocked" in err
    assert "studiolo request churn requests" in err


async def test_what_is_there_is_listed_and_removed(conda: Conda) -> None:
    assert (await conda("install", "-q", "tool=1.0"))[0] == 0
    _, listed, _ = await conda("list")
    assert [line.split()[:2] for line in listed.splitlines()] == [["tiny", "1.0"], ["tool", "1.0"]]

    code, out, err = await conda("remove", "tool")
    assert (code, err) == (0, "")
    assert "removed" in out
    _, listed, _ = await conda("list", "--json", "tool")
    assert json.loads(listed) == []


async def test_a_search_tells_versions_and_what_the_policy_says(conda: Conda) -> None:
    code, found, err = await conda("search", "--json", "tool")
    assert code == 0, err
    assert [(one["version"], one["channel"], one["verdict"]) for one in json.loads(found)] == [
        ("2.0", "conda-forge", "allow"),
        ("1.0", "conda-forge", "allow"),
    ]
    _, blocked, _ = await conda("search", "requests")
    assert "requests is blocked" in blocked
    assert (await conda("search", "nothing-like-it"))[0] == 1


async def test_a_dry_run_changes_nothing(conda: Conda, churn: Path) -> None:
    code, out, err = await conda("install", "--dry-run", "plot")

    assert code == 0, err
    assert {line.split()[0] for line in out.splitlines()} == {"draw", "plot", "python"}
    assert not (churn / "conda-meta").exists()


@pytest.mark.parametrize("word", ["create", "activate", "env", "config"])
async def test_what_it_does_not_know_is_said_with_a_way_out(conda: Conda, word: str) -> None:
    code, _, err = await conda(word, "-n", "other", "numpy")

    assert code == 1
    assert "A workspace has one environment" in err


@pytest.mark.parametrize("spec", ["numpy=1.26=py311_0", "./numpy-1.0-0.conda", "-r", "https://elsewhere.test/a"])
async def test_what_names_no_package_is_refused(conda: Conda, spec: str) -> None:
    assert (await conda("install", spec))[0] != 0


async def test_outside_a_session_it_says_where_it_works(conda: Conda) -> None:
    code, _, err = await conda("list", STUDIOLO_KEY_FILE="")

    assert code == 1
    assert "sessions of Studiolo only" in err


async def test_a_real_conda_comes_first(tmp_path: Path) -> None:
    folder = offer_tools(tmp_path)

    assert (folder / "conda").read_text().count(sys.executable) == 1
    assert os.access(folder / "conda", os.X_OK)
