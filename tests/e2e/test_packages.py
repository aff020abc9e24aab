"""Real tools in notebooks and terminals of a real platform: each asks our index, and reads why it is refused."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import ClientConnection

from e2e.conftest import BIN, Platform
from e2e.kernels import channels, execute, start_kernel
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

# Loads from the machine's own index, on a loaded machine.
SECONDS = 240.0
NOTICE = "Ask:     ml jupyter request packages requests"


@dataclass(frozen=True)
class Lab:
    """A running session of the workspace `packages`, with one kernel of it."""

    platform: Platform
    client: httpx.Client
    id: str
    session: str
    socket: ClientConnection

    def run(self, code: str) -> str:
        """Run a cell and return what it printed."""
        return execute(self.socket, code, timeout=SECONDS)

    def in_terminal(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as in a terminal of the session; errors are among the output."""
        return subprocess.run(
            [BIN / "studiolo", "exec", "packages", "--", "sh", "-c", f"{command} 2>&1"],
            env=self.platform.variables,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def installed(self) -> set[str]:
        """Names and versions of what the workspace's environment holds."""
        environment = self.platform.data_dir / "environments" / self.id
        return {info.stem for info in environment.glob("lib/python3*/site-packages/*.dist-info")}


@pytest.fixture(scope="module")
def lab(platform: Platform) -> Iterator[Lab]:
    platform.run("create", "packages")
    client = platform.client()
    session = platform.json("start", "packages")["id"]
    with channels(client, session, start_kernel(client, session)) as socket:
        yield Lab(platform, client, platform.json("info", "packages")["id"], session, socket)
    platform.run("stop", "packages", check=False)
    platform.run("delete", "packages", "--yes")


@pytest.mark.req("S0-56")
def test_what_the_guide_installs_is_checked_and_installs(lab: Lab) -> None:
    said = lab.run("!pip install --progress-bar off numpy pandas scikit-learn")
    assert f"Looking in indexes: http://127.0.0.1:{lab.platform.port}/pypi/simple/" in said
    assert lab.run("import numpy, pandas, sklearn; print(int(numpy.arange(4).sum()))") == "6\n"


@pytest.mark.req("S0-58")
def test_pip_list_lists_the_workspaces_packages(lab: Lab) -> None:
    listed = lab.run("!pip list")
    assert "ipykernel" in listed
    assert "jupyterlab " not in listed


@pytest.mark.parametrize(
    ("cell", "module"),
    [
        ("!pip install six", "six"),
        ("%pip install colorama", "colorama"),
        ("!uv pip install humanize", "humanize"),
    ],
)
def test_what_a_cell_installs_can_be_imported_in_the_same_kernel_at_once(lab: Lab, cell: str, module: str) -> None:
    lab.run(cell)
    assert lab.run(f"import {module}; print({module}.__name__)") == f"{module}\n"


@pytest.mark.req("S0-51", "S0-52")
@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("!pip install requests", "requests"),
        ("%pip install urllib3", "urllib3"),
        ("!uv pip install requests", "requests"),
        ("!python -m pip install -q 'Requests[socks]==2.32.3'", "requests"),
        ("%%bash\npip install requests || true", "requests"),
    ],
)
def test_a_blocked_package_is_refused_with_rule_and_next_step(lab: Lab, cell: str, name: str) -> None:
    before = lab.installed()
    said = lab.run(cell)
    assert f"/pypi/denied/BLOCKED-{name}--run--ml-jupyter-request-packages-{name}/" in said
    assert f"Refused: {name}" in said
    assert f"Rule:    blocked_packages: {name}" in said
    assert f"Ask:     ml jupyter request packages {name}   or   {lab.platform.address}/w/{lab.id}/request?" in said
    assert lab.installed() == before


@pytest.mark.parametrize("tool", ["pip", "uv pip"])
def test_what_needs_a_blocked_package_is_not_silently_downgraded(lab: Lab, tool: str) -> None:
    before = lab.installed()
    assert NOTICE in lab.run(f"!{tool} install requests-toolbelt")
    assert lab.installed() == before


def test_other_cells_and_commands_are_as_they_were(lab: Lab) -> None:
    assert lab.run("def run(word):\n    !echo $word\nrun('inner')").strip() == "inner"
    assert lab.run("!exit 3\nprint(_exit_code)") == "3\n"
    assert lab.run("print('/pypi/denied/BLOCKED-a--run--ml-jupyter-request-w-a/a-1.tar.gz')").count("\n") == 1


def test_an_isolated_pip_asks_our_index_too(lab: Lab) -> None:
    assert "/pypi/denied/BLOCKED-requests" in lab.in_terminal("pip --isolated install requests").stdout


