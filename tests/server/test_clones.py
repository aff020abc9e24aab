"""A repository is cloned with a token that stays nowhere, from where the platform may connect to and nowhere else."""

import base64
import http.server
import logging
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.conftest import eventually
from studiolo.contract.errors import InvalidInput
from studiolo.kit.egress import is_outside, resolve_outside
from studiolo.server.services import Services
from studiolo.server.settings import Settings
from studiolo.server.settings.egress import EgressSettings
from studiolo.server.workspaces.cloned import put as put_clone
from studiolo.server.workspaces.git import read_source

W = "/api/v1/jupyter/workspaces"
TOKEN = "s3cr3t/t0ken@x"
WITHIN = timedelta(seconds=60)


class Server(http.server.ThreadingHTTPServer):
    """Repositories over git's plain protocol; `private/` needs the token. `seen`: paths; `hold`: answers wait."""

    def __init__(self, folder: Path) -> None:
        self.seen: list[str] = []
        self.hold = threading.Event()
        self.hold.set()
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(folder))

            def do_GET(self) -> None:
                outer.seen.append(self.path)
                outer.hold.wait(60)
                wanted = "Basic " + base64.b64encode(f"ana:{TOKEN}".encode()).decode()
                if self.path.startswith("/private") and self.headers.get("Authorization") != wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="git"')
                    self.end_headers()
                elif self.path.startswith("/moved"):
                    self.send_response(302)
                    self.send_header("Location", self.path.replace("/moved", "/open"))
                    self.end_headers()
                else:
                    super().do_GET()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server_port}"


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("git")

    def git(*args: str | Path) -> None:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        name = ("-c", "user.name=Ana", "-c", "user.email=ana@example.com", "-c", "init.defaultBranch=main")
        subprocess.run(["git", *name, *args], check=True, capture_output=True, env=environment)

    work = folder / "work"
    git("init", work)
    (work / "train.py").write_text("print(1)\n")
    git("-C", work, "add", ".")
    git("-C", work, "commit", "-m", "First")
    git("-C", work, "branch", "other")
    for place in ("open", "private"):
        bare = folder / "www" / place / "study.git"
        git("clone", "--bare", work, bare)
        git("-C", bare, "update-server-info")
    return folder / "www"


@pytest.fixture
def server(repositories: Path) -> Iterator[Server]:
    with Server(repositories) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.hold.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def settings(tmp_path: Path, server: Server) -> Settings:
    egress = EgressSettings(allow=[server.address])
    return Settings(data_dir=tmp_path / "data", port=28888, run_dir=tmp_path / "run", egress=egress)


async def cloned(client: httpx.AsyncClient, **form: str) -> tuple[Path, dict[str, Any]]:
    """Create a workspace with a clone; return its folder and how that ended."""
    made = await client.post(W, json={"name": "study", "clone": form})
    assert made.status_code == 201, made.text

    async def is_over() -> bool:
        return bool((await client.get(f"{W}/study/clone")).json()["state"] != "running")

    await eventually(is_over, WITHIN)
    return Path(made.json()["path"]), (await client.get(f"{W}/study/clone")).json()


