"""What a workspace installs, sees and may do is its own; the platform, the base and other workspaces stay as they are."""

import json
import zipfile
from collections import ChainMap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import jupyterlab
import pytest
from websockets.sync.client import connect

from e2e.conftest import Platform
from e2e.kernels import channels, execute, start_kernel
from studiolo.kit.crypto import MasterKey
from studiolo.server.sessions.secrets import SessionSecrets
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

W, S = "/api/v1/jupyter/workspaces", "/api/v1/jupyter/sessions"
# Asks the platform as a program in a session would; prints status and body of each request.
ASK = """
import json, os, pathlib, urllib.request
def ask(path):
    key = pathlib.Path(os.environ['STUDIOLO_KEY_FILE']).read_text()
    request = urllib.request.Request(os.environ['STUDIOLO_URL'] + path, headers={'Authorization': 'Bearer ' + key})
    try:
        with urllib.request.urlopen(request) as reply:
            return [reply.status, json.load(reply)]
    except urllib.error.HTTPError as error:
        return [error.code, json.load(error)]
"""


@dataclass
class Workspace:
    """A workspace with a running session."""

    client: httpx.Client
    name: str
    id: str
    session: str
    environment: Path

    def run(self, code: str) -> str:
        """Run code in a new kernel; returns what it printed."""
        with channels(self.client, self.session, start_kernel(self.client, self.session)) as socket:
            return execute(socket, code, timeout=120).strip()

    def has(self, package: str) -> bool:
        """Whether a new kernel can import the package."""
        return self.run(f"import importlib.util; print(importlib.util.find_spec({package!r}) is not None)") == "True"

    def restart(self) -> None:
        """Restart the session."""
        again = self.client.post(f"{S}/{self.session}/restart", params={"wait": 60}).json()
        assert again["state"] == "running", again


def make_workspace(platform: Platform, client: httpx.Client, name: str) -> Workspace:
    workspace = client.post(W, json={"name": name}).json()["id"]
    session = client.post(S, json={"workspace": name}, params={"wait": 60}).json()
    assert session["state"] == "running", session
    return Workspace(client, name, workspace, session["id"], platform.data_dir / "environments" / workspace)


@pytest.fixture(scope="module")
def pair(platform: Platform) -> Iterator[tuple[Workspace, Workspace]]:
    client = platform.client()
    both = make_workspace(platform, client, "apart-one"), make_workspace(platform, client, "apart-two")
    yield both
    for workspace in both:
        client.delete(f"{W}/{workspace.id}", params={"stop_sessions": "true"})


