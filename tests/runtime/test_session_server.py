"""What a session's server answers, to whom, and with what in its kernels and terminals."""

import asyncio
import contextlib
import json
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import unix_connect
from websockets.exceptions import InvalidStatus

from studiolo.engines.base import Handle, Phase
from studiolo.engines.local.engine import LocalEngine
from studiolo.runtime import processes
from studiolo.runtime.launch import LaunchFiles, read_json
from studiolo.testing.fixtures import SECRET, LocalBench
from studiolo.testing.local import SessionClient, execute


@pytest.fixture
async def session(bench: LocalBench) -> Handle:
    """A ready session with a key of its own."""
    return await bench.start_ready(
        api_key="key-of-this-session",
        platform_url="http://127.0.0.1:9",
        variables={"STUDIOLO_WORKSPACE": "churn"},
    )


@pytest.fixture
def client(bench: LocalBench, session: Handle) -> SessionClient:
    """Speaks to the session as the front door does."""
    return bench.client(session)


@pytest.mark.parametrize(
    "path", ["lab", "", "tree", "api", "api/contents", "static/favicon.ico", "lab/api/settings", "metrics", "login"]
)
async def test_nothing_answers_without_the_secret(client: SessionClient, path: str) -> None:
    async with client.http(auth=None) as http:
        for headers in ({}, {"X-Studiolo-Secret": ""}, client.headers() | {"X-Studiolo-Secret": SECRET[:-1]}):
            reply = await http.get(path, headers=headers)
            assert reply.status_code == 403
            assert reply.text == "This session answers only through Studiolo. Open it from your workspace's page.\n"


async def test_two_secrets_in_one_request_are_refused(client: SessionClient) -> None:
    async with client.http(auth=None) as http:
        headers = [*client.headers().items(), ("X-Studiolo-Secret", "other")]
        assert (await http.get("api", headers=httpx.Headers(headers))).status_code == 403


async def test_a_secret_without_a_person_is_nobody(client: SessionClient) -> None:
    async with client.http(auth=None) as http:
        for person in ("", "no base64", "e30"):
            headers = client.headers() | {"X-Studiolo-Person": person}
            assert (await http.get("api/contents", headers=headers)).status_code in {302, 403}


async def test_websockets_need_the_secret(client: SessionClient) -> None:
    kernel_id = await client.start_kernel()
    with pytest.raises(InvalidStatus) as refusal:
        async with client.channels(kernel_id, auth=None):
            pass
    assert refusal.value.response.status_code == 403


async def test_a_websocket_of_nobody_whom_we_could_cut_off_is_refused(client: SessionClient) -> None:
    kernel_id = await client.start_kernel()
    headers = client.headers() | {"X-Studiolo-Login": ""}
    url = f"ws://localhost{client.base_url}api/kernels/{kernel_id}/channels"
    with pytest.raises(InvalidStatus) as refusal:
        async with unix_connect(str(client.socket), url, additional_headers=headers):
            pass
    assert refusal.value.response.status_code == 403


async def test_lab_knows_the_person_of_the_headers(client: SessionClient) -> None:
    async with client.http("login") as http:
        assert (await http.get("lab")).status_code == 200
        me = (await http.get("api/me")).json()["identity"]
    assert me["username"] == "p-0000000000000001"
    assert me["display_name"] == "Ana Ruiz"
    assert me["initials"] == "AR"


async def test_a_browser_proves_itself_by_xsrf_and_a_key_need_not(client: SessionClient) -> None:
    note = {"type": "file", "format": "text", "content": "hello"}
    async with client.http("login") as http:
        assert (await http.put("api/contents/a.txt", json=note)).status_code == 403
        await http.get("lab")
        xsrf = http.cookies["_xsrf"]
        reply = await http.put("api/contents/a.txt", json=note, headers={"X-XSRFToken": xsrf})
        assert reply.status_code == 201
    async with client.http("key") as http:
        assert (await http.put("api/contents/b.txt", json=note)).status_code == 201


async def test_its_cookies_stay_under_its_own_path(client: SessionClient) -> None:
    async with client.http("login") as http:
        cookies = (await http.get("lab")).headers.get_list("set-cookie")
    assert cookies
    assert all(f"Path={client.base_url}" in cookie for cookie in cookies)


async def test_contents_are_the_workspace(bench: LocalBench, client: SessionClient) -> None:
    (bench.workspace / "data.csv").write_text("a,b\n")
    async with client.http() as http:
        names = {entry["name"] for entry in (await http.get("api/contents")).json()["content"]}
        page = (await http.get("lab")).text
    assert names == {"data.csv", "notebooks"}
    assert '"preferredPath": "notebooks"' in page


async def test_the_only_python_is_the_workspaces(bench: LocalBench, client: SessionClient) -> None:
    async with client.http() as http:
        specs = (await http.get("api/kernelspecs")).json()
    assert set(specs["kernelspecs"]) == {"python3"}
    assert specs["default"] == "python3"
    assert specs["kernelspecs"]["python3"]["spec"]["argv"][0] == str(bench.environment / "bin" / "python")


