"""conda packages in environments of workspaces, from a channel made on the spot."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from environments.simple_index import SimpleIndex
from packages.conda.channels import index as index_channel
from packages.conda.channels import make_package, make_python, python_module
from server.conftest import People
from server.environments.conftest import W, ended, install
from server.test_permission_matrix import as_browser
from studiolo.server.services import Services
from studiolo.server.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the channel is for Linux")


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[str]:
    """`plot` needs `draw` and Python; `tool` nothing; `fetch` needs `requests`; `leaf-base` brings PyPI's `leaf`."""
    folder = tmp_path / "conda-forge"
    make_python(folder)
    for name, needs in (("plot", ["draw"]), ("draw", []), ("fetch", ["requests"]), ("requests", [])):
        make_package(folder, name, "1.5", noarch="python", depends=["python", *needs], files=python_module(name, "1.5"))
    make_package(folder, "leaf-base", "1.5", noarch="python", depends=["python"], files=python_module("leaf", "1.5"))
    make_package(folder, "leaf", "1.5", depends=["leaf-base"])
    for version in ("1.0", "2.0"):
        program = f"#!/placeholder-prefix/bin/python\nprint('tool {version}')\n"
        make_package(folder, "tool", version, files={"bin/tool": program})
    await index_channel(folder)
    app = web.Application()
    app.router.add_static("/conda-forge", folder)
    server = TestServer(app)
    await server.start_server()
    yield f"http://127.0.0.1:{server.port}/conda-forge"
    await server.close()


@pytest.fixture
def settings(settings: Settings, channel: str) -> Settings:
    """The channel under the name of one that is trusted by default."""
    packages = settings.packages.model_copy(update={"conda_channels": {"conda-forge": channel}})
    return settings.model_copy(update={"packages": packages})


