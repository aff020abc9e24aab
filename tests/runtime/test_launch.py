"""Launch requests and the files of a launch."""

import dataclasses
import json
import os
import socket
from pathlib import Path

import pytest

from studiolo.runtime.launch import LaunchRequest, RefusedRequestError, read_json, write_json

REQUEST = LaunchRequest(
    workload_id="s-1",
    launch=2,
    launch_folder="/d/sessions/s-1/2",
    run_folder="/r/s-1.2",
    socket="/r/s-1.2.sock",
    folder="/w",
    start_folder="notebooks",
    environment="/e",
    base_url="/s/s-1/",
    grace_seconds=10,
    secret="hidden-secret",
    api_key="hidden-key",
    platform_url="http://localhost:8888",
    variables={"PASSWORD": "hidden-variable"},
)


def test_a_request_survives_the_line() -> None:
    line = REQUEST.to_line()
    assert line.count(b"\n") == 1
    assert LaunchRequest.from_line(line) == REQUEST


def test_its_representation_holds_no_secret() -> None:
    assert "hidden" not in repr(REQUEST)


@pytest.mark.parametrize("member", ["launch_folder", "run_folder", "socket", "folder", "environment"])
def test_relative_paths_are_refused(member: str) -> None:
    line = dataclasses.replace(REQUEST, **{member: "relative"}).to_line()
    with pytest.raises(RefusedRequestError, match="relative path: 'relative'"):
        LaunchRequest.from_line(line)


def test_other_members_are_refused() -> None:
    members = json.loads(REQUEST.to_line())
    for changed in (members | {"more": 1}, {name: members[name] for name in members if name != "secret"}):
        with pytest.raises(RefusedRequestError, match="other members"):
            LaunchRequest.from_line(json.dumps(changed).encode())


@pytest.mark.parametrize(
    "listen",
    ["node:80", "tcp://:80", "tcp://node", "tcp://node:", "tcp://node:-1", "tcp://node:65536", "udp://node:80"],
)
def test_what_is_no_place_to_listen_is_refused(listen: str) -> None:
    line = dataclasses.replace(REQUEST, listen=listen).to_line()
    with pytest.raises(RefusedRequestError, match="tcp://HOST:PORT"):
        LaunchRequest.from_line(line)


@pytest.mark.parametrize(
    ("listen", "advertise", "address"),
    [
        ("", "", "unix//r/s-1.2.sock"),
        ("tcp://127.0.0.1:0", "elsewhere", "127.0.0.1:8123"),
        ("tcp://0.0.0.0:0", "node7", "node7:8123"),
        ("tcp://0.0.0.0:0", "", f"{socket.gethostname()}:8123"),
        ("tcp://[::]:0", "fd00::7", "[fd00::7]:8123"),
        ("tcp://[::1]:0", "", "[::1]:8123"),
    ],
)
def test_an_address_is_what_others_dial(listen: str, advertise: str, address: str) -> None:
    request = dataclasses.replace(REQUEST, listen=listen, advertise=advertise)
    assert LaunchRequest.from_line(request.to_line()).address(8123) == address


def test_files_are_replaced_whole_and_leave_nothing_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "exit.json"
    assert read_json(path) is None
    write_json(path, {"a": 1})
    write_json(path, {"a": 2}, durable=True)
    assert read_json(path) == {"a": 2}
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("{cut")
    assert read_json(path) is None


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device"])
def test_what_is_no_plain_file_is_not_read_as_one(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret.json").write_text('{"known": "to root"}')
    path = tmp_path / "parts.json"
    if kind == "link":
        path.symlink_to(tmp_path / "secret.json")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = Path("/dev/zero")
    assert read_json(path) is None
