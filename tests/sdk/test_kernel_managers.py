"""Users of jupyter_client with kernels elsewhere: unmodified tools, one websocket, everything once and in order."""

import asyncio
import contextlib
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.blocking.client import BlockingKernelClient

from sdk.cutting_proxy import CuttingProxy
from studiolo.contract.errors import NotFound, Unavailable
from studiolo.kernels import (
    BlockingWebsocketKernelClient,
    BlockingWebsocketKernelManager,
    WebsocketKernelClient,
    WebsocketKernelManager,
)
from studiolo.sdk.kernel_channels import KernelAddress, KernelChannels
from studiolo.sdk.kernels.place import find_place

SECONDS = 30


@pytest.fixture(scope="module")
def url(kernel_service: int) -> str:
    return f"http://127.0.0.1:{kernel_service}"


@pytest.fixture(scope="module")
def proxy(kernel_service: int) -> Iterator[CuttingProxy]:
    with CuttingProxy(kernel_service) as cutting:
        yield cutting


@contextlib.asynccontextmanager
async def started(
    url: str, *, start: dict[str, Any] | None = None, **given: Any
) -> AsyncIterator[tuple[WebsocketKernelManager, AsyncKernelClient]]:
    manager = WebsocketKernelManager(url=url, **given)
    await manager.start_kernel(**(start or {}))
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=SECONDS)
        yield manager, client
    finally:
        client.stop_channels()
        await manager.shutdown_kernel()


async def output_of(client: AsyncKernelClient, code: str, **more: Any) -> str:
    written: list[str] = []

    def note(message: dict[str, Any]) -> None:
        content = message["content"]
        written.append(content.get("text", "") or content.get("data", {}).get("text/plain", ""))

    await client.execute_interactive(code, output_hook=note, timeout=SECONDS, **more)
    return "".join(written)


async def has_run(url: str, kernel_id: str, request: str) -> bool:
    """Tell whether a kernel is through with a request, by a way of its own."""
    journal = await find_place(url).ask("GET", f"kernels/{kernel_id}/journal?after=0")
    return any(
        entry.get("parent") == request and entry["message"]["content"].get("execution_state") == "idle"
        for entry in journal["entries"]
    )


@pytest.mark.req("S1-13", "S1-18", "S4-63")
async def test_a_kernel_elsewhere_is_used_like_one_here(url: str) -> None:
    async with started(url) as (manager, client):
        assert await output_of(client, "print('here'); 6 * 7") == "here\n42"
        answered = await client.complete("imp", reply=True, timeout=SECONDS)
        assert "import" in answered["content"]["matches"]
        reply = client.input
        assert await output_of(client, "print(input('who? '))", stdin_hook=lambda asked: reply("ana")) == "ana\n"
        assert await client.is_alive()
        assert await manager.is_alive()
        assert manager.kernel_spec.language == "python"
    assert not await manager.is_alive()


async def test_interrupt_and_restart_keep_the_clients(url: str) -> None:
    async with started(url) as (manager, client):
        sent = client.execute("import time; kept = 1\nwhile True: time.sleep(0.01)")
        while (await client.get_iopub_msg(timeout=SECONDS))["msg_type"] != "execute_input":
            pass
        await manager.interrupt_kernel()
        reply = await client._recv_reply(sent, timeout=SECONDS)
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        before = manager.kernel_id
        await manager.restart_kernel()
        await client.wait_for_ready(timeout=SECONDS)
        assert await output_of(client, "print('kept' in globals())") == "False\n"
        assert manager.kernel_id == before


@pytest.mark.req("S1-13")
async def test_output_over_a_connection_that_is_cut_comes_once_and_in_order(proxy: CuttingProxy) -> None:
    async with started(proxy.url) as (_, client):
        lines = 3000
        code = f"import time\nfor n in range({lines}):\n    print(n, flush=True)\n    n % 100 or time.sleep(0.02)"
        cut_at = {"200\n", "900\n", "1700\n", "2600\n"}
        written: list[str] = []

        def note(message: dict[str, Any]) -> None:
            text = message["content"].get("text", "")
            written.append(text)
            if text in cut_at:
                proxy.cut()

        before = proxy.connections
        reply = await client.execute_interactive(code, output_hook=note, timeout=60)
        assert reply["content"]["status"] == "ok"
        assert "".join(written) == "".join(f"{n}\n" for n in range(lines))
        assert proxy.connections - before >= 3


@pytest.mark.parametrize("lost", ["up", "down"])
async def test_a_request_runs_once_whether_it_or_its_reply_was_lost(proxy: CuttingProxy, url: str, lost: str) -> None:
    async with started(proxy.url) as (manager, client):
        await output_of(client, "runs = 0")
        proxy.lose(lost)
        try:
            sent = client.execute("runs += 1")
            while not proxy.lost or (lost == "down" and not await has_run(url, manager.kernel_id, sent)):
                await asyncio.sleep(0.01)
        finally:
            proxy.lose("")
            proxy.cut()
        reply = await client._recv_reply(sent, timeout=SECONDS)
        assert reply["content"]["status"] == "ok"
        assert (await output_of(client, "print(runs)")).endswith("1\n")