async def test_a_kernel_runs_in_the_workspaces_environment(bench: LocalBench, client: SessionClient) -> None:
    kernel_id = await client.start_kernel("notebooks/work.ipynb")
    printed = await client.run(
        kernel_id,
        "import json, os, shutil, sys; "
        "print(json.dumps([sys.prefix, os.getcwd(), shutil.which('python'), dict(os.environ)]))",
    )
    prefix, cwd, python, variables = json.loads(printed)
    assert prefix == variables["VIRTUAL_ENV"] == str(bench.environment)
    assert cwd == str(bench.workspace / "notebooks")
    assert python == str(bench.environment / "bin" / "python")
    assert not {"PYTHONPATH", "PYTHONHOME"} & set(variables)


async def test_a_kernel_knows_the_platform_but_not_the_secret(
    bench: LocalBench, session: Handle, client: SessionClient
) -> None:
    kernel_id = await client.start_kernel()
    printed = await client.run(kernel_id, "import json, os; print(json.dumps(dict(os.environ)))")
    variables = json.loads(printed)
    assert variables["STUDIOLO_URL"] == "http://127.0.0.1:9"
    assert variables["STUDIOLO_WORKSPACE"] == "churn"
    assert variables["STUDIOLO_SESSION"] == session["workload_id"]
    key_file = Path(variables["STUDIOLO_KEY_FILE"])
    assert key_file.read_text() == "key-of-this-session"
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert SECRET not in printed


@pytest.mark.parametrize("bench", ["fork", "spawn"], indirect=True)
async def test_the_secret_is_in_no_file_argument_or_environment(
    bench: LocalBench, session: Handle, client: SessionClient
) -> None:
    await client.start_kernel()
    written = [*bench.data_dir.rglob("*"), *bench.sockets.rglob("*")]
    assert not [file for file in written if file.is_file() and SECRET.encode() in file.read_bytes()]
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("environ", "cmdline"):
            try:
                assert SECRET.encode() not in (process / name).read_bytes()
            except OSError:
                continue


