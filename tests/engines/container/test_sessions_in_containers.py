"""Sessions in containers of a real Podman, met as the front door, other programs and hostile members meet them."""

import asyncio
import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engines.container.bench import PATIENCE, Bench
from studiolo.contract.errors import InvalidInput
from studiolo.engines.base import Limits, Phase
from studiolo.engines.container.engine import ContainerEngine
from studiolo.runtime.acting import LOWEST, hand_over, is_possible, owner_of

pytestmark = [pytest.mark.engine, pytest.mark.engine_podman]
_MIB = 1024**2

# Fills /tmp, and says how much that took; then what else can be written to that is on a disk.
_FILL = """
import os
written = 0
try:
    with open('/tmp/full', 'wb', buffering=0) as file:
        while True:
            written += file.write(bytes(65536))
except OSError:
    os.remove('/tmp/full')
print(written)
for line in open('/proc/self/mountinfo'):
    place, kind = line.split()[4], line.split(' - ')[1].split()[0]
    if kind not in ('tmpfs', 'proc', 'sysfs', 'devpts', 'mqueue', 'cgroup') and os.access(place, os.W_OK):
        print(place)
"""


@pytest.mark.req("S4-67", "S4-86", "S4-101")
async def test_a_session_answers_who_has_its_secret_and_runs_cells(bench: Bench) -> None:
    handle = await bench.start_ready()
    client = await bench.client(handle)
    async with client.http() as http, client.http(auth=None) as nobody:
        assert (await http.get("lab")).status_code == 200
        assert (await nobody.get("lab")).status_code == 403
    said = await bench.run(handle, "import os, sys; print(os.getuid(), sys.prefix, os.listdir('/workspace'))")
    assert said.split() == [str(os.geteuid() or 60100), str(bench.environment), "['notebooks']"]


async def test_what_a_session_writes_is_in_the_workspace_and_the_platform_can_change_it(bench: Bench) -> None:
    handle = await bench.start_ready()
    await bench.run(handle, "open('/workspace/notebooks/made.txt', 'w').write('inside')")
    file = bench.workspace / "notebooks" / "made.txt"
    assert file.read_text() == "inside"
    file.write_text("outside")
    (bench.workspace / "new.txt").write_text("ours")
    # What the platform made meanwhile is the session's after its next start.
    await bench.engine.stop(handle, grace=timedelta(seconds=5))
    await bench.wait_end(handle)
    again = await bench.start_ready(workload_id=handle["workload_id"], launch=2)
    said = await bench.run(again, "print(open('new.txt').read(), open('new.txt', 'a').write('x'))")
    assert said.split() == ["ours", "1"]


@pytest.mark.req("S4-87")
@pytest.mark.skipif(not is_possible(), reason="only root gives workspaces accounts")
async def test_a_container_runs_as_its_workspace_where_that_has_an_account(bench: Bench) -> None:
    hand_over(bench.workspace, (LOWEST, LOWEST))
    # The one that all tests share must not belong to a workspace: nobody forks kernels for it then.
    environment = shutil.copytree(bench.environment, bench.workspace.with_name("environment"), symlinks=True)
    handle = await bench.start_ready(environment=environment)
    said = await bench.run(handle, "import os; print(os.getuid(), open('/workspace/notebooks/made', 'w').write('x'))")
    assert said.split() == [str(LOWEST), "1"]
    assert owner_of(bench.workspace) == owner_of(bench.workspace / "notebooks") == (LOWEST, LOWEST)


async def test_limits_are_in_force_and_the_image_cannot_be_changed(bench: Bench) -> None:
    handle = await bench.start_ready(limits=Limits(cpu=1, memory=700 * _MIB, processes=300))
    async with bench.docker() as docker:
        host = (await docker.containers.container(bench.container(handle)).show())["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
        700 * _MIB,
        700 * _MIB,
        1_000_000_000,
        300,
    )
    code = "import os\nfor path in ('/usr/x', '/etc/x', os.path.dirname(os.__file__) + '/x'):\n  try: open(path, 'w')\n"
    said = await bench.run(handle, f"{code}  except OSError as error: print(error.errno)")
    assert len(said.split()) == 3


async def test_a_session_fills_no_more_than_its_scratch_space_and_folders_of_its_own(bench: Bench) -> None:
    handle = await bench.start_ready(limits=Limits(memory=700 * _MIB, disk=8 * _MIB))
    said = await bench.run(handle, _FILL)
    scratch, *writable = said.split()
    assert int(scratch) <= 8 * _MIB
    own = (bench.data_dir, bench.ground.sockets / "c", bench.environment, Path("/workspace"))
    assert [one for one in writable if not any(Path(one).is_relative_to(folder) for folder in own)] == []
    assert "/workspace" in writable