async def test_a_private_repository_is_cloned_and_its_token_stays_nowhere(
    ana: httpx.AsyncClient, server: Server, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"http://{server.address}/private/study.git"
    folder, progress = await cloned(ana, url=url, username="ana", token=TOKEN)
    assert (progress["state"], progress["folder"]) == ("done", "study"), progress
    assert (folder / "study" / "train.py").read_text() == "print(1)\n"
    assert f"url = {url}\n" in (folder / "study" / ".git" / "config").read_text()
    assert list((folder / ".studiolo" / "parts").iterdir()) == []
    assert list((settings.data_dir / "clones").iterdir()) == []
    kept = b"".join(path.read_bytes() for path in settings.data_dir.rglob("*") if path.is_file())
    said = caplog.text + (await ana.get(f"{W}/study/activity")).text + str(progress)
    for spelled in (TOKEN, TOKEN.replace("/", "%2F").replace("@", "%40")):
        assert spelled.encode() not in kept
        assert spelled not in said


async def test_a_branch_is_cloned_and_a_missing_one_said(ana: httpx.AsyncClient, server: Server) -> None:
    url = f"http://{server.address}/open/study.git"
    folder, progress = await cloned(ana, url=url, branch="other")
    assert (folder / "study" / ".git" / "HEAD").read_text() == "ref: refs/heads/other\n", progress
    again = await ana.post(f"{W}/study/clone", json={"url": url})
    assert (again.status_code, again.json()["code"]) == (409, "clone-exists")


@pytest.mark.parametrize(
    ("path", "form", "said"),
    [
        ("/open/study.git", {"branch": "none"}, "no such branch"),
        ("/open/other.git", {}, "no such repository"),
        ("/private/study.git", {}, "needs a sign-in"),
        ("/private/study.git", {"username": "ana", "token": "wrong"}, "did not accept the token"),
        ("/moved/study.git", {}, "sends elsewhere"),
    ],
)
async def test_a_failure_says_why_and_leaves_nothing(
    ana: httpx.AsyncClient, server: Server, path: str, form: dict[str, str], said: str
) -> None:
    folder, progress = await cloned(ana, url=f"http://{server.address}{path}", **form)
    assert progress["state"] == "failed"
    assert said in progress["message"]
    assert sorted(entry.name for entry in folder.iterdir()) == [".studiolo", "notebooks"]


async def test_a_clone_is_cancelled_and_leaves_nothing(ana: httpx.AsyncClient, server: Server) -> None:
    server.hold.clear()
    url = f"http://{server.address}/open/study.git"
    made = (await ana.post(W, json={"name": "study", "clone": {"url": url}})).json()

    async def is_asked() -> bool:
        return bool(server.seen)

    await eventually(is_asked, WITHIN)
    assert (await ana.post(f"{W}/study/clone", json={"url": url})).json()["code"] == "clone-running"
    assert (await ana.delete(f"{W}/study/clone")).status_code == 204
    assert (await ana.get(f"{W}/study/clone")).json()["state"] == "cancelled"
    assert not (Path(made["path"]) / "study").exists()
    assert (await ana.delete(f"{W}/study/clone")).json()["code"] == "clone-not-found"


async def test_what_a_restart_cut_off_is_said(ana: httpx.AsyncClient, server: Server, services: Services) -> None:
    server.hold.clear()
    url = f"http://{server.address}/open/study.git"
    await ana.post(W, json={"name": "study", "clone": {"url": url}})

    async def is_asked() -> bool:
        return bool(server.seen)

    await eventually(is_asked, WITHIN)
    await services.clones.close()
    services.clones._jobs.clear()
    told = (await ana.get(f"{W}/study/clone")).json()
    assert (told["state"], told["url"]) == ("interrupted", url)
    server.hold.set()
    assert (await ana.post(f"{W}/study/clone", json={"url": url})).status_code == 202


async def test_git_works_where_the_people_of_the_workspace_cannot_write(
    ana: httpx.AsyncClient, server: Server, settings: Settings
) -> None:
    server.hold.clear()
    url = f"http://{server.address}/open/study.git"
    made = (await ana.post(W, json={"name": "study", "clone": {"url": url}})).json()

    async def is_begun() -> bool:
        return bool(list(settings.data_dir.glob("clones/*/clone/.git/config")))

    await eventually(is_begun, WITHIN)
    assert not list(Path(made["path"]).rglob(".git"))
    assert [path.stat().st_mode & 0o077 for path in (settings.data_dir / "clones").iterdir()] == [0]


def test_a_clone_comes_from_another_disk(tmp_path: Path) -> None:
    if tmp_path.stat().st_dev == Path("/dev/shm").stat().st_dev:
        pytest.skip("this machine has one disk")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        (Path(name) / "clone").mkdir()
        (Path(name) / "clone/train.py").write_text("print(1)")
        put_clone(Path(name), tmp_path, "study")
    assert (tmp_path / "study/train.py").read_text() == "print(1)"
    assert not (tmp_path / ".studiolo/parts/clone").exists()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:1/open/study.git", "clone-failed"),
        ("https://127.0.0.1/open/study.git", "egress-refused"),
        ("https://localhost/study.git", "egress-refused"),
        ("https://no-such-host.invalid/study.git", "egress-refused"),
        ("https://169.254.169.254/latest.git", "egress-refused"),
        ("file:///etc/study.git", "clone-failed"),
        ("ssh://git@example.com/study.git", "clone-failed"),
        ("git@example.com:team/study.git", "clone-failed"),
        ("https://ana:secret@example.com/study.git", "clone-failed"),
        ("ext::sh -c touch% /tmp/x", "clone-failed"),
        ("--upload-pack=touch /tmp/x", "clone-failed"),
        ("https://example.com/..", "clone-failed"),
    ],
)
async def test_other_addresses_are_refused_before_anything_is_made(ana: httpx.AsyncClient, url: str, code: str) -> None:
    refused = await ana.post(W, json={"name": "never", "clone": {"url": url}})
    assert (refused.status_code, refused.json()["code"]) == (422, code), refused.text
    assert (await ana.get(f"{W}/never")).status_code == 404
    assert "secret" not in refused.text


def test_inside_addresses_are_known_in_all_their_spellings() -> None:
    inside = ("127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "100.64.0.1", "::1")
    inside += ("fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "255.255.255.255")
    assert [address for address in inside if is_outside(address)] == []
    assert is_outside("93.184.216.34")
    assert is_outside("2606:4700:4700::1111")


async def test_an_opened_host_is_open_at_its_port_only() -> None:
    assert await resolve_outside("127.0.0.1", 8443, ["127.0.0.1:8443"]) == "127.0.0.1"
    with pytest.raises(InvalidInput):
        await resolve_outside("127.0.0.1", 8444, ["127.0.0.1:8443"])


def test_a_clone_is_named_as_git_would() -> None:
    source = read_source("https://example.com/team/polars-cookbook.git/", [])
    assert (source.folder, source.port) == ("polars-cookbook", 443)
