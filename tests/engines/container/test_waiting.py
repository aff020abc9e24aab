"""Containers that wait for launches: what one is to be, and what it lacks of the launch that claims it."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from engines.container.test_configuration import LAUNCH, config, spec
from studiolo.engines.base import Limits
from studiolo.engines.container.configuration import WAITING, Mount, read_name
from studiolo.engines.container.waiting import Kind, LaunchedKinds, Place, list_missing, waiting_config

PLACE = Place(Path("/run/s/waiting/x1"))


def kind(one: dict[str, Any]) -> Kind:
    found = Kind.of(one, LAUNCH.cover)
    assert found is not None
    return found


def test_launches_that_differ_in_people_and_folders_are_of_one_kind() -> None:
    other = spec(folder=Path("/data/workspaces/v"), person="bo", secret="another", datasets={"d": Path("/shares/d")})
    assert kind(config(spec())).key == kind(config(other)).key


def test_launches_that_differ_in_what_cannot_be_changed_later_are_of_two() -> None:
    own = kind(config(spec())).key
    assert own != kind(config(spec(limits=Limits(memory=1 << 30)))).key
    assert own != kind(config(spec(), image="image:2")).key
    assert own != kind(config(spec(), shm_size=2)).key
    assert own != kind(config(spec(), way_out=None)).key


def test_nobody_waits_with_a_gpu() -> None:
    assert Kind.of(config(spec(), gpus=["nvidia.com/gpu=0"]), LAUNCH.cover) is None


def test_who_waits_has_the_limits_and_the_locks_of_a_launch_and_nothing_of_a_workspace() -> None:
    like = config(spec(limits=Limits(cpu=1, memory=1000, processes=50)))
    made = waiting_config(kind(like), "i", PLACE, [Mount.same(Path("/venv"))])
    text = json.dumps(made)
    assert not [word for word in ("/data/workspaces", "/data/environments", LAUNCH.workload_id) if word in text]
    theirs, ours = ({k: v for k, v in one["HostConfig"].items() if k != "Mounts"} for one in (like, made))
    assert ours == theirs
    assert made["User"] == like["User"]
    assert made["Labels"][WAITING] == "x1"
    writable = [one["Source"] for one in made["HostConfig"]["Mounts"] if not one["ReadOnly"]]
    assert writable == [str(PLACE.gate.parent)]


def test_a_claimed_container_gets_what_it_lacks_outer_folders_first() -> None:
    inner, outer, venv = Mount.same(Path("/a/b/c"), writable=True), Mount.same(Path("/a")), Mount.same(Path("/venv"))
    like = config(spec(), mounts=[inner, venv, outer])
    assert list_missing(like, LAUNCH.cover, [venv]) == [outer, inner]


def test_what_is_there_already_is_mounted_again_where_a_folder_comes_over_it() -> None:
    outer, venv = Mount.same(Path("/work"), writable=True), Mount.same(Path("/work/venv"))
    assert list_missing(config(spec(), mounts=[outer, venv]), LAUNCH.cover, [venv]) == [outer, venv]


def test_covers_of_a_launch_stay_with_it_and_their_folders_are_covered_at_the_place() -> None:
    cover = Mount(LAUNCH.cover / "root", PurePosixPath("/root"))
    like = config(spec(), mounts=[cover, Mount.same(Path("/root/w"), writable=True)])
    assert kind(like).covered == ("/root",)
    assert [one.source for one in list_missing(like, LAUNCH.cover, [])] == [Path("/root/w")]


def test_only_a_launch_has_a_launchs_name() -> None:
    assert read_name("i", {"Names": ["/studiolo-i-s-0a1-3"]}) == ("s-0a1", 3)
    for other in ("studiolo-i-waiting-x12345678", "studiolo-j-s-0a1-3", "studiolo-i-s-../../x-3", "x"):
        assert read_name("i", {"Names": [other]}) is None
    assert read_name("i", {}) is None


def test_what_was_launched_last_is_known_after_a_restart_under_the_same_settings(tmp_path: Path) -> None:
    known = LaunchedKinds(tmp_path / "new" / "waiting.json", "mark", 2)
    kinds = [kind(config(spec(), shm_size=size)) for size in (1, 2, 3)]
    for one in kinds:
        known.note(one)
    known.save()
    after = LaunchedKinds(tmp_path / "new" / "waiting.json", "mark", 2)
    after.load()
    assert [one.key for one in after] == [one.key for one in kinds[1:]]
    other = LaunchedKinds(tmp_path / "new" / "waiting.json", "other settings", 2)
    other.load()
    assert list(other) == []


def test_a_file_that_says_nonsense_is_no_reason_not_to_start(tmp_path: Path) -> None:
    file = tmp_path / "waiting.json"
    for text in ("", "[]", '{"mark": "m"}', '{"mark": "m", "kinds": [1]}', '{"mark": "m", "kinds": [[{}, 1]]}'):
        file.write_text(text)
        known = LaunchedKinds(file, "m", 2)
        known.load()
        assert list(known) == []
