"""A workspace goes out as one archive and comes in again, here or elsewhere; nothing else comes in with it."""

import io
import json
import os
import stat
import struct
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from server.conftest import People
from studiolo.contract.archives import DESCRIPTION, WorkspaceArchive
from studiolo.contract.errors import InvalidInput
from studiolo.kit.piping import Pipe, piped
from studiolo.server.services import Services
from studiolo.server.settings import Settings
from studiolo.server.settings.workspaces import WorkspaceSettings

W = "/api/v1/jupyter/workspaces"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    limits = WorkspaceSettings(import_max_bytes=2_000_000, import_max_entries=50)
    return Settings(data_dir=tmp_path / "data", port=28888, run_dir=tmp_path / "run", workspaces=limits)


async def make(client: httpx.AsyncClient, name: str, **form: object) -> Path:
    made = (await client.post(W, json={"name": name} | form)).json()
    return Path(made["path"])


async def bring_in(client: httpx.AsyncClient, content: bytes, name: str | None = None) -> httpx.Response:
    return await client.post(f"{W}/import", content=content, params={"name": name} if name else {})


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return held.getvalue()


async def test_what_comes_in_is_what_went_out(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    folder = await make(ana, "churn", description="Who leaves", environment={"TEAM": "red"})
    (folder / "data").mkdir()
    (folder / "data" / "ünï code.csv").write_text("1,2\n")
    (folder / "data" / os.fsdecode(b"no\xfftext")).write_bytes(os.urandom(300_000))
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "outside").symlink_to("/etc/passwd")
    (folder / ".studiolo" / "history").mkdir(parents=True)
    (folder / ".studiolo" / "history" / "old").write_text("a version")
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    out = await ana.get(f"{W}/churn/archive")
    assert (out.status_code, out.headers["content-type"]) == (200, "application/zip")
    assert 'filename="churn.zip"' in out.headers["content-disposition"]
    came = (await bring_in(ana, out.content, "copy")).json()
    there = Path(came["workspace"]["path"])
    for name in ("data/ünï code.csv", os.fsdecode(b"data/no\xfftext"), "run.sh", "notebooks/welcome.ipynb"):
        assert (there / name).read_bytes() == (folder / name).read_bytes()
    assert (there / "run.sh").stat().st_mode & 0o777 == 0o755
    assert sorted(entry.name for entry in there.iterdir()) == ["data", "notebooks", "run.sh"]
    assert came["workspace"]["description"] == "Who leaves"
    assert "TEAM: red" in (await ana.get(f"{W}/copy/config")).text
    assert (came["members"], came["unknown_members"]) == (["leo@example.com"], [])
    assert (await leo.get(f"{W}/ana~copy")).json()["role"] == "editor"


async def test_members_that_nobody_is_here_are_named(ana: httpx.AsyncClient) -> None:
    told = WorkspaceArchive.model_validate(
        {
            "exported_at": "2026-11-21T04:00:00Z",
            "version": "1",
            "name": "elsewhere",
            "members": [{"email": "zoe@example.com", "role": "editor"}, {"email": "leo", "role": "owner"}],
            "packages": ["polars==1.9"],
        }
    )
    came = await bring_in(ana, zipped((DESCRIPTION, told.model_dump_json().encode()), ("a.txt", b"a")))
    assert came.status_code == 201
    assert came.json()["workspace"]["name"] == "elsewhere"
    assert came.json()["unknown_members"] == ["zoe@example.com", "leo"]
    assert came.json()["packages"] == ["polars==1.9"]


async def test_only_an_owner_takes_addresses_out_and_an_administrator_nothing(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient, admin: httpx.AsyncClient, people: People
) -> None:
    await make(ana, "churn")
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "viewer"})
    with zipfile.ZipFile(io.BytesIO((await leo.get(f"{W}/ana~churn/archive")).content)) as archive:
        assert WorkspaceArchive.model_validate_json(archive.read(DESCRIPTION)).members == []
    assert (await admin.get(f"{W}/ana~churn/archive")).status_code == 403


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry, target.encode()