async def test_a_container_that_somebody_removes_is_noticed_by_whoever_watches(bench: Bench) -> None:
    handle = await bench.start_ready()
    watching = aiter(bench.engine.watch(handle))
    await anext(watching)
    async with bench.docker() as docker:
        await docker.containers.container(bench.container(handle)).delete(force=True)
    async with asyncio.timeout(PATIENCE):
        async for _ in watching:
            pass
    seen = await bench.engine.observe(handle)
    assert seen.phase is Phase.ENDED
    assert seen.exit is not None
    assert seen.exit.reason in {"vanished", "killed"}


async def test_another_control_plane_finds_the_sessions_of_the_one_before(bench: Bench) -> None:
    handle = await bench.start_ready()
    after = ContainerEngine(bench.ground, bench.settings)
    try:
        assert (await after.observe(handle)).phase is Phase.READY
        assert await after.start(bench.spec(workload_id=handle["workload_id"])) == handle
        await after.stop(handle, grace=timedelta(seconds=5))
        assert (await bench.wait_end(handle)).reason == "stopped"
    finally:
        await after.aclose()


async def test_a_session_that_runs_out_of_memory_is_told_so(bench: Bench) -> None:
    handle = await bench.start_ready(limits=Limits(memory=300 * _MIB))
    taking = asyncio.ensure_future(bench.run(handle, "held = b'x' * (900 << 20)"))
    async with asyncio.timeout(PATIENCE):
        while not (used := await bench.engine.measure(handle)) or not used.deaths:
            await asyncio.sleep(0.1)
    taking.cancel()
    assert used.deaths[0].limit == 300 * _MIB
    assert (await bench.engine.observe(handle)).phase is Phase.READY


async def test_an_image_that_cannot_be_had_is_the_reason(bench: Bench) -> None:
    # Nothing listens at port 1.
    handle = await bench.engine.start(bench.spec(image="127.0.0.1:1/nothing:1"))
    end = await bench.wait_end(handle)
    assert (end.reason, end.message.endswith(".")) == ("image-missing", True)
    assert "127.0.0.1:1/nothing:1" in end.message


async def test_an_image_that_nobody_allowed_is_refused_with_those_that_are(bench: Bench) -> None:
    with pytest.raises(InvalidInput) as refused:
        await bench.engine.start(bench.spec(image="docker.io/library/anything:1"))
    assert refused.value.code == "image-not-allowed"
    assert bench.settings.image in str(refused.value.hint)


@pytest.mark.req("S0-75", "S0-76", "S0-77")
async def test_programs_inside_reach_the_platform_at_its_own_address_and_nothing_else(
    bench: Bench, platform: list[bytes]
) -> None:
    handle = await bench.start_ready()
    said = await bench.run(
        handle,
        "import os, socket, urllib.request\n"
        "print(urllib.request.urlopen(os.environ['STUDIOLO_URL'] + '/pypi/', timeout=30).read().decode())\n"
        "print(sorted(name for _, name in socket.if_nameindex()))",
    )
    assert said.split("\n")[:2] == ["ok", "['lo']"]
    assert platform[0].startswith(b"GET /pypi/ HTTP/1.1")


async def test_a_log_that_is_turned_into_a_link_shows_nothing_of_the_machine(bench: Bench, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("of the platform\n")
    handle = await bench.start_ready()
    folder = bench.data_dir / "engines/container" / handle["workload_id"] / "1/files"
    await bench.run(
        handle, f"import os; os.remove('{folder}/server.log'); os.symlink('{secret}', '{folder}/server.log')"
    )
    assert await bench.engine.tail(handle, lines=10) == []


async def test_a_session_that_says_that_it_has_ended_is_not_believed(bench: Bench) -> None:
    handle = await bench.start_ready()
    folder = bench.data_dir / "engines/container" / handle["workload_id"] / "1/files"
    record = '{"reason": "stopped", "message": "Gone.", "at": "2026-01-01T00:00:00+00:00"}'
    await bench.run(handle, f"open('{folder}/exit.json', 'w').write({record!r})")
    assert (await bench.engine.observe(handle)).phase is Phase.READY


async def test_nothing_is_left_of_what_is_forgotten(bench: Bench) -> None:
    handle = await bench.start_ready()
    await bench.engine.stop(handle, grace=timedelta(seconds=5))
    await bench.wait_end(handle)
    await bench.engine.forget(handle["workload_id"])
    left: list[Any] = [path for path in bench.data_dir.rglob("*") if handle["workload_id"] in path.name]
    left += [path for path in bench.ground.sockets.iterdir() if handle["workload_id"] in path.name]
    async with bench.docker() as docker:
        named = f'{{"name": ["{bench.container(handle)}"]}}'
        left += await docker.containers.list(all=1, filters=named)
    assert left == []
