"""An enclosure: mounts, network and IPC of a launch's own, in which its account's processes live (decision 016).

Root makes it, in a process that has one thread; who enters it becomes the account then. Its network is a loopback and a
port there that leads to the platform, carried by a process of root's outside. The standard library only.

`python -m studiolo.runtime.enclosure` tries whether this machine can make one.
"""

import os
import signal
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studiolo.runtime import keeping, limits, mounts, processes, relay
from studiolo.runtime.descriptors import close_inherited

# What a machine has for all: programs, libraries, how they are set up. Those that are links stay links.
_COMMON = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_GRAPHICS = ("nvidia*", "dri", "kfd")
_LINKS = {
    "dev/fd": "/proc/self/fd",
    "dev/stdin": "/proc/self/fd/0",
    "dev/stdout": "/proc/self/fd/1",
    "dev/stderr": "/proc/self/fd/2",
    "dev/ptmx": "pts/ptmx",
    "var/run": "../run",
}
_HOSTS = "/etc/hosts"
# While it is made the new root lies here; what is there is at hand by descriptors.
_ROOT = "/tmp"  # noqa: S108
_SAFE = mounts.NO_SUID | mounts.NO_DEVICES
# In the order in which they are entered: behind the mounts nothing else is found.
_KINDS = {"net": mounts.NEW_NETWORK, "ipc": mounts.NEW_IPC, "mnt": mounts.NEW_MOUNTS}
_UMASK = 0o022
_BACKLOG = 128
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Enclosure:
    """What is to be seen in one, each path at its own place; those that are not there are left out.

    `hidden`: folders of root's that are empty, wherever they lie, but for what in them is shown itself.
    `door`: the unix socket of the platform, to which `port` on the loopback leads; `names`: of hosts that mean it.
    `scratch_bytes`: how large /tmp, which is memory of the launch's, may grow; 0: half of the machine's.
    """

    readable: Sequence[str] = ()
    writable: Sequence[str] = ()
    hidden: Sequence[str] = ()
    door: str = ""
    port: int = 0
    names: Sequence[str] = ()
    scratch_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return its members."""
        return asdict(self)


class HeldEnclosure:
    """One that was made; it is there for as long as this process holds it, or a process lives in it."""

    def __init__(self, told: Mapping[str, Any], limited: limits.Limited) -> None:
        self._told = Enclosure(**told)
        self._limited = limited
        self._descriptors: list[int] = []
        self._listener: socket.socket | None = None
        self._relay: processes.Process | None = None

    def make(self) -> list[str]:
        """Make it; returns the names of its namespaces, see `enter`. Raises OSError."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            if (child := os.fork()) == 0:
                _tell_made(theirs, self._told)
            theirs.close()
            word, descriptors, _, _ = socket.recv_fds(ours, _MOST_BYTES, len(_KINDS) + 1)
            os.waitpid(child, 0)
        if not descriptors:
            raise OSError(f"No enclosure can be made: {word.decode(errors='replace') or 'its maker was killed'}")
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        *self._descriptors, listener = descriptors
        self._listener = socket.socket(fileno=listener)
        return [f"/proc/{os.getpid()}/fd/{number}" for number in self._descriptors]

    def keep_relay(self) -> None:
        """Have a child carry connections to the platform, unless one does. Raises OSError."""
        known = self._relay
        if self._listener is None or not self._told.door or (known and processes.is_alive(known.pid, known.start_time)):
            return
        shim, before = os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, keeping.SIGNALS)
        pid = os.fork()
        if pid == 0:
            _carry(self._told.door, self._listener, self._limited, shim)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._relay = processes.find_process(pid)


def enter(namespaces: Sequence[str], shown: Iterable[str] = ()) -> None:
    """Enter the namespaces that `make` named, for good; none: stay. To be called by root with one thread.

    `shown`: folders in hidden ones that this process is to see besides, at their own places. Raises OSError.
    """
    if not namespaces:
        return
    trees = {path: mounts.open_tree(path, _SAFE) for path in shown}
    opened = [os.open(name, os.O_RDONLY | os.O_CLOEXEC) for name in namespaces]
    for descriptor, kind in zip(opened, _KINDS.values(), strict=True):
        mounts.enter(descriptor, kind)
        os.close(descriptor)
    if trees:
        mounts.unshare(mounts.NEW_MOUNTS)
    mask = os.umask(_UMASK)
    for path, tree in trees.items():
        _make_place(Path(path), is_folder=True)
        mounts.move_tree(tree, path)
    os.umask(mask)


def main() -> int:
    """Make one as a trial; returns 0, or 1 once it has said why that cannot be."""
    try:
        _make(Enclosure())
    except OSError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


def _tell_made(connection: socket.socket, told: Enclosure) -> None:
    """In a child: make it and hand its namespaces and the listening socket on, or say why not; never returns."""
    try:
        listener = _make(told)
        opened = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in _KINDS]
        socket.send_fds(connection, [b"made"], [*opened, listener.fileno()])
    except OSError as exc:
        connection.sendall(str(exc).encode()[:_MOST_BYTES])
    finally:
        os._exit(0)


