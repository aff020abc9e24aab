"""What workloads can reach, measured from inside: an engine that claims a level of isolation holds it.

Levels are those of the threat model: L1 gives each workspace an account, L2 separates files, processes and resources;
L3 the network as well.
"""

import asyncio
import json
import os
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from studiolo.testing.engine_contract.case import EngineCase, Run, describe, end, start_ready

__all__ = [
    "test_a_workload_cannot_reach_another_by_the_network",
    "test_a_workload_cannot_reach_this_machine_by_the_network",
    "test_a_workload_has_an_account_of_its_own",
    "test_a_workload_has_no_rights_over_the_machine",
    "test_a_workload_opens_no_files_of_the_platform_or_of_other_workloads",
    "test_a_workload_reaches_no_sockets_of_the_platform_or_of_other_workloads",
    "test_a_workload_reaches_the_platform",
    "test_a_workload_sees_no_files_of_the_platform_or_of_other_workloads",
    "test_a_workload_sees_no_processes_of_other_workloads",
    "test_a_workload_signals_and_traces_no_processes_of_other_workloads",
    "test_an_isolated_workload_is_held_to_all_limits",
]

_ACCOUNTS, _SEPARATE, _WITHOUT_NETWORK = 1, 2, 3
_CAP_SYS_ADMIN = 1 << 21


async def test_a_workload_has_no_rights_over_the_machine(case: EngineCase) -> None:
    """The account is not the machine's root, or can never gain rights; the machine cannot be administered."""
    run = _runner(case, _SEPARATE)
    _, handle = await start_ready(case)
    told = json.loads(await run(handle, _TELL_RIGHTS))
    assert told["host_uid"] != 0 or told["no_new_privileges"], told
    assert told["host_uid"] != told["uid"] or not told["capabilities"] & _CAP_SYS_ADMIN, told
    await end(case, handle)


async def test_a_workload_has_an_account_of_its_own(case: EngineCase) -> None:
    """Not root's, without any right more, and no program gives it one."""
    run = _runner(case, _ACCOUNTS)
    _, handle = await start_ready(case)
    told = json.loads(await run(handle, _TELL_RIGHTS))
    assert told["host_uid"] != 0, told
    assert told["no_new_privileges"], told
    assert not told["capabilities"], told
    await end(case, handle)


async def test_a_workload_opens_no_files_of_the_platform_or_of_other_workloads(case: EngineCase) -> None:
    """What another's code makes for itself, and what the platform keeps, is refused to whoever knows its name."""
    run = _runner(case, _ACCOUNTS)
    (spec, handle), (another, other) = await start_ready(case), await start_ready(case)
    made = json.loads(await run(other, _MAKE_FILES))
    kept = list(case.data_dir.rglob("*.json")) + list(case.data_dir.rglob("lock")) if case.data_dir else []
    files = [*made, *map(str, kept), *map(str, (another.folder, another.environment))]
    own = {str(file) for file in kept if spec.workload_id in str(file)}
    reached = json.loads(await run(handle, _OPEN.format(files=files)))
    # Both may be of one workspace, whose files are both's.
    mine = (spec.folder, spec.environment)
    read, written = ({file for file in reached[how] if not _is_below(file, mine)} for how in ("read", "written"))
    assert not read - own, reached
    # Where it has a root of its own, all of its launch is its own, and the platform believes nothing of it by name.
    may_write = own if _is_separate(case) else {file for file in own if "/own/" in file}
    assert not written - may_write, reached
    await asyncio.gather(end(case, handle), end(case, other))


async def test_a_workload_signals_and_traces_no_processes_of_other_workloads(case: EngineCase) -> None:
    """Nor the platform's: no process of the machine but its own hears of it or shows it its memory."""
    run = _runner(case, _ACCOUNTS)
    (_, handle), (_, other) = await start_ready(case), await start_ready(case)
    theirs = json.loads(await run(other, _TELL_PROCESSES))
    # By the numbers that the workload itself sees, which may be others: what it has itself is left out.
    told = json.loads(await run(handle, _SIGNAL.format(pids=[*theirs["pids"], os.getpid(), 1])))
    assert not set(told["reached"]) - set(told["own"]), told
    await asyncio.gather(end(case, handle), end(case, other))


async def test_a_workload_reaches_no_sockets_of_the_platform_or_of_other_workloads(case: EngineCase) -> None:
    """Of all unix sockets on this machine that the platform made, none takes a connection."""
    run = _runner(case, _ACCOUNTS)
    (_, handle), (_, other) = await start_ready(case), await start_ready(case)
    upstream = (await case.engine.observe(other)).upstream or ""
    known = [upstream.removeprefix("unix/"), *map(str, case.sockets)]
    named = [str(path) for top in {Path(one).parent for one in known if one.startswith("/")} for path in _sockets(top)]
    mine = (await case.engine.observe(handle)).upstream or ""
    own = (Path(mine.removeprefix("unix/")).parent,) if _is_separate(case) and mine.startswith("unix/") else ()
    reached = json.loads(await run(handle, _CONNECT.format(paths=sorted({*named, *known}))))
    assert not [path for path in reached if not _is_below(path, own)], reached
    await asyncio.gather(end(case, handle), end(case, other))


