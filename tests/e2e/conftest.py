"""Whole platforms: real processes and sockets, one browser, everything under the test's own folder."""

import contextlib
import functools
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import command_lines
from base_environments import give_base, small_lock
from studiolo.contract.errors import StudioloError
from studiolo.server.commands.down import down
from studiolo.testing.ports import free_port
from studiolo.testing.waiting import is_gone, wait_for

BIN = Path(sys.executable).parent
_W = "/api/v1/jupyter/workspaces"


def fresh(name: str) -> str:
    """Return a name that nobody and nothing on the shared platform has: workspaces go with their test, people stay."""
    return f"{name}-{secrets.token_hex(3)}"


class Platform:
    """A platform started by `studiolo up`, on a data directory of its own; `lock`: of its default environment."""

    def __init__(self, folder: Path, port: int | None = None, lock: Path | None = None, **variables: str) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.port = port or free_port()
        self.address = f"http://localhost:{self.port}"
        self._clients: list[httpx.Client] = []
        self.variables = os.environ | {
            "STUDIOLO_DATA_DIR": str(self.data_dir),
            "STUDIOLO_PORT": str(self.port),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "NO_COLOR": "1",
            **variables,
        }
        if lock is not None:
            self.variables["STUDIOLO_ENVIRONMENTS__LOCK_FILE"] = str(lock)
        give_base(self.data_dir, lock)

    def run(self, *words: str, check: bool = True, program: str = "studiolo") -> subprocess.CompletedProcess[str]:
        """Run the command line as its user would."""
        done = command_lines.run(program, words, variables=self.variables, folder=self.folder)
        if check and done.returncode:
            raise AssertionError(f"{program} {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def up(self) -> str:
        """Start it in the background; returns what was printed."""
        done = self.run("up", "--detach")
        return done.stdout + done.stderr

    def down(self) -> None:
        """Stop it and its sessions, as `studiolo down --stop-sessions` does, but without a new interpreter."""
        for client in self._clients:
            client.close()
        if "STUDIOLO_DATABASE_URL" in self.variables:
            # This process does not have it in its environment.
            self.run("down", "--stop-sessions", check=False)
            return
        # In a thread: the browser's event loop may run in this one.
        with ThreadPoolExecutor(1) as pool, contextlib.suppress(StudioloError):
            pool.submit(down, data_dir=self.data_dir, stop_sessions=True).result()

    def json(self, *words: str) -> Any:
        """Run a command with --json."""
        return json.loads(self.run(*words, "--json").stdout)

    def client(self) -> httpx.Client:
        """A client with a key of the administrator; closed with the platform."""
        key = self.run("keys", "create", "--name", "test", "--quiet").stdout.strip()
        self._clients.append(
            httpx.Client(base_url=self.address, headers={"Authorization": f"Bearer {key}"}, timeout=60)
        )
        return self._clients[-1]

    @contextlib.contextmanager
    def tidied(self, *, only_failed: bool = False) -> Iterator[None]:
        """Delete the workspaces that the block makes, as it ends or (`only_failed`) if it fails."""
        before = self._workspaces()
        try:
            yield
        except BaseException:
            self._delete(self._workspaces() - before)
            raise
        if not only_failed:
            self._delete(self._workspaces() - before)

    def _workspaces(self) -> set[str]:
        # A part of it may have been killed a moment ago.
        self.wait_up()
        return {one["id"] for one in self._operator.get(_W, params={"all": "true", "limit": 200}).json()["items"]}

    def _delete(self, workspaces: set[str]) -> None:
        for workspace in workspaces:
            self._operator.delete(f"{_W}/{workspace}", params={"stop_sessions": "true"}).raise_for_status()

    @functools.cached_property
    def _operator(self) -> httpx.Client:
        return self.client()

    def is_up(self) -> bool:
        """Whether the API answers."""
        try:
            return httpx.get(f"{self.address}/api/v1/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def part(self, words: str) -> psutil.Process:
        """The process of a part: the supervisor's child whose command line holds `words`.

        Shims and spares of a fork server that was killed are the supervisor's children too, under their own names.
        """
        found = self._parts(words)
        assert len(found) == 1, (words, found)
        return found[0]

    def wait_for_another(self, words: str, killed: psutil.Process) -> None:
        """Wait until a part that was killed has been started again."""
        wait_for(lambda: {p.pid for p in self._parts(words)} - {killed.pid}, f"{words} is started again")

    def _parts(self, words: str) -> list[psutil.Process]:
        return [p for p in self.supervisor().children() if _is_part(p, words)]

    def supervisor(self) -> psutil.Process:
        """The supervisor's process."""
        return psutil.Process(json.loads((self.data_dir / "platform.json").read_text())["pid"])

    def kill(self, process: psutil.Process) -> None:
        """kill -9, and wait until it is gone."""
        process.send_signal(signal.SIGKILL)
        wait_for(lambda: is_gone(process), "the kill")

    def wait_up(self) -> None:
        """Wait until the API answers."""
        wait_for(self.is_up, "the API answers")


def _is_part(process: psutil.Process, words: str) -> bool:
    try:
        return words in " ".join(process.cmdline()) and not process.name().startswith("studiolo-")
    except psutil.NoSuchProcess:
        return False


def sign_in_cookie(platform: Platform, person: str = "admin") -> httpx.Cookies:
    """Sign in as a browser at the bare address, by the link that the terminal prints; returns its cookies."""
    link = platform.json("sign-in-link", person)["url"].partition("link=")[2]
    origin = f"http://127.0.0.1:{platform.port}"
    with httpx.Client(base_url=origin, headers={"Origin": origin}) as browser:
        reply = browser.post("/sign-in/link", data={"link": link, "next": "/"})
        assert reply.status_code == 303, reply.text
        return httpx.Cookies(browser.cookies)


@pytest.fixture
def make_platform(tmp_path: Path) -> Iterator[Callable[..., Platform]]:
    """Make platforms for one test; they are stopped with their sessions after it.

    Their default environment is a small one; `lock=None`: the shipped one.
    """
    made: list[Platform] = []

    def make(name: str = "one", **options: Any) -> Platform:
        folder = tmp_path / name
        folder.mkdir()
        made.append(Platform(folder, **{"lock": small_lock(), **options}))
        return made[-1]

    yield make
    for platform in made:
        platform.down()


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One platform for all tests that leave it as they found it (their workspaces apart)."""
    # A channel that a test serves there while it needs it.
    conda = {"STUDIOLO_PACKAGES__CONDA_CHANNELS": json.dumps({"conda-forge": f"http://127.0.0.1:{free_port()}/forge"})}
    shared = Platform(tmp_path_factory.mktemp("platform"), lock=small_lock(), **conda)
    shared.up()
    yield shared
    shared.down()


@pytest.fixture(autouse=True)
def tidied(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test leaves no workspace on the shared platform, so that it can run again there under the same names."""
    if "platform" not in request.fixturenames:
        yield
        return
    with request.getfixturevalue("platform").tidied():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Nor does a fixture of a file that fails; what it makes otherwise is its own to delete."""
    if fixturedef.scope != "module" or "platform" not in fixturedef.argnames:
        return (yield)
    with request.getfixturevalue("platform").tidied(only_failed=True):
        return (yield)


@pytest.fixture
def restored(platform: Platform) -> Iterator[Platform]:
    """The shared platform, for a test that brings it down: it is up again afterwards, whatever happened."""
    yield platform
    if not platform.is_up():
        platform.up()