def run(environment: Path, program: str, *arguments: str) -> str:
    """Return what a program of the environment prints."""
    done = subprocess.run([environment / "bin" / program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def _install(client: httpx.AsyncClient, *packages: str, **more: Any) -> dict[str, Any]:
    build = await install(client, *packages, ecosystem="conda", **more)
    assert build["state"] == "ready", build
    return build


async def _remove(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    reply = await client.post(f"{W}/churn/packages/remove", json={"packages": [name]})
    return await ended(client, reply.raise_for_status().json())


@pytest.mark.req("S0-61")
async def test_the_first_package_that_needs_python_makes_the_environment_a_prefix(
    ana: httpx.AsyncClient, churn: Path
) -> None:
    build = await _install(ana, "plot")

    assert {one["name"] for one in build["changes"]} == {"draw", "plot", "python"}
    code = "import sys, plot, draw, tiny; print(sys.prefix, plot.version, tiny.version)"
    assert run(churn, "python", "-c", code) == f"{churn} 1.5 1.0"
    assert not (churn / "pyvenv.cfg").exists()
    # What somebody edits in place is edited nowhere else.
    assert [path.stat().st_nlink for path in churn.glob("lib/python3*/site-packages/plot.py")] == [1]
    assert not (churn / "bin/python").resolve().is_relative_to(Path(sys.base_prefix))


async def test_a_tool_without_python_leaves_the_environment_its_own(ana: httpx.AsyncClient, churn: Path) -> None:
    await _install(ana, "tool==1.0")

    assert run(churn, "tool") == "tool 1.0"
    assert (churn / "pyvenv.cfg").exists()
    changed = await _install(ana, "tool>=1.0", upgrade=True)
    assert [(one["action"], one["version"], one["previous"]) for one in changed["changes"]] == [
        ("changed", "2.0", "1.0")
    ]
    assert run(churn, "tool") == "tool 2.0"


async def test_what_pip_installs_goes_on_top_and_its_programs_run(ana: httpx.AsyncClient, churn: Path) -> None:
    await _install(ana, "plot")
    build = await install(ana, "stem")

    assert build["state"] == "ready", build
    assert run(churn, "stem") == "1.0"
    assert run(churn, "python", "-c", "import stem, plot; print(plot.version)") == "1.5"


async def test_condas_package_takes_the_place_of_pips(ana: httpx.AsyncClient, churn: Path) -> None:
    await install(ana, "leaf")
    build = await _install(ana, "leaf")

    changes = {(one["ecosystem"], one["name"], one["action"]) for one in build["changes"]}
    assert {("pypi", "leaf", "removed"), ("conda", "leaf-base", "installed")} <= changes
    assert [path.name for path in churn.glob("lib/python3*/site-packages/leaf*.dist-info")] == ["leaf-1.5.dist-info"]
    assert run(churn, "python", "-c", "import leaf; print(leaf.version)") == "1.5"


async def test_a_prefix_goes_back_to_what_it_was(ana: httpx.AsyncClient, churn: Path) -> None:
    await _install(ana, "plot")
    undone = await ended(ana, (await ana.post(f"{W}/churn/environment/undo")).json())

    assert undone["state"] == "ready", undone
    assert not list(churn.glob("conda-meta/*.json"))
    assert run(churn, "python", "-c", "import sys, tiny; print(sys.prefix != sys.base_prefix)") == "True"
    again = await ended(ana, (await ana.post(f"{W}/churn/environment/rollback", json={"to": 2})).json())
    assert again["state"] == "ready", again
    assert run(churn, "python", "-c", "import plot; print(plot.version)") == "1.5"


async def test_a_package_is_removed_unless_another_needs_it(ana: httpx.AsyncClient, churn: Path) -> None:
    await _install(ana, "plot")
    refused = await _remove(ana, "draw")
    assert (refused["state"], "plot needs it" in refused["message"]) == ("failed", True)

    assert (await _remove(ana, "plot"))["state"] == "ready"
    assert not list(churn.glob("lib/python3*/site-packages/plot.py"))


@pytest.mark.req("S0-57")
@pytest.mark.parametrize("strange", ["evil", "https://elsewhere.test/evil"])
async def test_a_channel_that_is_not_trusted_is_refused_by_name(
    ana: httpx.AsyncClient, churn: Path, strange: str
) -> None:
    build = await install(ana, "plot", ecosystem="conda", channel=strange)

    assert (build["state"], build["code"]) == ("failed", "package-refused")
    assert f"{strange!r} is not trusted" in build["message"]


async def test_a_trusted_channel_may_be_named_by_its_address(ana: httpx.AsyncClient, churn: Path, channel: str) -> None:
    assert (await _install(ana, "tool", channel=f"{channel}/"))["state"] == "ready"


@pytest.mark.req("S0-20")
async def test_a_blocked_package_in_what_is_needed_refuses_the_whole(ana: httpx.AsyncClient, churn: Path) -> None:
    build = await install(ana, "fetch", ecosystem="conda")

    assert (build["state"], build["code"]) == ("failed", "package-refused")
    assert [(one["name"], one["path"]) for one in build["violations"]] == [("requests", ["fetch", "requests"])]
    assert not (churn / "conda-meta").exists()


async def test_what_no_channel_has_is_named(ana: httpx.AsyncClient, churn: Path) -> None:
    build = await install(ana, "nothing-like-it", ecosystem="conda")

    assert (build["state"], build["code"]) == ("failed", "package-unsolvable")
    assert "nothing-like-it" in build["message"]


@pytest.mark.req("S1-10")
async def test_an_environment_file_brings_packages_of_both_kinds(
    ana: httpx.AsyncClient, churn: Path, index: SimpleIndex
) -> None:
    text = "channels: [conda-forge, nodefaults]\ndependencies:\n  - python=3\n  - plot\n  - pip:\n      - stem\n"
    form = {"file": {"name": "environment.yml", "text": text}}
    reply = await ana.post(f"{W}/churn/packages", json=form)
    made = reply.json()
    for build in made if isinstance(made, list) else [made]:
        done = await ended(ana, build)
        assert done["state"] == "ready", done

    assert run(churn, "python", "-c", "import plot, stem; print(plot.version, stem.version)") == "1.5 1.0"


async def test_the_page_installs_by_conda_too(
    ana: httpx.AsyncClient, churn: Path, people: People, services: Services
) -> None:
    async with people.anonymous(await as_browser(services, "ana")) as browser:
        form = {"packages": "tool==1.0", "ecosystem": "conda"}
        reply = await browser.post(f"/w/{churn.name}/environment/install", data=form)
        assert reply.status_code == 303, reply.text

    build = await ended(ana, {"number": 2})
    assert (build["state"], build["wish"]) == ("ready", "Install tool==1.0 by conda")