async def test_a_workload_sees_no_files_of_the_platform_or_of_other_workloads(case: EngineCase) -> None:
    """A file in another's private folders, or in the data directory, is nowhere under `/`."""
    run = _runner(case, _SEPARATE)
    names = {whose: f"studiolo-{whose}-{secrets.token_hex(8)}" for whose in ("own", "other", "platform")}
    _, handle = await start_ready(case)
    spec, other = await start_ready(case)
    await run(handle, _MAKE_FILE.format(name=names["own"]))
    await run(other, _MAKE_FILE.format(name=names["other"]))
    with ExitStack() as made:
        if case.data_dir is not None:
            made.enter_context(_file(case.data_dir / names["platform"]))
            for folder in [path for path in case.data_dir.rglob(f"*{spec.workload_id}*/**") if path.is_dir()]:
                made.enter_context(_file(folder / names["other"]))
        find = _FIND_FILES.format(own=names["own"], names=[*names.values()], first=str(case.data_dir or "/"))
        found = json.loads(await run(handle, find))
    assert found == [names["own"]]
    await asyncio.gather(end(case, handle), end(case, other))


async def test_a_workload_sees_no_processes_of_other_workloads(case: EngineCase) -> None:
    """A program that another has started is not in the process table."""
    run = _runner(case, _SEPARATE)
    _, handle = await start_ready(case)
    _, other = await start_ready(case)
    names = [f"studiolo-{whose}-{secrets.token_hex(8)}" for whose in ("other", "own")]
    for where, name in zip((other, handle), names, strict=True):
        await run(where, _START_PROGRAM.format(name=name))
    assert json.loads(await run(handle, _FIND_PROGRAMS.format(names=names))) == names[1:]
    await asyncio.gather(end(case, handle), end(case, other))


async def test_an_isolated_workload_is_held_to_all_limits(case: EngineCase) -> None:
    """Resources are separated too: no limit is left to each process or to nobody."""
    _runner(case, _SEPARATE)
    machine = await describe(case)
    assert not {machine.cpu_limits, machine.memory_limits, machine.process_limits} & {"none", "rlimit"}


async def test_a_workload_cannot_reach_this_machine_by_the_network(case: EngineCase) -> None:
    """What listens on this machine, on all its addresses or by an abstract name, is out of reach."""
    run = _runner(case, _WITHOUT_NETWORK)
    _, handle = await start_ready(case)
    name = f"studiolo-{secrets.token_hex(8)}"
    with socket.create_server(("", 0)) as listener, socket.socket(socket.AF_UNIX) as named:
        named.bind(f"\0{name}")
        named.listen()
        port = listener.getsockname()[1]
        own = [address.address for known in psutil.net_if_addrs().values() for address in known]
        targets = [[address, port] for address in own if address.count(".") == 3]
        assert json.loads(await run(handle, _REACH.format(targets=targets, port=port, name=name))) == []
    await end(case, handle)


async def test_a_workload_cannot_reach_another_by_the_network(case: EngineCase) -> None:
    """What listens in another workload is out of reach, its server too."""
    run = _runner(case, _WITHOUT_NETWORK)
    _, handle = await start_ready(case)
    _, other = await start_ready(case)
    heard = json.loads(await run(other, _LISTEN))
    upstream = (await case.engine.observe(other)).upstream or ""
    host, _, port = upstream.rpartition(":")
    targets = heard["listening"] + ([[host, int(port)]] if host and not upstream.startswith("unix/") else [])
    reach = _REACH.format(targets=targets, port=heard["port"], name=heard["name"])
    # The workload itself reaches them, so that the other's failure means something.
    assert json.loads(await run(other, reach))
    assert json.loads(await run(handle, reach)) == []
    await asyncio.gather(end(case, handle), end(case, other))


async def test_a_workload_reaches_the_platform(case: EngineCase) -> None:
    """Whatever the network is, the address that the workload is told answers."""
    if not case.serves_platform or case.run is None:
        pytest.skip("the case serves no platform")
    _, handle = await start_ready(case)
    assert (await case.run(handle, _ASK_PLATFORM)).strip() == "answered"
    await end(case, handle)


def _is_below(file: str, folders: Iterable[Path]) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders)


def _runner(case: EngineCase, level: int) -> Run:
    if int(case.engine.isolation.removeprefix("L")) < level:
        pytest.skip(f"the engine claims {case.engine.isolation} only")
    assert case.run is not None, "an engine that claims to isolate is measured from inside"
    return case.run


def _is_separate(case: EngineCase) -> bool:
    return int(case.engine.isolation.removeprefix("L")) >= _SEPARATE


def _sockets(top: Path) -> list[Path]:
    return [path for path in top.rglob("*") if path.is_socket()]


@contextmanager
def _file(path: Path) -> Iterator[None]:
    path.touch(mode=0o644)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


