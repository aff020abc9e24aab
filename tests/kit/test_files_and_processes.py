import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from studiolo.kit import logs
from studiolo.kit.files import write_atomically
from studiolo.kit.lock import FileLock, Held, find_holder
from studiolo.kit.notify import NotifyReceiver, notify
from studiolo.kit.processes import ProcessIdentity
from studiolo.kit.shared_secret import is_shared


def test_a_log_that_grew_too_long_is_cut_while_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    with logs.open_log(path) as writer:
        for text in (b"one\n", b"two\n", b"three\n"):
            writer.write(text)
            assert logs.rotate(path, max_bytes=1, keep=2)
        writer.write(b"four\n")
    kept = {name.name: name.read_text() for name in tmp_path.iterdir()}
    assert kept == {"x.log": "four\n", "x.log.1": "three\n", "x.log.2": "two\n"}


def test_a_log_within_its_size_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("one\n")
    assert not logs.rotate(tmp_path / "x.log", max_bytes=100, keep=2)
    assert not logs.rotate(tmp_path / "none.log", max_bytes=100, keep=2)


def test_the_tail_of_a_log_can_leave_out_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("old\nnew 1\nnew 2\n")
    assert logs.tail(path, 10, since=4) == ["new 1", "new 2"]
    assert logs.tail(path, 1) == ["new 2"]
    assert logs.tail(tmp_path / "none.log", 1) == []


def test_a_lock_names_its_holder_until_it_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert find_holder(path) is None
    with FileLock(path, {"pid": 7}):
        assert find_holder(path) == {"pid": 7}
        with pytest.raises(Held) as caught, FileLock(path, {}):
            pass
        assert caught.value.holder == {"pid": 7}
    assert find_holder(path) is None


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for text in ("first", "second"):
        write_atomically(path, text)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("second", 0o600)
    assert list(tmp_path.iterdir()) == [path]


async def test_what_a_process_notifies_is_received(monkeypatch: pytest.MonkeyPatch) -> None:
    # A test's own folder may have too long a path for a socket.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, NotifyReceiver(Path(folder) / "n.sock") as receiver:
        monkeypatch.setenv("NOTIFY_SOCKET", str(receiver.path))
        notify(READY="1", STATUS="a=b")
        assert await receiver.receive() == {"READY": "1", "STATUS": "a=b"}
    # Nobody listens any more: that is no error.
    notify(READY="1")


def test_a_process_is_more_than_its_pid() -> None:
    mine = ProcessIdentity.of(os.getpid())
    assert mine is not None
    assert mine.is_alive()
    assert not ProcessIdentity(mine.pid, mine.started - 100).is_alive()


def test_a_zombie_counts_as_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    identity = ProcessIdentity.of(process.pid)
    assert identity is not None
    assert identity.kill_group(wait_seconds=10)
    assert process.wait(5) < 0
    assert process.stdin is not None
    process.stdin.close()


def test_only_the_secret_is_the_secret() -> None:
    assert is_shared("known", "known")
    assert not any(is_shared(given, "known") for given in ("", "other", "\udcff", "\ud800known"))
    assert not is_shared("", "")
