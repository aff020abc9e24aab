"""What installers in notebooks and terminals do to a workspace's environment becomes a build, with who it was."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert
from uv import find_uv_bin

from environments.wheels import make_wheel
from studiolo.gateway.offers.environments import find_environment, identify
from studiolo.kit.clock import ManualClock
from studiolo.kit.reconcile import running
from studiolo.packages.installed.fingerprint import of_wheel
from studiolo.server.packages.tables import package_deliveries
from studiolo.server.services import Services

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"
A = "/api/v1/audit"

pytestmark = pytest.mark.timeout(120)


class Place:
    """A workspace whose environment is a real one, watched while time passes."""

    def __init__(
        self,
        services: Services,
        clock: ManualClock,
        client: httpx.AsyncClient,
        admin: httpx.AsyncClient,
        made: dict[str, Any],
    ) -> None:
        self._services = services
        self._clock = clock
        self._client = client
        self._admin = admin
        self.id = str(made["id"])
        self.prefix = Path(made["environment"]["python"]).parents[1]

    @property
    def site(self) -> Path:
        """Its site-packages."""
        return next(self.prefix.glob("lib/python3*/site-packages"))

    async def install(self, *words: str | Path) -> None:
        """Have uv change it, as a notebook would."""
        command = [find_uv_bin(), "pip", *words, "-q", "--python", self.prefix / "bin" / "python"]
        await asyncio.to_thread(subprocess.run, command, check=True)

    async def builds(self) -> list[dict[str, Any]]:
        """Its builds, the oldest first."""
        reply = await self._client.get(f"{W}/churn/environment/builds")
        assert reply.status_code == 200, reply.text
        return sorted(reply.json()["items"], key=lambda build: int(build["number"]))

    async def build(self, number: int) -> dict[str, Any]:
        """Let time pass until there is a build of this number; return it."""
        async with asyncio.timeout(60):
            while True:
                found = [build for build in await self.builds() if build["number"] == number]
                if found and found[0]["state"] == "ready":
                    return found[0]
                await self.wait(1)

    async def deliver(self, wheel: Path, session_id: str) -> None:
        """Have the ledger say that the index handed a wheel out to a session."""
        who = (await self._client.get(f"{S}/{session_id}")).json()["person"]["id"]
        name, version, *_ = wheel.name.split("-")
        row = {
            "id": f"d-{name}", "workspace_id": self.id, "session_id": session_id, "person_id": who,
            "ecosystem": "pypi", "channel": "default", "name": name, "version": version, "file": wheel.name,
            "sha256": "a" * 64, "fingerprint": of_wheel(wheel), "policy_hash": "p", "cause": "client",
            "at": self._clock.now(),
        }  # fmt: skip
        async with self._services.db.write() as tx:
            await tx.connection.execute(insert(package_deliveries).values(**row))

    async def wait(self, seconds: float) -> None:
        """Let time pass; the watcher looks meanwhile."""
        for _ in range(int(seconds * 2)):
            self._clock.advance(timedelta(seconds=0.5))
            self._services.live_environments.runner.hint(self.id)
            await asyncio.sleep(0.02)

    async def events(self, action: str) -> list[dict[str, Any]]:
        """The audit events of an action, the oldest first."""
        reply = await self._admin.get(A, params={"limit": 200})
        assert reply.status_code == 200, reply.text
        return [event for event in reversed(reply.json()["items"]) if event["action"] == action]


@pytest.fixture
async def place(
    services: Services, clock: ManualClock, ana: httpx.AsyncClient, admin: httpx.AsyncClient
) -> AsyncIterator[Place]:
    base = services.settings.data_dir / "environments" / "base-real"
    base.parent.mkdir(exist_ok=True)
    subprocess.run([find_uv_bin(), "venv", "-q", "--relocatable", base], check=True)
    (base / ".ready").touch()

    async def build_base(progress: object) -> Path:
        return base

    services.environments._build_base = build_base
    made = (await ana.post(W, json={"name": "churn"})).json()
    found = Place(services, clock, ana, admin, made)
    watching = asyncio.create_task(services.live_environments.look_forever())
    async with running(services.live_environments.runner):
        await found.build(1)
        yield found
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


@asynccontextmanager
async def session(client: httpx.AsyncClient) -> AsyncIterator[str]:
    reply = await client.post(S, json={"workspace": "ana/churn"}, params={"wait": 10})
    assert reply.json()["state"] == "running", reply.text
    yield reply.json()["id"]
    await client.post(f"{S}/{reply.json()['id']}/stop", params={"wait": 10})


@pytest.mark.req("S0-43", "S0-81")
async def test_an_installation_in_a_session_becomes_a_build_of_its_person(
    place: Place, ana: httpx.AsyncClient, tmp_path: Path
) -> None:
    first = await place.build(1)
    assert (first["cause"], first["changes"]) == ("base", [])
    async with session(ana) as session_id:
        await place.install("install", make_wheel(tmp_path, "tiny", "1.0"))
        build = await place.build(2)
        assert (build["cause"], build["made_by"]["name"], build["session_id"]) == ("live", "ana", session_id)
        assert [(one["action"], one["name"], one["version"]) for one in build["changes"]] == [
            ("installed", "tiny", "1.0")
        ]
        assert build["hash"] != first["hash"]
        await place.install("uninstall", "tiny")
        last = await place.build(3)
    assert [one["action"] for one in last["changes"]] == ["removed"]
    assert last["hash"] == first["hash"]
    (installed,) = await place.events("package.installed")
    assert (installed["target"], installed["actor"]["name"]) == ("tiny", "ana")
    assert installed["detail"]["session"] == session_id
    assert len(await place.events("package.removed")) == 1
    # Nobody delivered it: it came from a file.
    assert [event["target"] for event in await place.events("package.unverified")] == ["tiny"]


async def test_what_the_index_delivered_is_proven_by_its_fingerprint(
    place: Place, ana: httpx.AsyncClient, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    async with session(ana) as session_id:
        await place.deliver(wheel, session_id)
        await place.install("install", wheel)
        await place.build(2)
    assert await place.events("package.unverified") == []
    (event,) = await place.events("package.installed")
    assert (event["detail"]["file"], event["detail"]["sha256"]) == (wheel.name, "a" * 64)
    lock = (await ana.get(f"{W}/churn/environment/lock", params={"build": 2})).text
    assert wheel.name in lock
    assert "a" * 64 in lock


async def test_several_installations_in_a_row_are_one_build(
    place: Place, ana: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with session(ana):
        for name in ("one", "two", "three"):
            await place.install("install", make_wheel(tmp_path, name, "1.0"))
        build = await place.build(2)
        await place.wait(10)
    assert [one["name"] for one in build["changes"]] == ["one", "three", "two"]
    assert len(await place.builds()) == 2


async def test_an_installer_at_work_is_waited_for(place: Place, ana: httpx.AsyncClient, tmp_path: Path) -> None:
    async with session(ana):
        half = place.site / "half-1.0.dist-info"
        half.mkdir()
        (half / "METADATA").write_text("Metadata-Version: 2.1\nName: half\nVersion: 1.0\n")
        await place.wait(30)
        assert len(await place.builds()) == 1
        (half / "RECORD").write_text("half.py,sha256=x,1\n")
        assert (await place.build(2))["changes"][0]["name"] == "half"


async def test_with_two_people_in_an_environment_nobody_is_blamed(
    place: Place, ana: httpx.AsyncClient, leo: httpx.AsyncClient, tmp_path: Path
) -> None:
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    async with session(ana), session(leo):
        await place.install("install", make_wheel(tmp_path, "tiny", "1.0"))
        build = await place.build(2)
    assert (build["made_by"], build["session_id"]) == (None, None)
    assert (await place.events("package.installed"))[0]["actor"] is None


async def test_code_that_was_put_there_by_hand_is_recorded_as_unverified(place: Place, ana: httpx.AsyncClient) -> None:
    async with session(ana):
        (place.site / "evil.pth").write_text("import os\n")
        build = await place.build(2)
    assert build["changes"] == []
    (event,) = await place.events("package.unverified")
    assert event["target"].endswith("site-packages/evil.pth")


async def test_what_was_installed_while_the_platform_was_down_is_found(
    place: Place, ana: httpx.AsyncClient, services: Services, tmp_path: Path
) -> None:
    async with session(ana):
        await place.install("install", make_wheel(tmp_path, "tiny", "1.0"))
        await place.build(2)
        # A platform that starts anew knows what it wrote down, and nothing else.
        services.live_environments._watched.clear()
        await place.wait(10)
        assert len(await place.builds()) == 2
        services.live_environments._watched.clear()
        await place.install("uninstall", "tiny")
        assert (await place.build(3))["changes"][0]["action"] == "removed"


@pytest.mark.req("S1-06", "S1-07")
async def test_an_environment_knows_which_build_it_is(place: Place, ana: httpx.AsyncClient, tmp_path: Path) -> None:
    environment = find_environment(place.prefix)
    assert environment is not None
    first = await place.build(1)
    # Before anything ran in it.
    assert identify(environment) == {"hash": f"sha256:{first['hash']}", "build": 1, "base": first["base"]}
    async with session(ana):
        await place.install("install", make_wheel(tmp_path, "tiny", "1.0"))
        build = await place.build(2)
        await place.wait(3)
        assert identify(environment) == {"hash": f"sha256:{build['hash']}", "build": 2, "base": build["base"]}


async def test_links_in_place_of_the_builds_file_are_not_followed(
    place: Place, ana: httpx.AsyncClient, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (place.prefix / ".studiolo-build").unlink(missing_ok=True)
    (place.prefix / ".studiolo-build").symlink_to(outside)
    async with session(ana):
        await place.install("install", make_wheel(tmp_path, "tiny", "1.0"))
        await place.build(2)
        await place.wait(3)
    assert outside.read_text() == "mine"
    assert json.loads((place.prefix / ".studiolo-build").read_text())["builds"][-1]["number"] == 2


async def test_an_environment_that_vanishes_is_no_error(place: Place, ana: httpx.AsyncClient) -> None:
    async with session(ana):
        shutil.rmtree(place.prefix)
        await place.wait(10)
        assert len(await place.builds()) == 1


@pytest.mark.parametrize("said", ["elsewhere", None])
async def test_what_its_users_call_the_base_proves_nothing(
    place: Place, ana: httpx.AsyncClient, tmp_path: Path, said: str | None
) -> None:
    first = await place.build(1)
    async with session(ana):
        (place.prefix / ".studiolo-base").unlink()
        await place.install("install", make_wheel(tmp_path, "tiny", "1.0"))
        if said is not None:
            shutil.copytree(place.prefix, tmp_path / "base-mine", symlinks=True)
            (place.prefix / ".studiolo-base").write_text(str(tmp_path / "base-mine"))
        build = await place.build(2)
        await place.install("uninstall", "tiny")
        last = await place.build(3)
    assert [event["target"] for event in await place.events("package.unverified")] == ["tiny"]
    assert build["base"] == first["base"]
    assert last["hash"] == first["hash"]


@pytest.mark.req("S1-06", "S1-07")
async def test_somebody_else_gets_the_same_environment_by_its_hash(
    place: Place, ana: httpx.AsyncClient, leo: httpx.AsyncClient, services: Services, tmp_path: Path
) -> None:
    await leo.post(W, json={"name": "mine"})
    async with session(ana) as session_id:
        wheel = make_wheel(tmp_path, "tiny", "1.0")
        await place.deliver(wheel, session_id)
        await place.install("install", wheel)
        build = await place.build(2)
    asked = {"hash": f"sha256:{build['hash']}"}
    refused = await leo.post(f"{W}/mine/environment/restore", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (404, "environment-unknown")
    assert (await leo.post(f"{W}/ana%2Fchurn/environment/restore", json=asked)).status_code == 404
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "viewer"})
    made = (await leo.post(f"{W}/mine/environment/restore", json=asked)).json()
    assert (made["cause"], made["state"], made["made_by"]["name"]) == ("restore", "building", "leo")
    assert (await leo.post(f"{W}/ana%2Fchurn/environment/restore", json=asked)).status_code == 403


async def test_packages_that_a_notebook_names_stand_in_for_an_unknown_hash(
    place: Place, ana: httpx.AsyncClient
) -> None:
    asked = {"hash": "sha256:unknown", "packages": ["six==1.17.0"]}
    made = (await ana.post(f"{W}/churn/environment/restore", json=asked)).json()
    assert made["cause"] == "restore"
    assert "six" in made["wish"]
    refused = await ana.post(f"{W}/churn/environment/restore", json={"packages": ["-i evil"]})
    assert refused.json()["code"] == "package-invalid"


async def test_an_environment_made_anew_is_watched_as_well(
    place: Place, ana: httpx.AsyncClient, services: Services, tmp_path: Path
) -> None:
    async with session(ana):
        shutil.move(place.prefix, tmp_path / "aside")
        await place.wait(10)
        shutil.move(tmp_path / "aside", place.prefix)
        await place.wait(3)
        await place.install("install", make_wheel(tmp_path, "tiny", "1.0"))
        assert (await place.build(2))["changes"][0]["name"] == "tiny"


async def test_what_was_changed_just_before_a_session_ended_is_recorded_and_then_nothing_is_watched(
    place: Place, ana: httpx.AsyncClient, services: Services, tmp_path: Path
) -> None:
    async with session(ana):
        await place.wait(3)
        await place.install("install", make_wheel(tmp_path, "tiny", "1.0"))
    await place.build(2)
    for _ in range(60):
        await place.wait(1)
        if not services.live_environments._watched:
            break
    assert services.live_environments._watched == {}


async def test_changing_something_all_the_time_does_not_evade_the_record(
    place: Place, ana: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with session(ana):
        await place.install("install", make_wheel(tmp_path, "tiny", "1.0"))
        for turn in range(300):
            (place.site / f"busy-{turn % 2}.txt").touch()
            (place.site / f"busy-{(turn + 1) % 2}.txt").unlink(missing_ok=True)
            await place.wait(0.5)
            if len(await place.builds()) == 2:
                break
        assert (await place.builds())[-1]["changes"][0]["name"] == "tiny"


async def test_a_build_of_ours_is_not_taken_for_a_change_by_somebody(
    place: Place, ana: httpx.AsyncClient, services: Services, tmp_path: Path
) -> None:
    async with session(ana), running(services.builder.runner):
        await place.install("install", make_wheel(tmp_path, "tiny", "1.0"))
        await place.build(2)
        (await ana.post(f"{W}/churn/packages/remove", json={"packages": ["tiny"]})).raise_for_status()
        assert (await place.build(3))["cause"] == "remove"
        await place.wait(10)
        assert len(await place.builds()) == 3
        noted = json.loads((place.prefix / ".studiolo-build").read_text())
        assert [build["number"] for build in noted["builds"]] == [1, 2, 3]
        # And what comes after it is seen in the environment that took the other one's place.
        await place.install("install", make_wheel(tmp_path, "tiny", "2.0"))
        assert (await place.build(4))["cause"] == "live"


async def test_what_no_index_delivered_cannot_be_had_again_and_is_named(
    place: Place, ana: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with session(ana):
        await place.install("install", make_wheel(tmp_path, "tiny", "1.0"))
        build = await place.build(2)
    refused = await ana.post(f"{W}/churn/environment/restore", json={"hash": build["hash"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "environment-not-portable")
    assert "tiny" in refused.json()["detail"]
