"""Which kernels are found beneath some folders, under which names."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from studiolo.contract.errors import NotFound
from studiolo.gateway.offers.catalogue import Catalogue
from studiolo.gateway.offers.environments import content_hash, find_environment, hash_of, identify, with_environment
from studiolo.gateway.offers.specs import choose, find_resource_file, forkable, list_specs, listing, read_spec
from studiolo.runtime.kernelcommands import BUILD_FILE


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studiolo.gateway.offers.catalogue._LOOK_AGAIN_SECONDS", -1.0)


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    folder = tmp_path / "roots"
    folder.mkdir()
    return folder


@pytest.fixture
def catalogue(roots: Path, tmp_path: Path) -> Catalogue:
    return Catalogue([roots], tmp_path / "names.json")


def make_venv(root: Path, *, ipykernel: bool = True, conda: bool = False) -> Path:
    packages = root / "lib" / "python3.11" / "site-packages"
    (root / "bin").mkdir(parents=True)
    packages.mkdir(parents=True)
    (root / "bin" / "python").symlink_to("/bin/true")
    if conda:
        (root / "conda-meta").mkdir()
    else:
        (root / "pyvenv.cfg").touch()
    if ipykernel:
        (packages / "ipykernel_launcher.py").touch()
        (packages / "ipykernel-7.4.0.dist-info").mkdir()
    return root


def make_spec(folder: Path, **members: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"argv": ["x"], "display_name": "X", **members}))
    return folder


@pytest.mark.req("S1-05", "S1-09")
def test_venvs_conda_prefixes_and_installed_kernelspecs_are_found(catalogue: Catalogue, roots: Path) -> None:
    make_venv(roots / "team" / "churn" / ".venv")
    make_venv(roots / "stats", conda=True)
    make_spec(roots / "kernels" / "bash", language="bash")
    found = catalogue.specs()
    assert set(found) == {"churn", "stats", "bash"}
    assert found["churn"].environment == roots / "team" / "churn" / ".venv"
    assert found["stats"].environment is None


@pytest.mark.req("S1-05")
def test_environments_that_come_and_go_are_seen_at_the_next_question(catalogue: Catalogue, roots: Path) -> None:
    assert catalogue.specs() == {}
    made = make_venv(roots / "a")
    assert set(catalogue.specs()) == {"a"}
    (made / "bin" / "python").unlink()
    assert (catalogue.specs(), list(catalogue.left_out.values())) == ({}, ["its interpreter is gone"])
    (made / "bin" / "python").symlink_to("/bin/true")
    made.rename(roots / "b")
    assert set(catalogue.specs()) == {"b"}


def test_an_environment_without_ipykernel_is_left_out_with_the_reason(catalogue: Catalogue, roots: Path) -> None:
    make_venv(roots / "plain", ipykernel=False)
    assert catalogue.specs() == {}
    assert catalogue.left_out == {roots / "plain": "ipykernel is not installed in it"}


def test_names_are_unique_and_stay_with_their_environment(roots: Path, tmp_path: Path) -> None:
    make_venv(roots / "z" / "env1")
    first = Catalogue([roots], tmp_path / "names.json")
    assert set(first.specs()) == {"env1"}
    make_venv(roots / "a" / "env1")
    again = Catalogue([roots], tmp_path / "names.json").specs()
    assert {name: spec.environment for name, spec in again.items()} == {
        "env1": roots / "z" / "env1",
        "a-env1": roots / "a" / "env1",
    }


def test_a_root_that_is_an_environment_is_python3(tmp_path: Path) -> None:
    root = make_venv(tmp_path / "venv")
    make_spec(root / "share" / "jupyter" / "kernels" / "python3", argv=["python", *LAUNCH])
    make_spec(root / "share" / "jupyter" / "kernels" / "bash", argv=["python", "-m", "bash_kernel"])
    found = Catalogue([root], tmp_path / "names.json").specs()
    assert set(found) == {"python3", "bash"}
    assert found["bash"].argv[0] == str(root / "bin" / "python")


def test_links_and_folders_of_packages_are_not_walked(catalogue: Catalogue, roots: Path) -> None:
    (roots / "loop").symlink_to(roots)
    make_venv(roots / "node_modules" / "v")
    make_venv(roots / ".hidden" / "v")
    assert catalogue.specs() == {}


@pytest.mark.req("S1-06", "S1-07")
def test_the_hash_says_which_distributions_there_are_and_nothing_else(tmp_path: Path) -> None:
    one, two = (find_environment(make_venv(tmp_path / name)) for name in ("one", "two"))
    assert one is not None
    assert two is not None
    assert content_hash(one) == content_hash(two)
    (two.site_packages / "numpy-2.0.dist-info").mkdir()
    assert content_hash(one) != content_hash(two)


LAUNCH = ("-m", "ipykernel_launcher", "-f", "{connection_file}")


def test_only_an_ipykernel_of_a_venv_with_nothing_added_may_be_forked(tmp_path: Path) -> None:
    root = make_venv(tmp_path / "v")
    python = str(root / "bin" / "python")
    assert forkable([python, *LAUNCH]) == root
    assert forkable([python, "-Xfrozen_modules=off", *LAUNCH]) == root
    assert forkable([python, *LAUNCH, "--pylab"]) is None
    assert forkable(["python", *LAUNCH]) is None
    assert forkable([str(make_venv(tmp_path / "c", conda=True) / "bin" / "python"), *LAUNCH]) is None


@pytest.mark.parametrize("broken", ["{", "[]", '{"argv": []}', '{"display_name": "x"}'])
def test_a_broken_kernelspec_is_left_out(tmp_path: Path, broken: str) -> None:
    make_spec(tmp_path / "good")
    (make_spec(tmp_path / "bad") / "kernel.json").write_text(broken)
    assert set(list_specs([tmp_path])) == {"good"}


def test_a_pipe_in_place_of_a_kernelspec_is_not_waited_for(tmp_path: Path) -> None:
    make_spec(tmp_path / "good")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "kernel.json")
    assert set(list_specs([tmp_path])) == {"good"}


def test_python_means_the_default_and_others_are_named(tmp_path: Path) -> None:
    make_spec(tmp_path / "python3")
    make_spec(tmp_path / "R")
    specs = list_specs([tmp_path])
    assert [choose(specs, name).name for name in (None, "python", "Python3", "r")] == ["python3"] * 3 + ["r"]
    with pytest.raises(NotFound, match="cobol") as refused:
        choose(specs, "cobol")
    assert refused.value.hint == "Kernels here: python3, r."
    with pytest.raises(NotFound):
        choose({}, "python")


def test_logos_are_listed_but_no_links(tmp_path: Path) -> None:
    folder = make_spec(tmp_path / "k")
    (folder / "logo-64x64.png").touch()
    (folder / "logo-32x32.png").symlink_to("/etc/passwd")
    spec = read_spec(folder, "k")
    assert spec is not None
    shown = listing({"k": spec}, "/w/x/")["kernelspecs"]["k"]
    assert shown["resources"] == {"logo-64x64": "/w/x/kernelspecs/k/logo-64x64.png"}


def test_files_beside_a_kernelspec_can_be_read_but_no_links_and_nothing_hidden(tmp_path: Path) -> None:
    folder = make_spec(tmp_path / "k")
    (folder / "resource.txt").touch()
    (folder / ".secret").touch()
    (folder / "link.txt").symlink_to("/etc/passwd")
    (folder / "folder").mkdir()
    spec = read_spec(folder, "k")
    assert spec is not None
    assert find_resource_file(spec, "resource.txt") == folder / "resource.txt"
    refused = (".secret", "link.txt", "folder", "kernel.json", "nothing.txt", "..", "../k/resource.txt", "")
    assert [name for name in refused if find_resource_file(spec, name)] == []


def test_a_look_without_changes_lists_no_folder_again(
    catalogue: Catalogue, roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        make_venv(roots / f"e{number}")
    assert len(catalogue.specs()) == 50
    listed: list[object] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scan(path))
    assert len(catalogue.specs()) == 50
    assert not [path for path in listed if Path(str(path)).parent == roots or path == roots]


@pytest.mark.req("S1-06", "S1-07")
def test_an_environment_of_a_platform_is_told_by_its_build_then_and_now(tmp_path: Path) -> None:
    environment = find_environment(make_venv(tmp_path / "one"))
    assert environment is not None
    assert identify(environment) == {"hash": content_hash(environment)}
    builds = [{"number": 1, "hash": "a" * 64, "at": 100.0}, {"number": 4, "hash": "b" * 64, "at": 200.0}]
    state = [folder.stat().st_mtime_ns for folder in (environment.site_packages, environment.root / "lib")]
    file = environment.root / BUILD_FILE
    file.write_text(json.dumps({"base": "default", "state": state, "builds": builds}))
    first, last = ({"hash": f"sha256:{name * 64}", "build": n, "base": "default"} for name, n in (("a", 1), ("b", 4)))
    assert identify(environment) == last
    assert [identify(environment, at) for at in (50.0, 150.0, 250.0)] == [first, first, last]
    (environment.site_packages / "more-1.dist-info").mkdir()
    os.utime(environment.site_packages, ns=(1, 1))
    assert identify(environment) == last | {"changed": True}
    assert identify(environment, 150.0) == first
    for broken in ("[]", "{}", '{"base": 1, "state": 2, "builds": [3]}', "[" * 9999):
        file.write_text(broken)
        assert identify(environment) == {"hash": content_hash(environment)}


def test_a_kernel_of_a_conda_prefix_names_its_environment_too(tmp_path: Path) -> None:
    root = make_venv(tmp_path / "one", conda=True)
    make_spec(root / "share" / "jupyter" / "kernels" / "python3", argv=[str(root / "bin" / "python"), "-m", "x"])
    (spec,) = list_specs([root / "share" / "jupyter" / "kernels"]).values()
    environment = find_environment(root)
    assert environment is not None
    assert hash_of(with_environment(spec, {}).metadata) == content_hash(environment)
    assert hash_of(with_environment(replace(spec, argv=("python", "-m", "x")), {}).metadata) is None


def test_a_known_environment_is_told_as_it_is_now_without_a_look_at_all(catalogue: Catalogue, roots: Path) -> None:
    made = make_venv(roots / "a")
    assert catalogue.recall("a", "a") is None
    before = catalogue.specs()["a"]
    assert catalogue.recall("a", "python3") == before
    assert catalogue.recall(None, "a") == before
    assert catalogue.recall("absent", "a") is None
    packages = made / "lib" / "python3.11" / "site-packages"
    (packages / "polars-1.9.dist-info").mkdir()
    os.utime(packages, (1, 1))
    changed = catalogue.recall("a", "a")
    assert changed is not None
    assert hash_of(changed.metadata) != hash_of(before.metadata)
    assert changed == catalogue.specs()["a"]
    (made / "bin" / "python").unlink()
    assert catalogue.recall("a", "a") is None


def test_kernelspecs_of_folders_and_of_long_ago_are_looked_for_anew(
    catalogue: Catalogue, roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_spec(roots / "kernels" / "bash", language="bash")
    make_venv(roots / "a")
    assert set(catalogue.specs()) == {"a", "bash"}
    assert catalogue.recall("bash", "a") is None
    monkeypatch.setattr("studiolo.gateway.offers.catalogue._RECALL_SECONDS", -1.0)
    assert catalogue.recall("a", "a") is None
