"""Builds of environments: installed, removed, rolled back, built anew, cancelled, and what is told of them."""

import asyncio
import io
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from environments.simple_index import SimpleIndex
from server.environments.conftest import W, ended, install
from studiolo.gateway.starting.forkable import find_base
from studiolo.server.environments.installing import Alteration, Tell
from studiolo.server.environments.uv_installer import UvInstaller
from studiolo.server.services import Services
from studiolo.server.workspaces.packages import list_packages

E = f"{W}/churn/environment"


def changes(build: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(one["action"], one["name"], one["version"]) for one in build["changes"]]


def has(environment: Path, name: str) -> bool:
    return bool(list(environment.glob(f"lib/python3*/site-packages/{name}/__init__.py")))


async def ask(client: httpx.AsyncClient, verb: str, form: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask for a build and return it once it has ended."""
    reply = await client.post(f"{W}/churn/{verb}", json=form)
    assert reply.status_code == 202, reply.text
    return await ended(client, reply.json())


@pytest.mark.req("S0-59")
async def test_an_install_takes_what_packages_need_and_records_both(ana: httpx.AsyncClient, churn: Path) -> None:
    build = await install(ana, "stem")
    assert (build["state"], build["number"], build["is_live"]) == ("ready", 2, True), build
    assert changes(build) == [("installed", "leaf", "2.0"), ("installed", "stem", "1.0")]
    assert has(churn, "stem")
    assert has(churn, "leaf")
    # Kernels go on to be forked from what the base's kernel server imported.
    assert find_base(churn).name.startswith("base-")
    happened = (await ana.get(f"{W}/churn/activity")).json()["items"]
    installed = [one for one in happened if one["action"] == "package.installed"]
    assert {(one["target"], one["actor"]["name"], one["detail"]["cause"]) for one in installed} == {
        ("leaf", "ana", "install"),
        ("stem", "ana", "install"),
    }


@pytest.mark.req("S0-60", "S0-132")
async def test_the_seeds_form_takes_a_package_and_its_version(ana: httpx.AsyncClient, churn: Path) -> None:
    form = {"package": "leaf", "version": "1.0"}
    reply = await ana.post(f"{W}/churn/packages", json=form, params={"wait": 60})
    assert changes(reply.json()) == [("installed", "leaf", "1.0")], reply.text


@pytest.mark.req("S0-62")
async def test_packages_are_listed_with_where_they_came_from(ana: httpx.AsyncClient, churn: Path) -> None:
    await install(ana, "leaf")
    found = {one["name"]: one for one in (await ana.get(f"{W}/churn/packages")).json()["items"]}
    assert found["tiny"]["from_base"]
    assert (found["leaf"]["from_base"], found["leaf"]["version"]) == (False, "2.0")


async def test_what_has_no_wheel_is_not_built_and_that_is_said(
    ana: httpx.AsyncClient, index: SimpleIndex, churn: Path
) -> None:
    index.add_source("sourced", "1.0")
    build = await install(ana, "sourced")
    assert (build["state"], build["code"]) == ("failed", "package-unsolvable")
    assert build["message"].startswith("sourced has no wheel that fits, only source distributions")


async def test_what_was_asked_for_before_still_holds(ana: httpx.AsyncClient, index: SimpleIndex, churn: Path) -> None:
    index.add("needsnew", "1.0", needs=["leaf>=2"])
    await install(ana, "leaf<2")
    build = await install(ana, "needsnew")
    assert (build["state"], build["code"]) == ("failed", "package-unsolvable")
    assert "leaf" in build["message"]


async def test_an_undo_takes_out_what_came(ana: httpx.AsyncClient, churn: Path) -> None:
    await install(ana, "stem")
    build = await ask(ana, "environment/undo")
    assert [one[:2] for one in changes(build)] == [("removed", "leaf"), ("removed", "stem")]
    assert not has(churn, "stem")
    assert has(churn, "tiny")


async def test_an_undo_goes_past_builds_that_changed_nothing(ana: httpx.AsyncClient, churn: Path) -> None:
    assert (await ana.post(f"{E}/undo")).json()["code"] == "build-not-found"
    await install(ana, "leaf")
    assert changes(await install(ana, "leaf")) == []
    await ask(ana, "environment/undo")
    assert not has(churn, "leaf")


async def test_a_roll_back_brings_back_versions_by_their_hashes(ana: httpx.AsyncClient, churn: Path) -> None:
    first = await install(ana, "leaf==1.0")
    await install(ana, "leaf==2.0")
    build = await ask(ana, "environment/rollback", {"to": first["number"]})
    assert changes(build) == [("changed", "leaf", "1.0")]
    assert build["hash"] == first["hash"]


async def test_what_the_base_brought_comes_back_from_the_base(
    ana: httpx.AsyncClient, index: SimpleIndex, churn: Path
) -> None:
    index.add("tiny", "2.0")
    await install(ana, "tiny==2.0")
    # No index has the base's own version.
    build = await ask(ana, "environment/rollback", {"to": 1})
    assert changes(build) == [("changed", "tiny", "1.0")], build
    found = {one["name"]: one["from_base"] for one in (await ana.get(f"{W}/churn/packages")).json()["items"]}
    assert found == {"tiny": True}


async def test_a_rebuild_leaves_out_what_no_lock_names(ana: httpx.AsyncClient, churn: Path) -> None:
    before = await install(ana, "leaf")
    (site,) = churn.glob("lib/python3*/site-packages")
    (site / "tiny/__init__.py").write_text("version = 'edited'")
    build = await ask(ana, "environment/rebuild")
    assert (build["state"], build["hash"]) == ("ready", before["hash"]), build
    assert build["message"] == "Made anew, with the same packages."
    assert "edited" not in (site / "tiny/__init__.py").read_text()
    assert has(churn, "leaf")


async def test_what_an_earlier_build_added_is_not_taken_for_the_base(ana: httpx.AsyncClient, churn: Path) -> None:
    await install(ana, "leaf")
    await install(ana, "stem")
    own = {one["name"] for one in list_packages(churn) if not one["base"]}
    assert {"leaf", "stem"} <= own, own
    assert "tiny" not in own


async def test_a_removal_is_a_build_and_spares_the_base(ana: httpx.AsyncClient, churn: Path) -> None:
    await install(ana, "stem")
    assert changes(await ask(ana, "packages/remove", {"packages": ["stem"]})) == [("removed", "stem", None)]
    refused = await ask(ana, "packages/remove", {"packages": ["tiny"]})
    assert (refused["state"], refused["code"]) == ("failed", "package-of-base")
    absent = await ask(ana, "packages/remove", {"packages": ["absent"]})
    assert absent["code"] == "package-not-installed"


async def test_builds_that_are_asked_for_at_once_are_made_one_after_the_other(
    ana: httpx.AsyncClient, churn: Path
) -> None:
    forms = [{"packages": [name]} for name in ("leaf==1.0", "stem")]
    asked = [(await ana.post(f"{W}/churn/packages", json=form)).json() for form in forms]
    assert [(await ended(ana, one))["state"] for one in asked] == ["ready", "ready"]
    found = {one["name"]: one["version"] for one in (await ana.get(f"{W}/churn/packages")).json()["items"]}
    # The second one kept to what the first was asked for.
    assert found == {"leaf": "1.0", "stem": "1.0", "tiny": "1.0"}


async def test_a_cancelled_build_leaves_the_environment_as_it_was(
    ana: httpx.AsyncClient, churn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def never(self: UvInstaller, prefix: Path, change: Alteration, tell: Tell) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(UvInstaller, "apply", never)
    asked = (await ana.post(f"{W}/churn/packages", json={"packages": ["leaf"]})).json()
    async with asyncio.timeout(60):
        await begun.wait()
    number = asked["number"]
    assert (await ana.delete(f"{E}/builds/{number}")).json()["state"] == "cancelled"
    assert (await ana.delete(f"{E}/builds/{number}")).json()["code"] == "build-ended"
    monkeypatch.undo()
    assert not has(churn, "leaf")
    assert churn.is_dir()


async def test_a_killed_platform_makes_the_build_afterwards(
    ana: httpx.AsyncClient, services: Services, churn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, real = asyncio.Event(), UvInstaller.apply

    async def cut_off(self: UvInstaller, prefix: Path, change: Alteration, tell: Tell) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(UvInstaller, "apply", cut_off)
    asked = (await ana.post(f"{W}/churn/packages", json={"packages": ["leaf"]})).json()
    async with asyncio.timeout(60):
        await begun.wait()
    (step,) = services.builder.runner._tasks.values()
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)
    monkeypatch.setattr(UvInstaller, "apply", real)
    services.builder.runner.look()
    assert (await ended(ana, asked))["state"] == "ready"
    assert has(churn, "leaf")


async def test_an_install_in_the_middle_of_a_build_is_not_lost(
    ana: httpx.AsyncClient, churn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, times = UvInstaller.apply, 0

    async def beside(self: UvInstaller, prefix: Path, change: Alteration, tell: Tell) -> None:
        nonlocal times
        times += 1
        if times == 1:
            (site,) = churn.glob("lib/python3*/site-packages")
            (site / "mine.py").write_text("x = 1")
        await real(self, prefix, change, tell)

    monkeypatch.setattr(UvInstaller, "apply", beside)
    assert (await install(ana, "leaf"))["state"] == "ready"
    assert times == 2
    assert list(churn.glob("lib/python3*/site-packages/mine.py"))


async def test_history_tells_builds_and_their_difference(ana: httpx.AsyncClient, churn: Path) -> None:
    await install(ana, "leaf==1.0")
    await install(ana, "leaf==2.0")
    found = (await ana.get(f"{E}/builds")).json()["items"]
    assert [(one["number"], one["cause"], one["wish"]) for one in found] == [
        (3, "install", "Install leaf==2.0"),
        (2, "install", "Install leaf==1.0"),
        (1, "base", "Begin from the base"),
    ]
    difference = (await ana.get(f"{E}/difference", params={"before": 1, "after": 3})).json()
    assert changes(difference) == [("installed", "leaf", "2.0")]
    lock = (await ana.get(f"{E}/lock", params={"build": 2})).text
    assert 'version = "1.0"' in lock
    assert 'name = "leaf"' in lock


async def test_progress_is_told_to_whoever_waits(ana: httpx.AsyncClient, churn: Path) -> None:
    asked = (await ana.post(f"{W}/churn/packages", json={"packages": ["leaf"]})).json()
    told = (await ana.get(f"{E}/builds/{asked['number']}/progress", timeout=60)).text
    assert "event: line" in told
    assert '"state":"ready"' in told


@pytest.mark.parametrize(
    "spec", ["leaf @ https://example.com/leaf.whl", "-r /etc/passwd", "./leaf", "leaf; python_version>'3'", "", "a b"]
)
async def test_nothing_leads_past_the_index(ana: httpx.AsyncClient, churn: Path, spec: str) -> None:
    reply = await ana.post(f"{W}/churn/packages", json={"packages": [spec]})
    assert (reply.status_code, reply.json()["code"]) == (422, "package-invalid")


@pytest.mark.req("S1-10")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements.txt", "# ours\nleaf==1.0  # why\nabsent; python_version < '3'\n"),
        ("pyproject.toml", '[project]\nname = "x"\ndependencies = ["leaf==1.0"]\n'),
        ("study.py", '# /// script\n# dependencies = ["leaf==1.0"]\n# ///\nimport leaf\n'),
        ("environment.yml", "dependencies:\n- python=3.11\n- pip\n- pip:\n  - leaf==1.0\n"),
        ("packages.yml", "packages: [leaf==1.0]\n"),
    ],
)
async def test_files_of_five_kinds_list_packages(ana: httpx.AsyncClient, churn: Path, name: str, text: str) -> None:
    build = await install(ana, file={"name": name, "text": text})
    assert changes(build) == [("installed", "leaf", "1.0")], build


async def test_a_file_that_leads_elsewhere_names_the_entry(ana: httpx.AsyncClient, churn: Path) -> None:
    file = {"name": "requirements.txt", "text": "leaf\n--extra-index-url https://example.com/simple\n"}
    reply = await ana.post(f"{W}/churn/packages", json={"file": file})
    assert reply.json()["code"] == "package-file-invalid"
    assert "--extra-index-url" in reply.json()["detail"]


_PARTS = "a" + ".a" * 3000
_BOMB = "a: &a [x, x]\n" + "".join(
    f"{n}: &{n} [*{b}, *{b}, *{b}, *{b}]\n" for b, n in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", f'[project]\ndependencies = ["leaf"]\n{_PARTS} = 1\n'),
        ("study.py", f'# /// script\n# dependencies = ["leaf"]\n# {_PARTS} = 1\n# ///\n'),
        ("environment.yml", f"{_BOMB}dependencies: [*g]\n"),
    ],
)
async def test_a_file_that_would_fill_memory_is_refused(
    ana: httpx.AsyncClient, churn: Path, name: str, text: str
) -> None:
    reply = await ana.post(f"{W}/churn/packages", json={"file": {"name": name, "text": text}})
    assert (reply.status_code, reply.json()["code"]) == (422, "package-file-invalid"), reply.text


async def test_a_lock_that_would_fill_memory_is_refused(ana: httpx.AsyncClient, churn: Path) -> None:
    reply = await ana.post(f"{W}/churn/environment/restore", json={"lock": f"{_PARTS} = 1"})
    assert (reply.status_code, reply.json()["code"]) == (422, "lock-invalid"), reply.text


async def test_hashes_in_a_list_are_held_to(ana: httpx.AsyncClient, index: SimpleIndex, churn: Path) -> None:
    digest = index.add("sealed", "1.0")
    text = "sealed==1.0 \\\n    --hash=sha256:{} \\\n    --hash=sha256:{}\n"
    other = await install(ana, file={"name": "requirements.txt", "text": text.format("0" * 64, "1" * 64)})
    assert (other["state"], other["code"]) == ("failed", "package-unsolvable")
    assert "sealed 1.0" in other["message"]
    assert not has(churn, "sealed")
    same = await install(ana, file={"name": "requirements.txt", "text": text.format("0" * 64, digest)})
    assert changes(same) == [("installed", "sealed", "1.0")], same
    weak = {"file": {"name": "requirements.txt", "text": "sealed==1.0 --hash=md5:00\n"}}
    assert (await ana.post(f"{W}/churn/packages", json=weak)).json()["code"] == "package-file-invalid"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", '[project]\nname = "x"\nrequires-python = "<3.4"\ndependencies = ["leaf"]\n'),
        ("study.py", '# /// script\n# requires-python = ">=3.99"\n# dependencies = ["leaf"]\n# ///\n'),
        ("pyproject.toml", '[project]\nname = "x"\nrequires-python = 3\ndependencies = ["leaf"]\n'),
    ],
)
async def test_a_file_for_another_python_is_refused(ana: httpx.AsyncClient, churn: Path, name: str, text: str) -> None:
    reply = await ana.post(f"{W}/churn/packages", json={"file": {"name": name, "text": text}})
    assert (reply.status_code, reply.json()["code"]) == (422, "package-file-invalid")
    assert "ython" in reply.json()["detail"]


async def test_a_channel_without_a_conda_package_is_refused(ana: httpx.AsyncClient, churn: Path) -> None:
    reply = await ana.post(f"{W}/churn/packages", json={"package": "leaf", "channel": "conda-forge"})
    assert (reply.status_code, reply.json()["code"]) == (422, "request-invalid")


async def test_a_bill_of_materials_names_packages_with_their_hashes(
    ana: httpx.AsyncClient, index: SimpleIndex, churn: Path
) -> None:
    digest = index.add("exact", "1.0")
    await install(ana, "exact")
    bill = (await ana.get(f"{E}/sbom")).json()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    found = {one["purl"]: one.get("hashes") for one in bill["components"]}
    assert found["pkg:pypi/exact@1.0"] == [{"alg": "SHA-256", "content": digest}]
    assert "pkg:pypi/tiny@1.0" in found


async def test_a_lock_alone_makes_the_same_elsewhere(ana: httpx.AsyncClient, churn: Path) -> None:
    await install(ana, "stem")
    lock = (await ana.get(f"{E}/lock")).text
    there = await ask(ana, "environment/restore", {"lock": lock})
    assert (there["state"], there["message"]) == ("ready", "Everything was there already."), there
    await ask(ana, "packages/remove", {"packages": ["stem"]})
    again = await ask(ana, "environment/restore", {"lock": lock})
    assert (again["state"], changes(again)) == ("ready", [("installed", "stem", "1.0")]), again
    assert (await ana.get(f"{E}/lock")).text == lock


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('name = "stem"', 'name = "stem\\n--index-url http://evil.example"'),
        ('version = "1.0"', 'version = "1.0 --pre"'),
        ('version = "1.0"', 'version = "1.1"'),
        ('python = "', 'python = "x'),
        ("[tool.studiolo]", "[tool.other]"),
    ],
)
async def test_a_lock_that_somebody_changed_is_refused(
    ana: httpx.AsyncClient, churn: Path, before: str, after: str
) -> None:
    await install(ana, "stem")
    lock = (await ana.get(f"{E}/lock")).text
    assert before in lock
    refused = await ana.post(f"{E}/restore", json={"lock": lock.replace(before, after)})
    assert (refused.status_code, refused.json()["code"]) == (422, "lock-invalid"), refused.text
    assert "evil" not in str((await ana.get(f"{E}/builds")).json())


async def test_an_archive_brings_its_environment_along(ana: httpx.AsyncClient, churn: Path) -> None:
    await install(ana, "stem")
    archive = (await ana.get(f"{W}/churn/archive")).content
    reply = await ana.post(f"{W}/import", content=archive, params={"name": "again"})
    made = reply.json()
    assert (reply.status_code, made["build"], made["left_out"]) == (201, 2, []), made
    number, there = made["build"], f"{W}/again/environment"
    build = (await ana.get(f"{there}/builds/{number}", params={"wait": 25})).json()
    assert (build["state"], build["cause"]) == ("ready", "restore"), build
    locks = [(await ana.get(f"{place}/lock")).text for place in (E, there)]
    assert locks[0] == locks[1]
    # A lock that is not to be had keeps nothing else out.
    broken = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(broken, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"stem", b"stalk"))
    made = (await ana.post(f"{W}/import", content=broken.getvalue(), params={"name": "broken"})).json()
    assert made["build"] is None
    assert any("environment" in line for line in made["left_out"]), made