async def test_while_the_service_is_away_the_kernel_counts_as_alive_until_patience_ends(proxy: CuttingProxy) -> None:
    async with started(proxy.url, patience_seconds=0.5) as (manager, client):
        proxy.accepts = False
        proxy.cut()
        try:
            assert await manager.is_alive()
            message: dict[str, Any] = {}
            while message.get("msg_type") != "status" or message["content"]["execution_state"] != "dead":
                message = await client.get_iopub_msg(timeout=SECONDS)
            assert not await manager.is_alive()
        finally:
            proxy.accepts = True


async def test_who_attaches_later_gets_the_output_that_there_was(url: str) -> None:
    async with started(url) as (manager, client):
        await output_of(client, "print('before anybody else came')")
        late = WebsocketKernelClient(url=url, kernel_id=manager.kernel_id, after=0)
        late.start_channels()
        try:
            text = ""
            while "before anybody" not in text:
                text += (await late.get_iopub_msg(timeout=SECONDS))["content"].get("text", "")
            assert late.last is not None
            assert await late.is_alive()
            assert await output_of(late, "1 + 1") == "2"
        finally:
            late.stop_channels()


async def test_a_manager_that_attached_leaves_the_kernel_running(url: str) -> None:
    async with started(url) as (manager, client):
        other = WebsocketKernelManager(url=url)
        await other.attach_kernel(manager.kernel_id)
        await other.shutdown_kernel()
        assert await output_of(client, "print('still here')") == "still here\n"
        with pytest.raises(NotFound):
            await other.attach_kernel("00000000-0000-4000-8000-000000000000")


def test_programs_that_block_have_manager_and_client_too(url: str) -> None:
    manager = BlockingWebsocketKernelManager(url=url)
    manager.start_kernel()
    client = BlockingWebsocketKernelClient(url=url, kernel_id=manager.kernel_id)
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
        reply = client.execute_interactive("1 / 0", output_hook=lambda message: None, timeout=SECONDS)
        assert reply["content"]["ename"] == "ZeroDivisionError"
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    assert not manager.is_alive()


async def test_a_manager_has_one_kernel_after_another_and_is_not_ready_while_one_ends(url: str) -> None:
    manager = WebsocketKernelManager(url=url)
    for _ in range(2):
        await manager.start_kernel()
        first = manager.kernel_id
        await manager.start_kernel()
        assert await find_place(url).find(first) is None
        before = manager.ready
        assert before.done()
        ending = asyncio.create_task(manager.shutdown_kernel())
        while manager.ready is before:
            await asyncio.sleep(0)
        assert not manager.ready.done()
        await ending
        assert manager.ready.done()
    assert manager.context.closed
    async with started(url) as (running, _):
        other = WebsocketKernelManager(url=url)
        await other.attach_kernel(running.kernel_id)
        await other.shutdown_kernel()
        assert other.ready.done()


def test_a_process_that_was_forked_has_kernels_as_its_parent_has(url: str) -> None:
    # Children inherit their parent's loop, and of its threads none.
    code = """if True:
        import sys
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        from studiolo.kernels import BlockingWebsocketKernelManager

        def run(number):
            manager = BlockingWebsocketKernelManager(url=sys.argv[1])
            manager.start_kernel()
            client = manager.client()
            client.start_channels()
            try:
                client.wait_for_ready(timeout=30)
                return client.execute(str(number), reply=True, timeout=30)["content"]["status"]
            finally:
                client.stop_channels()
                manager.shutdown_kernel()

        run(0)
        with ProcessPoolExecutor(2, get_context("fork")) as pool:
            print(*pool.map(run, range(4)))
        """
    named = url.replace("127.0.0.1", "localhost")
    done = subprocess.run([sys.executable, "-c", code, named], capture_output=True, text=True, timeout=120)
    assert done.stdout == "ok ok ok ok\n", done.stderr