def _make(told: Enclosure) -> socket.socket:
    """Move this process into an enclosure of its own; returns the socket that takes connections to the platform."""
    os.umask(_UMASK)
    mounts.unshare(mounts.NEW_MOUNTS | mounts.NEW_IPC | mounts.NEW_NETWORK)
    mounts.keep_private()
    mounts.raise_loopback()
    listener = socket.create_server(("127.0.0.1", told.port), backlog=_BACKLOG)
    trees = _open_trees(told)
    mounts.mount("tmpfs", _ROOT, _SAFE, "mode=0755")
    links = {name: str(Path("/", name).readlink()) for name in _COMMON if Path("/", name).is_symlink()}
    for name, target in links.items():
        Path(_ROOT, name).symlink_to(target)
    _make_own(told)
    # Outer folders first: what lies in them is laid over them.
    for path in sorted({*trees, *told.hidden}, key=lambda one: Path(one).parts):
        _show(path, trees.get(path))
    _name_hosts(told)
    mounts.take_root(_ROOT)
    return listener


def _open_trees(told: Enclosure) -> dict[str, tuple[int, bool]]:
    """Return for each path that is there a tree, and whether it is a folder's."""
    common = [path for name in _COMMON if not (path := Path("/", name)).is_symlink()]
    devices = [Path("/dev", name) for name in _DEVICES]
    devices += [path for name in _GRAPHICS for path in Path("/dev").glob(name)]
    wanted = dict.fromkeys(map(str, [*common, *told.readable]), _SAFE | mounts.READ_ONLY)
    wanted |= dict.fromkeys(told.writable, _SAFE) | dict.fromkeys(map(str, devices), mounts.NO_SUID)
    return {
        path: (mounts.open_tree(path, attributes), Path(path).is_dir())
        for path, attributes in wanted.items()
        if Path(path).exists()
    }


def _show(path: str, tree: tuple[int, bool] | None) -> None:
    place = Path(_ROOT + path)
    if tree is None:
        is_shown = place.is_dir()
        # Made now, also in scratch: later nobody else can put a link where root mounts what is below.
        _make_place(place, is_folder=True)
        if is_shown:
            mounts.mount("tmpfs", str(place), _SAFE, "mode=0755")
        return
    descriptor, is_folder = tree
    _make_place(place, is_folder=is_folder)
    mounts.move_tree(descriptor, str(place))


def _make_own(told: Enclosure) -> None:
    """Make what each enclosure has for itself: processes, devices, scratch."""
    root = Path(_ROOT)
    for name in ("proc", "sys", "dev/pts", "dev/shm", "tmp", "run", "var/tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    # Processes of other accounts are not to be seen.
    mounts.mount("proc", f"{_ROOT}/proc", _SAFE | mounts.NO_EXEC, "hidepid=2")
    mounts.mount("sysfs", f"{_ROOT}/sys", _SAFE | mounts.NO_EXEC | mounts.READ_ONLY)
    pts = "newinstance,ptmxmode=0666,mode=0620"
    mounts.mount("devpts", f"{_ROOT}/dev/pts", mounts.NO_SUID | mounts.NO_EXEC, pts)
    size = f",size={told.scratch_bytes}" if told.scratch_bytes else ""
    for name in ("tmp", "var/tmp", "dev/shm"):
        mounts.mount("tmpfs", f"{_ROOT}/{name}", _SAFE, f"mode=1777{size}")
    for name, target in _LINKS.items():
        (root / name).symlink_to(target)


def _name_hosts(told: Enclosure) -> None:
    """Have the platform's names, and the machine's own, mean the loopback."""
    if Path(_ROOT + _HOSTS).exists():
        hosts = Path(_ROOT, "run", "hosts")
        hosts.write_text(f"127.0.0.1 {' '.join(dict.fromkeys(('localhost', *told.names, socket.gethostname())))}\n")
        hosts.chmod(0o644)
        mounts.move_tree(mounts.open_tree(str(hosts), _SAFE | mounts.READ_ONLY), _ROOT + _HOSTS)


def _make_place(place: Path, *, is_folder: bool) -> None:
    """Make something to mount at. Who lives there is never root: these folders are closed to it."""
    (place if is_folder else place.parent).mkdir(parents=True, exist_ok=True)
    if not is_folder:
        place.touch()


def _carry(door: str, listener: socket.socket, limited: limits.Limited, shim: int) -> None:
    """Be the relay of a launch, outside its enclosure; never returns.

    It stays root's: to whoever shares its account a process outside would be the way out.
    """
    try:
        keeping.become_child(shim)
        limits.enter(limited)
        processes.name_process("studiolo-relay")
        close_inherited(listener.fileno())
        relay.run(door, listener)
    finally:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