async def test_nothing_of_the_platforms_own_variables_reaches_a_session(
    bench: LocalBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIOLO_DATABASE_URL", "postgresql://user:password@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws")
    client = bench.client(await bench.start_ready())
    variables = json.loads(
        await client.run(await client.start_kernel(), "import json, os; print(json.dumps(dict(os.environ)))")
    )
    assert not {"STUDIOLO_DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "NOTIFY_SOCKET"} & set(variables)


async def test_memory_is_taken_from_sessions_before_the_platform(
    bench: LocalBench, session: Handle, client: SessionClient
) -> None:
    kernel_id = await client.start_kernel()
    own_score = "print(open('/proc/self/oom_score_adj').read().strip())"
    assert await client.run(kernel_id, own_score) == f"{processes.WORK_OOM_SCORE}\n"
    shim = read_json(LaunchFiles(bench.files(session)).shim)
    assert shim is not None
    own = Path("/proc/self/oom_score_adj").read_text()
    assert Path(f"/proc/{shim['pid']}/oom_score_adj").read_text() == own


async def test_kernels_are_reached_by_private_sockets(
    bench: LocalBench, session: Handle, client: SessionClient
) -> None:
    kernel_id = await client.start_kernel()
    assert await client.run(kernel_id, "print(6 * 7)") == "42\n"
    run_folder = bench.sockets / f"{session['workload_id']}.1"
    assert run_folder.stat().st_mode & 0o777 == 0o700
    connection = json.loads((run_folder / f"kernel-{kernel_id}.json").read_text())
    assert connection["transport"] == "ipc"
    assert (run_folder / f"{Path(connection['ip']).name}-{connection['shell_port']}").is_socket()


async def test_a_kernel_can_be_interrupted_and_restarted(client: SessionClient) -> None:
    kernel_id = await client.start_kernel()
    async with client.channels(kernel_id) as connection, client.http() as http:
        await execute(connection, "x = 1")
        assert (await http.post(f"api/kernels/{kernel_id}/restart")).status_code == 200
    assert "not defined" in await client.run(kernel_id, "x")


async def test_a_terminal_has_the_environment_first_whatever_start_files_say(bench: LocalBench, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text("export PATH=/somewhere/first:$PATH\n")
    client = bench.client(await bench.start_ready(variables={"HOME": str(home), "SHELL": "/bin/bash"}))
    async with client.http() as http:
        name = (await http.post("api/terminals")).json()["name"]
    url = f"ws://localhost{client.base_url}terminals/websocket/{name}"
    async with unix_connect(str(client.socket), url, additional_headers=client.headers()) as terminal:
        await terminal.send(json.dumps(["stdin", "echo =$PATH= =$STUDIOLO_SESSION=\r"]))
        shown = ""
        while f"={bench.environment / 'bin'}:" not in shown.replace("\r\n", ""):
            kind, text = json.loads(await terminal.recv())[:2]
            shown += text if kind == "stdout" else ""


async def test_a_broken_jupyter_configuration_at_home_does_no_harm(bench: LocalBench, tmp_path: Path) -> None:
    (tmp_path / "home" / ".jupyter").mkdir(parents=True)
    (tmp_path / "home" / ".jupyter" / "jupyter_server_config.py").write_text("raise SystemExit('broken')")
    (tmp_path / "home" / ".jupyter" / "jupyter_lab_config.py").write_text("raise SystemExit('broken')")
    client = bench.client(await bench.start_ready(variables={"HOME": str(tmp_path / "home")}))
    async with client.http() as http:
        assert (await http.get("lab")).status_code == 200


async def test_lab_settings_are_kept_beside_the_session(
    bench: LocalBench, session: Handle, client: SessionClient
) -> None:
    setting = "lab/api/settings/@jupyterlab/apputils-extension:themes"
    async with client.http() as http:
        reply = await http.put(setting, json={"raw": '{"theme": "JupyterLab Dark"}'})
        assert reply.status_code == 204
    assert list((bench.files(session).parent / "jupyter" / "lab").rglob("*.jupyterlab-settings"))


async def test_lab_fetches_no_news_and_installs_no_extensions(client: SessionClient) -> None:
    async with client.http() as http:
        page = (await http.get("lab")).text
        update = (await http.get("lab/api/update")).json()
    assert '"@jupyterlab/apputils-extension:announcements"' in page.partition('"disabledExtensions"')[2]
    assert '"can_install": false' in page
    assert update["notification"] is None


async def test_the_session_holds_no_descriptor_of_the_fork_server(bench: LocalBench, session: Handle) -> None:
    known = read_json(LaunchFiles(bench.files(session)).shim)
    assert known is not None
    descriptors, files = Path(f"/proc/{known['session_pid']}/fd"), {""}
    # It may be reading a file of its own just now; what it inherited would stay.
    async with asyncio.timeout(30):
        while files != {"null", "server.log"}:
            with contextlib.suppress(FileNotFoundError):
                targets = {descriptor.readlink() for descriptor in descriptors.iterdir()}
                files = {target.name for target in targets if target.is_absolute()}
            await asyncio.sleep(0.05)


async def test_a_session_that_cannot_listen_is_never_called_ready(bench: LocalBench, run_dir: Path) -> None:
    long = run_dir / ("x" * 100)
    engine = LocalEngine(
        data_dir=bench.data_dir,
        session_sockets=long,
        fork_server_socket=bench.fork_server_socket,
        start_method="fork",
    )
    bench.engine = engine
    handle = await engine.start(bench.spec())
    seen = await bench.settle(handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason == "never-ready"
    assert "AF_UNIX path too long" in "\n".join(await engine.tail(handle, lines=50))


async def test_lab_settings_may_be_kept_elsewhere(bench: LocalBench, tmp_path: Path) -> None:
    places = {
        name: str(tmp_path / name) for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")
    }
    client = bench.client(await bench.start_ready(variables=places))
    async with client.http() as http:
        reply = await http.put(
            "lab/api/settings/@jupyterlab/apputils-extension:themes", json={"raw": '{"theme": "JupyterLab Dark"}'}
        )
        assert reply.status_code == 204
    assert list((tmp_path / "JUPYTERLAB_SETTINGS_DIR").rglob("*.jupyterlab-settings"))


async def test_a_session_whose_folder_is_missing_says_so(bench: LocalBench) -> None:
    handle = await bench.engine.start(bench.spec(folder=bench.data_dir / "absent"))
    seen = await bench.settle(handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason == "never-ready"
    log = await bench.engine.tail(handle, lines=20)
    assert len(log) == 1
    assert log[0].startswith("The session cannot run: [Errno 2] No such file or directory")


async def test_our_plug_in_is_answered_while_the_platform_is_away(client: SessionClient) -> None:
    async with client.http(auth="login") as http:
        await http.get("lab")
        form = {"tab": "1", "open": ["a.ipynb"]}
        proof = {"X-XSRFToken": http.cookies.get("_xsrf", "")}
        answer = (await http.post("studiolo/here", json=form, headers=proof)).json()
        assert [notice["id"] for notice in answer["notices"]] == ["platform"]
        assert (await http.post("studiolo/here", json=form)).status_code == 403
        for nonsense in ({}, {"tab": "1", "open": 3}, {"tab": "1", "do": "erase"}, {"tab": "x" * 100}):
            assert (await http.post("studiolo/here", json=nonsense, headers=proof)).status_code == 400


async def test_a_request_is_logged_by_the_platform_s_id_and_without_its_query(
    bench: LocalBench, session: Handle, client: SessionClient
) -> None:
    request_id = "123e4567-e89b-42d3-a456-426614174000"
    async with client.http() as http:
        reply = await http.get("api/contents/none.txt?secret=tell-nobody", headers={"X-Request-Id": request_id})
        assert reply.status_code == 404
    (line,) = [line for line in await bench.engine.tail(session, lines=20) if request_id in line]
    assert f"request status=404 method=GET path='{client.base_url}api/contents/none.txt'" in line
    assert "tell-nobody" not in line