async def test_the_service_is_told_where_the_client_is_and_where_it_wants_its_kernel(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tmp_path / "wanted"
    monkeypatch.chdir(tmp_path)
    for start, expected in (({}, tmp_path), ({"cwd": "wanted"}, wanted), ({"cwd": wanted}, wanted)):
        async with started(url, start=start) as (_, client):
            assert await output_of(client, "import os; print(os.environ['KERNEL_WORKING_DIR'])") == f"{expected}\n"


def notebook(folder: Path) -> Path:
    made = nbformat.v4.new_notebook()
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    sources = ("total = 1", "for n in range(200): print(n, flush=True)", "total + 41")
    made.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(made, folder / "in.ipynb")
    return folder / "in.ipynb"


def outputs(executed: Any) -> tuple[str, str]:
    return "".join(output.text for output in executed.cells[1].outputs), executed.cells[2].outputs[0].data["text/plain"]


@pytest.mark.req("S1-13")
def test_nbclient_executes_a_notebook_through_it(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("STUDIOLO_URL", url)
    client = NotebookClient(
        nbformat.read(notebook(tmp_path), 4), timeout=SECONDS, kernel_manager_class=WebsocketKernelManager
    )
    assert outputs(client.execute()) == ("".join(f"{n}\n" for n in range(200)), "42")


def test_nbclient_says_that_the_kernel_died_also_where_cells_may_fail(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    monkeypatch.setenv("STUDIOLO_URL", url)
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell("import os; os._exit(3)"), nbformat.v4.new_code_cell("print('on')")]
    client = NotebookClient(
        made, timeout=SECONDS, allow_errors=True, kernel_manager_class=WebsocketKernelManager, kernel_name="python3"
    )
    with pytest.raises(DeadKernelError):
        client.execute()


async def test_whoever_waits_for_a_dead_kernel_hears_of_it(url: str) -> None:
    async with started(url) as (manager, client):
        reply = await client.execute("import os; os._exit(3)", reply=True, timeout=SECONDS)
        assert reply["content"]["ename"] == "DeadKernelError"
        assert not await manager.is_alive()


def test_papermill_executes_a_notebook_through_it(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import papermill

    monkeypatch.setenv("STUDIOLO_URL", url)
    executed = papermill.execute_notebook(
        notebook(tmp_path),
        tmp_path / "out.ipynb",
        progress_bar=False,
        kernel_manager_class=WebsocketKernelManager,
    )
    assert outputs(executed) == ("".join(f"{n}\n" for n in range(200)), "42")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for this machine and its key, in one file."""
    file = tmp_path / "cert.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    argv += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", "-"]
    made = subprocess.run(argv, capture_output=True, check=True)
    file.write_bytes(file.read_bytes() + made.stdout)
    return file


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_over_tls_only_whom_this_machine_trusts_gets_the_key(
    kernel_service: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with CuttingProxy(kernel_service, tls=context) as tls:
        with pytest.raises(Unavailable) as caught:
            await WebsocketKernelManager(url=tls.url, key="secret").start_kernel()
        assert caught.value.code == "certificate-unusable"
        monkeypatch.setenv("STUDIOLO_CA_FILE", str(certificate))
        async with started(tls.url) as (_, client):
            assert await output_of(client, "print('sealed')") == "sealed\n"


async def test_what_cannot_be_reached_says_so() -> None:
    with pytest.raises(Unavailable) as caught:
        await WebsocketKernelManager(url="http://127.0.0.1:9").start_kernel()
    assert caught.value.code == "kernel-unreachable"


async def test_channels_of_a_kernel_that_is_not_there_are_refused(url: str) -> None:
    address = KernelAddress(f"{url}/", "00000000-0000-4000-8000-000000000000")
    with pytest.raises(NotFound):
        async with KernelChannels(address):
            pass


async def test_a_request_that_is_too_large_is_answered_and_others_go_on(url: str) -> None:
    async with started(url) as (_, client):
        code = f"big = '{'x' * (17 << 20)}'"
        reply = await client.execute_interactive(code, output_hook=lambda message: None, timeout=SECONDS)
        assert "16 MiB" in reply["content"]["evalue"]
        assert await output_of(client, "print('on')") == "on\n"


@pytest.mark.req("S4-64")
def test_a_connection_file_of_it_serves_programs_that_know_nothing_else(url: str, tmp_path: Path) -> None:
    manager = BlockingWebsocketKernelManager(url=url, connection_file=str(tmp_path / "kernel.json"))
    manager.start_kernel()
    try:
        manager.write_connection_file()
        written = json.loads((tmp_path / "kernel.json").read_text())
        ports = {f"{channel}_port" for channel in ("shell", "iopub", "stdin", "control", "hb")}
        assert written.keys() >= ports | {"ip", "transport", "key", "signature_scheme"}
        assert written["signature_scheme"] == "hmac-sha256"
        client = BlockingKernelClient(connection_file=str(tmp_path / "kernel.json"))
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=SECONDS)
        reply = client.execute("1", reply=True, timeout=SECONDS)
        assert reply["content"]["status"] == "ok"
        client.stop_channels()
    finally:
        manager.shutdown_kernel()


@pytest.mark.req("S4-45")
async def test_executions_are_counted_and_begin_anew_with_a_restart(url: str) -> None:
    async with started(url) as (manager, client):
        counts = [(await client.execute("1", reply=True, timeout=SECONDS))["content"]["execution_count"] for _ in "ab"]
        silent = await client.execute("1", silent=True, reply=True, timeout=SECONDS)
        assert (counts, silent["content"]["execution_count"]) == ([1, 2], 2)
        await manager.restart_kernel()
        await client.wait_for_ready(timeout=SECONDS)
        again = await client.execute("1", reply=True, timeout=SECONDS)
        assert again["content"]["execution_count"] == 1