def write_wheel(folder: Path, name: str) -> Path:
    """Build the smallest wheel there can be."""
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "answer = 42\n")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return wheel


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of all files below."""
    found = ((path, path.lstat()) for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found if not path.is_dir()}


def the_platforms_own(platform: Platform) -> dict[str, tuple[int, int]]:
    """The state of the default environment and of what JupyterLab runs from."""
    bases = [state_of(base) for base in (platform.data_dir / "environments").glob("base-*")]
    packages = Path(jupyterlab.__file__).parents[1]
    records = {str(path): (0, path.stat().st_mtime_ns) for path in packages.glob("*.dist-info/RECORD")}
    return dict(ChainMap(*bases)) | state_of(packages / "jupyterlab") | records


def test_installs_stay_in_their_workspace(
    platform: Platform, pair: tuple[Workspace, Workspace], tmp_path: Path
) -> None:
    one, other = pair
    before = the_platforms_own(platform)
    shell, magic = write_wheel(tmp_path, "by_shell"), write_wheel(tmp_path, "by_magic")
    with channels(one.client, one.session, start_kernel(one.client, one.session)) as socket:
        execute(socket, f"!pip install -q --no-index {shell}")
        assert execute(socket, "import by_shell; print(by_shell.answer)").strip() == "42"
        execute(socket, f"%pip install -q --no-index {magic}")
        assert execute(socket, "import by_magic; print(by_magic.answer)").strip() == "42"
    assert not any(other.has(name) for name in ("by_shell", "by_magic"))
    one.restart()
    assert all(one.has(name) for name in ("by_shell", "by_magic"))
    platform.run("down")
    platform.up()
    wait_for(lambda: one.client.get(f"{S}/{one.session}").json()["state"] == "running", "the session is there again")
    assert one.run("import by_shell, by_magic; print('both')") == "both"
    assert not any(other.has(name) for name in ("by_shell", "by_magic"))
    assert the_platforms_own(platform) == before


def test_another_version_of_a_shared_package_changes_one_workspace(
    platform: Platform, pair: tuple[Workspace, Workspace]
) -> None:
    one, other = pair
    before, version = the_platforms_own(platform), "import packaging; print(packaging.__version__)"
    theirs = other.run(version)
    assert theirs != "24.0"
    one.run("!pip install -q packaging==24.0 humanize")
    assert one.run(version) == "24.0"
    assert one.run("import humanize; print(humanize.intcomma(1234567))") == "1,234,567"
    assert other.run(version) == theirs
    assert the_platforms_own(platform) == before


def test_a_terminal_lives_in_the_workspace(pair: tuple[Workspace, Workspace]) -> None:
    one, _ = pair
    name = one.client.post(f"/s/{one.session}/api/terminals").json()["name"]
    address = str(one.client.base_url).rstrip("/").replace("http", "ws", 1)
    headers = {"Authorization": one.client.headers["Authorization"]}
    command = "command -v python pip; pwd; echo $VIRTUAL_ENV; echo e''nd"
    printed = ""
    with connect(f"{address}/s/{one.session}/terminals/websocket/{name}", additional_headers=headers) as socket:
        socket.send(json.dumps(["stdin", f"{command}\r"]))
        while "end\r\n" not in printed:
            kind, *text = json.loads(socket.recv(20))
            printed += text[0] if kind == "stdout" else ""
    folder = one.client.get(f"{W}/{one.id}").json()["path"]
    for line in (one.environment / "bin" / "python", one.environment / "bin" / "pip", folder, one.environment):
        assert f"{line}\r\n" in printed, printed


@pytest.mark.req("S3-23")
def test_a_session_sees_its_own_workspace_alone(pair: tuple[Workspace, Workspace]) -> None:
    one, other = pair
    paths = [W, f"{W}/{other.name}", f"{S}/{other.session}", f"{S}?all=true", "/api/v1/me/keys", "/api/v1/people"]
    seen = [
        json.loads(line) for line in one.run(f"{ASK}\nfor path in {paths}: print(json.dumps(ask(path)))").splitlines()
    ]
    assert [status for status, _ in seen] == [200, 404, 404, 200, 403, 403]
    assert [workspace["id"] for workspace in seen[0][1]["items"]] == [one.id]
    assert {session["workspace"]["id"] for session in seen[3][1]["items"]} == {one.id}


def test_the_key_of_a_session_ends_with_it(pair: tuple[Workspace, Workspace]) -> None:
    one, _ = pair
    key = one.run("import os, pathlib; print(pathlib.Path(os.environ['STUDIOLO_KEY_FILE']).read_text())")
    bearer = {"Authorization": f"Bearer {key}"}
    assert one.client.get(W, headers=bearer).status_code == 200
    for verb in ("restart", "stop"):
        one.client.post(f"{S}/{one.session}/{verb}", params={"wait": 60})
        assert one.client.get(W, headers=bearer).json()["code"] == "key-invalid"
    one.client.post(f"{S}/{one.session}/start", params={"wait": 60})


def test_the_secret_of_a_session_lies_nowhere(platform: Platform, pair: tuple[Workspace, Workspace]) -> None:
    one, _ = pair
    launch = one.client.get(f"{S}/{one.session}").json()["launch"]
    master = MasterKey((platform.data_dir / "secrets" / "master.key").read_bytes())
    secret = SessionSecrets(master).of_launch(one.session, launch)
    one.client.post(f"/s/{one.session}/api/terminals")
    # The kernel looks at itself and at everything that this account could show it, its memory apart.
    places = [str(platform.data_dir / "sessions"), str(platform.data_dir / "people"), "{runtime}", "{folder}"]
    found = one.run(
        "import os, pathlib\n"
        f"secret = {secret[:10]!r}.encode() + {secret[10:]!r}.encode()\n"
        "process = [p for d in pathlib.Path('/proc').glob('[0-9]*') for p in (d / 'environ', d / 'cmdline')]\n"
        f"places = [p.format(runtime=os.environ['JUPYTER_RUNTIME_DIR'], folder=os.getcwd()) for p in {places}]\n"
        "files = [f for p in places for f in pathlib.Path(p).rglob('*') if f.is_file()]\n"
        "def holds(path):\n"
        "    try:\n"
        "        return secret in path.read_bytes()\n"
        "    except OSError:\n"
        "        return False\n"
        "print(len(process) > 10, len(files) > 3, [str(p) for p in process + files if holds(p)])"
    )
    assert found == "True True []"