_TELL_RIGHTS = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
uid = os.getuid()
ranges = [tuple(map(int, line.split())) for line in open("/proc/self/uid_map")]
host_uid = next((outside + uid - inside for inside, outside, length in ranges if inside <= uid < inside + length), None)
told = {"uid": uid, "host_uid": host_uid, "no_new_privileges": status["NoNewPrivs"].strip() == "1"}
print(json.dumps({**told, "capabilities": int(status["CapEff"], 16)}))
"""

# One of each kind that people's own work leaves; prints their names.
_MAKE_FILES = """
import json, os, pathlib
folders = [os.environ["JUPYTER_RUNTIME_DIR"], os.path.expanduser("~"), os.getcwd(), "."]
files = [pathlib.Path(folder, "studiolo-made-" + os.urandom(8).hex()).absolute() for folder in folders]
for file in files:
    file.write_text("mine")
print(json.dumps([str(file) for file in files] + [os.environ.get("STUDIOLO_KEY_FILE", str(files[0]))]))
"""

_OPEN = """
import json, os
reached = {{"read": [], "written": []}}
for name in {files!r}:
    for how, flags in (("read", os.O_RDONLY), ("written", os.O_WRONLY)):
        try:
            os.close(os.open(name, flags | os.O_NONBLOCK))
            reached[how].append(name)
        except OSError:
            pass
print(json.dumps(reached))
"""

_TELL_PROCESSES = """
import json, os, pathlib
own = os.getuid()
pids = []
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if folder.stat().st_uid == own:
            pids.append(int(folder.name))
    except OSError:
        pass
print(json.dumps(dict(pids=pids)))
"""

# Asks whether it may, and does nothing.
_SIGNAL = """
import json, os
reached, own = [], []
for pid in {pids!r}:
    try:
        if os.stat("/proc/%d" % pid).st_uid == os.getuid():
            own.append(pid)
    except OSError:
        pass
    try:
        os.kill(pid, 0)
        reached.append(pid)
    except OSError:
        pass
    try:
        open("/proc/%d/mem" % pid, "rb").close()
        reached.append(pid)
    except OSError:
        pass
print(json.dumps(dict(reached=reached, own=own)))
"""

_CONNECT = """
import json, socket
reached = []
for path in {paths!r}:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(2)
        try:
            asking.connect(path)
            reached.append(path)
        except OSError:
            pass
print(json.dumps(reached))
"""

_MAKE_FILE = """
import os, pathlib
pathlib.Path(os.environ["JUPYTER_RUNTIME_DIR"], {name!r}).touch()
"""

# Ends at the first name that should not be there.
_FIND_FILES = """
import itertools, json, os
names, found = set({names!r}), set()
for folder, folders, files in itertools.chain(os.walk({first!r}), os.walk("/")):
    if folder == "/":
        folders[:] = set(folders) - set(["proc", "sys", "dev"])
    found |= names.intersection(files)
    if found - set([{own!r}]):
        break
print(json.dumps(sorted(found)))
"""

_START_PROGRAM = """
import subprocess, sys
kept = subprocess.Popen([sys.executable, "-S", "-c", "import time; print(flush=True); time.sleep(600)", {name!r}],
                        stdout=subprocess.PIPE)
kept.stdout.readline()
"""

_FIND_PROGRAMS = """
import json, pathlib
lines = []
for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    try:
        lines.append(file.read_bytes().split(b"\\0"))
    except OSError:
        pass
print(json.dumps([name for name in {names!r} if any(name.encode() in line for line in lines)]))
"""

# Prints what of the targets could be reached: by address, by the ways out that containers have, by name.
_REACH = """
import json, socket, struct
targets, port, reached = [tuple(target) for target in {targets!r}], {port!r}, []
for name in ("host.containers.internal", "host.docker.internal"):
    try:
        targets.append((socket.gethostbyname(name), port))
    except OSError:
        pass
for line in open("/proc/net/route").read().splitlines()[1:]:
    if (gateway := line.split()[2]) != "00000000":
        targets.append((socket.inet_ntoa(struct.pack("<L", int(gateway, 16))), port))
for family, target in [(socket.AF_INET, one) for one in targets] + [(socket.AF_UNIX, chr(0) + {name!r})]:
    with socket.socket(family) as asking:
        asking.settimeout(2)
        try:
            asking.connect(target)
            reached.append(target)
        except OSError:
            pass
print(json.dumps(reached))
"""

# Listens on all addresses that this network has, and by an abstract name; prints them.
_LISTEN = """
import json, os, socket
listener, named = socket.create_server(("", 0)), socket.socket(socket.AF_UNIX)
name = "studiolo-" + os.urandom(8).hex()
named.bind(chr(0) + name)
named.listen()
port, addresses, address = listener.getsockname()[1], set(), ""
for line in open("/proc/net/fib_trie"):
    if line.split()[:1] == ["|--"]:
        address = line.split()[1]
    elif "/32 host LOCAL" in line:
        addresses.add(address)
found = [[address, port] for address in sorted(addresses) if not address.startswith("127.")]
print(json.dumps(dict(listening=found, port=port, name=name)))
"""

_ASK_PLATFORM = """
import os, urllib.error, urllib.request
try:
    urllib.request.urlopen(os.environ["STUDIOLO_URL"], timeout=30).close()
except urllib.error.HTTPError:
    pass
print("answered")
"""