@pytest.mark.parametrize("tool", ["pip", "uv pip"])
def test_a_terminal_installs_and_is_refused_alike(lab: Lab, tool: str) -> None:
    assert lab.in_terminal(f"{tool} install tomli && python -c 'import tomli'").returncode == 0
    refused = lab.in_terminal(f"{tool} install requests")
    assert refused.returncode != 0
    assert "ml-jupyter-request-packages-requests" in refused.stdout
    assert lab.in_terminal(f"{tool} uninstall {'-y ' if tool == 'pip' else ''}tomli").returncode == 0


@pytest.mark.req("S0-67")
def test_what_a_refusal_says_to_type_asks_with_the_sessions_own_key(lab: Lab) -> None:
    asked = lab.in_terminal("ml jupyter request packages requests --for 'our API'")
    assert asked.returncode == 0, asked.stdout
    (waiting,) = lab.platform.json("requests")
    assert (waiting["name"], waiting["workspace"]["id"]) == ("requests", lab.id)
    lab.platform.run("requests", "withdraw", waiting["id"])
    # It is this workspace's key, and knows of no other.
    lab.platform.run("create", "packages-too")
    elsewhere = lab.in_terminal("ml jupyter request packages-too requests")
    assert elsewhere.returncode != 0
    assert "Did you mean" not in elsewhere.stdout


@pytest.mark.parametrize(("wanted", "is_refused"), [("iniconfig", False), ("requests", True)])
def test_a_script_with_its_own_dependencies_is_judged(lab: Lab, wanted: str, is_refused: bool) -> None:
    script = f"# /// script\n# dependencies = ['{wanted}']\n# ///\nimport {wanted}\nprint('r' + 'an')\n"
    done = lab.in_terminal(f"printf %s {shlex.quote(script)} > script.py; uv run script.py")
    assert (done.returncode != 0, "ran" not in done.stdout) == (is_refused, is_refused)
    assert ("ml-jupyter-request-packages-requests" in done.stdout) == is_refused


@pytest.fixture(scope="module")
def poetry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real poetry, in a virtual environment of its own."""
    folder = tmp_path_factory.mktemp("poetry")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin/pip", "install", "-q", "poetry>=2.2"], check=True, timeout=SECONDS)
    return folder / "bin/poetry"


def test_poetry_asks_the_source_that_its_project_names(lab: Lab, poetry: Path) -> None:
    start = f"mkdir -p project && cd project && {poetry} init -n --name project --python '>=3.11' && "
    source = f"{poetry} source add --priority=primary studiolo $PIP_INDEX_URL"
    assert lab.in_terminal(start + source).returncode == 0
    added = lab.in_terminal(f"cd project && {poetry} add -n pluggy && python -c 'import pluggy'")
    assert added.returncode == 0, added.stdout
    refused = lab.in_terminal(f"cd project && {poetry} add -n requests")
    assert refused.returncode != 0
    assert "ml-jupyter-request-packages-requests" in refused.stdout


def _ask(lab: Lab, login: tuple[str, str]) -> int:
    return httpx.get(f"http://127.0.0.1:{lab.platform.port}/pypi/simple/six/", auth=login, timeout=60).status_code


def _credential(run: Callable[[str], str]) -> tuple[str, str]:
    """Read what a workload signs in with, as its tools do."""
    host = "os.environ['STUDIOLO_INDEX'].partition('//')[2].partition(':')[0]"
    found = run(
        "import os, netrc, json, stat; file = os.environ['NETRC']\n"
        f"entry = netrc.netrc(file).authenticators({host})\n"
        "print(json.dumps([entry[0], entry[2], stat.S_IMODE(os.stat(file).st_mode)]))"
    )
    name, key, mode = json.loads(found)
    assert mode == 0o600
    return name, key


def test_a_kernel_without_a_session_installs_with_a_key_that_dies_with_it(lab: Lab) -> None:
    kernel = lab.client.post(f"/w/{lab.id}/api/kernels", json={"name": "python3"}).json()["id"]
    with channels(lab.client, "", kernel, place=f"/w/{lab.id}") as socket:
        assert NOTICE in execute(socket, "!pip install requests", timeout=SECONDS)
        execute(socket, "!pip install typing-inspection", timeout=SECONDS)
        assert execute(socket, "import typing_inspection; print('here')", timeout=SECONDS) == "here\n"
        own = _credential(lambda code: execute(socket, code, timeout=SECONDS))
    assert _ask(lab, own) == 200
    assert lab.client.delete(f"/w/{lab.id}/api/kernels/{kernel}").status_code == 204
    wait_for(lambda: _ask(lab, own) == 401, "the kernel's key is dead", seconds=60)


def test_after_the_session_its_key_is_dead(lab: Lab) -> None:
    own = _credential(lab.run)
    assert _ask(lab, own) == 200
    assert _ask(lab, (own[0], f"{own[1]}x")) == 401
    lab.platform.run("stop", "packages")
    wait_for(lambda: _ask(lab, own) == 401, "the session's key is dead", seconds=60)
