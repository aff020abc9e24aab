"""What containers are to be: from member's words, values and never structure."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.contract.errors import InvalidInput
from studiolo.engines.base import Limits, Volume, WorkloadSpec
from studiolo.engines.container.configuration import Host, Mount, container_config, volume_mounts, workspace_mounts
from studiolo.engines.container.launches import Launch
from studiolo.engines.container.settings import ContainerSettings
from studiolo.engines.ground import WayOut, find_way_out, without_nested

LAUNCH = Launch(Path("/data/engines/container"), Path("/run/s"), "s-0123456789abcdef", 1)
HOST = Host("i", (60100, 60100), is_podman=True)
OUT = WayOut(Path("/run/w/door.sock"), 8888, "localhost")


def spec(**changes: Any) -> WorkloadSpec:
    values: dict[str, Any] = {
        "workload_id": LAUNCH.workload_id,
        "launch": LAUNCH.number,
        "folder": Path("/data/workspaces/w"),
        "environment": Path("/data/environments/e"),
        "base_url": "/s/x/",
        "secret": "the-secret",
        "api_key": "the-key",
        "netrc": "machine x password the-netrc",
    }
    return WorkloadSpec(**(values | changes))


def config(one: WorkloadSpec, *, host: Host = HOST, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "image": "image:1",
        "mounts": workspace_mounts(one, LAUNCH, []),
        "program": ["/venv/bin/python"],
        "shm_size": 1,
        "way_out": OUT,
    }
    return container_config(one, LAUNCH, ContainerSettings(), host, **(values | changes))


def test_a_container_has_no_rights_no_network_and_nothing_to_write_to_but_its_own() -> None:
    made = config(spec())
    host = made["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["NetworkMode"] == "none"
    assert host["RestartPolicy"] == {"Name": "no"}
    assert made["User"] == "60100:60100"
    assert not {"Privileged", "PidMode", "IpcMode", "Binds", "CapAdd"} & set(host)


def test_no_secret_is_in_a_container_as_the_daemon_shows_it() -> None:
    text = json.dumps(config(spec()))
    assert not [secret for secret in ("the-secret", "the-key", "the-netrc") if secret in text]


def test_limits_are_the_daemons_and_memory_has_no_swap_beside_it() -> None:
    host = config(spec(limits=Limits(cpu=1.5, memory=1000, processes=50)))["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (1_500_000_000, 1000, 1000, 50)
    assert not {"NanoCpus", "Memory", "PidsLimit"} & set(config(spec())["HostConfig"])


def test_scratch_space_is_the_profiles_disk_where_that_is_less_than_the_engines() -> None:
    def size(disk: int | None) -> str:
        return str(config(spec(limits=Limits(disk=disk)))["HostConfig"]["Tmpfs"]["/tmp"].rpartition("size=")[2])

    assert (size(None), size(1 << 20), size(1 << 50)) == (str(1 << 30), str(1 << 20), str(1 << 30))


def test_the_workspace_is_at_its_own_path_and_at_the_common_one() -> None:
    mounts = {mount["Target"]: mount for mount in config(spec())["HostConfig"]["Mounts"]}
    assert mounts["/workspace"]["Source"] == mounts["/data/workspaces/w"]["Source"] == "/data/workspaces/w"
    assert mounts["/workspace"]["ReadOnly"] is False


def test_datasets_cannot_be_written_to() -> None:
    mounts = config(spec(datasets={"iris": Path("/shares/iris")}))["HostConfig"]["Mounts"]
    assert [(one["Source"], one["ReadOnly"]) for one in mounts if one["Target"] == "/datasets/iris"] == [
        ("/shares/iris", True)
    ]


def test_volumes_are_writable_only_where_they_are_meant_to_be() -> None:
    volumes = (
        Volume("open", Path("/v/open"), read_only=False),
        Volume("shut", Path("/v/shut")),
        Volume("c", claim="c"),
    )
    found = {str(mount.target): mount.writable for mount in volume_mounts(spec(volumes=volumes))}
    assert found == {"/volumes/open": True, "/volumes/shut": False}


@given(st.text() | st.sampled_from(["..", ".", "", "a/b", "../../etc", "a:b", "x,readonly=false", "\0"]))
def test_a_datasets_name_is_one_folder_below_datasets_or_refused(name: str) -> None:
    try:
        mounts = workspace_mounts(spec(datasets={name: Path("/shares/x")}), LAUNCH, [])
    except InvalidInput:
        assert name in ("", ".", "..") or {"/", "\0"} & set(name)
    else:
        target = mounts[-1].target
        assert target.parent == PurePosixPath("/datasets")
        assert ".." not in target.parts


@given(
    person=st.text(),
    labels=st.dictionaries(st.text(), st.text(), max_size=3),
    variables=st.dictionaries(st.text(), st.text(), max_size=3),
    start_folder=st.text(),
)
def test_what_people_name_changes_nothing_of_a_container(
    person: str, labels: dict[str, str], variables: dict[str, str], start_folder: str
) -> None:
    told = spec(person=person, labels=labels, variables=variables, start_folder=start_folder)
    assert config(told) == config(spec())


def test_docker_without_root_knows_our_account_as_root_and_podman_keeps_it() -> None:
    rootless = {"owner": (1000, 1000), "is_rootless": True}
    assert config(spec(), host=Host("i", is_podman=False, **rootless))["User"] == "0:0"  # type: ignore[arg-type]
    podman = config(spec(), host=Host("i", is_podman=True, **rootless))  # type: ignore[arg-type]
    assert (podman["User"], podman["HostConfig"]["UsernsMode"]) == ("1000:1000", "keep-id")


def test_gpus_are_named_as_each_daemon_wants_them() -> None:
    one = ["nvidia.com/gpu=0"]
    podman = config(spec(), gpus=one)["HostConfig"]["Devices"]
    docker = config(spec(), gpus=one, host=Host("i", (1, 1)))["HostConfig"]["DeviceRequests"]
    assert [device["PathOnHost"] for device in podman] == one
    assert docker == [{"Driver": "cdi", "DeviceIDs": one}]


@pytest.mark.parametrize(
    ("address", "port", "names"),
    [
        ("http://127.0.0.1:8888", 8888, []),
        ("http://localhost", 80, []),
        ("https://notebooks.example.org", 443, ["notebooks.example.org"]),
    ],
)
def test_the_way_out_is_known_inside_by_the_platforms_own_name(address: str, port: int, names: list[str]) -> None:
    out = find_way_out(address, Path("/run/w/door.sock"))
    assert out is not None
    assert (out.port, out.names) == (port, names)
    assert config(spec(), way_out=out)["HostConfig"]["ExtraHosts"] == [f"{name}:127.0.0.1" for name in names]


def test_a_folder_in_another_is_mounted_with_it() -> None:
    folders = [Path("/a/b"), Path("/a"), Path("/ab"), Path("/a")]
    assert without_nested(folders) == [Path("/a"), Path("/ab")]


def test_a_mount_with_a_colon_in_its_path_is_one_mount() -> None:
    assert Mount.same(Path("/data/a:/etc:rw")).to_api()["Source"] == "/data/a:/etc:rw"