async def test_links_and_our_own_folder_are_left_out(ana: httpx.AsyncClient) -> None:
    content = zipped(link("out", "/etc/passwd"), (".studiolo/trash/x", b"x"), ("a.txt", b"a"))
    came = (await bring_in(ana, content, "plain")).json()
    assert sorted(path.name for path in Path(came["workspace"]["path"]).iterdir()) == ["a.txt", "notebooks"]
    assert [line.split(":")[0] for line in came["left_out"]] == ["out", ".studiolo/trash/x"]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"no zip at all", 422, "archive-invalid"),
        (b"", 422, "archive-invalid"),
        (zipped(("../out", b"x")), 422, "archive-invalid"),
        (zipped(("/etc/out", b"x")), 422, "archive-invalid"),
        (zipped(("a/../../out", b"x")), 422, "archive-invalid"),
        (zipped(("a", b"x"), ("a/b", b"x")), 422, "archive-invalid"),
        (zipped(link("a", "/tmp"), ("a/../../b", b"x")), 422, "archive-invalid"),
        (zipped(("sub/.studiolo/x", b"x")), 422, "archive-invalid"),
        (zipped(("zeros", bytes(3_000_000))), 429, "archive-too-large"),
        (zipped(*((f"f{i}", b"") for i in range(60))), 429, "archive-too-large"),
        (zipped(("d/" * 60 + "f", b"")), 429, "archive-too-large"),
        (zipped((DESCRIPTION, b"{}")), 422, "archive-invalid"),
        (os.urandom(2_100_000), 429, "archive-too-large"),
        (zipped(("a", b"x"))[:-10] + struct.pack("<LLH", 0xFFFFFFF0, 0, 0), 429, "archive-too-large"),
    ],
    ids=[
        *("no zip", "nothing", "above", "absolute", "above within", "file as folder", "through a link", "ours below"),
        *("bomb", "many", "deep", "wrong description", "large", "huge directory"),
    ],
)
async def test_what_may_not_come_in_is_refused_and_leaves_nothing(
    ana: httpx.AsyncClient, settings: Settings, content: bytes, status: int, code: str
) -> None:
    refused = await bring_in(ana, content, "bad")
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert (await ana.get(f"{W}/bad")).status_code == 404
    place = settings.data_dir / "workspaces"
    assert not place.exists() or list(place.iterdir()) == []


async def test_a_name_in_use_is_refused_before_anything_is_kept(ana: httpx.AsyncClient, settings: Settings) -> None:
    await make(ana, "churn")
    refused = await bring_in(ana, zipped(("a", b"x")), "churn")
    assert (refused.status_code, refused.json()["code"]) == (409, "workspace-exists")
    assert len(list((settings.data_dir / "workspaces").iterdir())) == 1


async def test_an_upload_that_breaks_off_leaves_nothing(services: Services, people: People, settings: Settings) -> None:
    who = await people.add("ana")

    async def broken() -> AsyncIterator[bytes]:
        yield zipped(("a", b"x"))[:20]
        raise InvalidInput("archive-invalid", "The archive broke off on its way.")

    with pytest.raises(InvalidInput):
        await services.imports.import_(who, broken(), name="broken")
    assert list((settings.data_dir / "workspaces").iterdir()) == []


async def test_a_reader_who_goes_lets_the_writer_go() -> None:
    written = 0

    def write(pipe: Pipe) -> None:
        nonlocal written
        for _ in range(1000):
            written += pipe.write(bytes(300_000))

    pieces = piped(write)
    assert len(await anext(pieces)) == 300_000
    await pieces.aclose()
    assert written < 10 * 300_000


def policy(*blocked: str) -> dict[str, str]:
    return {"document": f"package_management:\n  blocked_packages: [{', '.join(blocked)}]\n"}


async def test_a_policy_comes_in_again_and_narrows(ana: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    folder = await make(ana, "churn")
    (folder / "workspace-security.yaml").write_text("package_management:\n  blocked_packages: [of-file]\n")
    widening = "package_management:\n  mode: open\n  blocked_packages: [of-administrator]\n"
    workspace = (await ana.get(f"{W}/churn")).json()["id"]
    assert (await admin.put(f"{W}/{workspace}/policy", json={"document": widening})).status_code == 200
    assert (await ana.put(f"{W}/churn/policy", json=policy("of-people"))).status_code == 200
    strict = "package_management:\n  mode: allowlist\n  allowlist: [numpy]\n"
    assert (await admin.put("/api/v1/jupyter/policy", json={"document": strict})).status_code == 200
    made = (await bring_in(ana, (await ana.get(f"{W}/churn/archive")).content, "again")).json()
    assert made["left_out"] == []
    found = (await ana.get(f"{W}/again/policy")).json()
    assert found["mode"] == "allowlist"
    assert {"of-file", "of-administrator", "of-people"} <= {one["entry"] for one in found["blocked_packages"]}
    history = (await ana.get(f"{W}/again/policy/history")).json()["items"]
    assert {one["note"] for one in history} == {"As in the archive that this workspace came from."}
    # What an administrator had set there, its people here replace no more than there.
    assert (await ana.put(f"{W}/again/policy", json=policy("other"))).status_code == 200
    found = (await ana.get(f"{W}/again/policy")).json()
    assert {one["entry"] for one in found["blocked_packages"]} >= {"of-file", "of-administrator", "other"}


async def test_a_policy_that_cannot_be_read_keeps_the_archive_out(ana: httpx.AsyncClient, settings: Settings) -> None:
    told = {"exported_at": "2026-01-01T00:00:00Z", "version": "9", "name": "later"}
    told["policies"] = [{"document": "package_management:\n  blocked_packages: [a b]\n", "by_administrator": False}]
    refused = await bring_in(ana, zipped((DESCRIPTION, json.dumps(told).encode()), ("a.txt", b"a")))
    assert (refused.status_code, refused.json()["code"]) == (422, "policy-invalid"), refused.text
    assert (await ana.get(f"{W}/later")).status_code == 404
