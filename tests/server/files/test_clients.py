"""Files by the Python client and the command line, through the front door."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.files.conftest import Stage
from studiolo.contract.errors import Conflict, NotFound, StudioloError
from studiolo.sdk import AsyncStudiolo, uploading


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where broken-off uploads are remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def key_of(stage: Stage) -> str:
    return stage.ana.headers["authorization"].removeprefix("Bearer ")


@pytest.fixture
async def client(stage: Stage, home: Path) -> AsyncIterator[AsyncStudiolo]:
    async with AsyncStudiolo(f"http://localhost:{stage.services.settings.port}", key_of(stage)) as made:
        yield made


async def test_files_are_listed_changed_and_carried(client: AsyncStudiolo, stage: Stage, tmp_path: Path) -> None:
    files = client.files
    await files.upload("churn", b"hello", "data/a b.txt")
    assert await files.read("churn", "data/a b.txt") == b"hello"
    assert [entry.name async for entry in files.list("churn", page_size=1)] == ["data", "notebooks"]
    await files.mkdir("churn", "new")
    assert (await files.copy("churn", "data/a b.txt", "new/c.txt")).size == 5
    assert (await files.move("churn", "new", "newer")).path == "newer"
    await files.delete("churn", "newer")
    with pytest.raises(NotFound):
        await files.info("churn", "newer")
    with pytest.raises(Conflict):
        await files.upload("churn", b"other", "data/a b.txt")
    etag = (await files.info("churn", "data/a b.txt")).etag
    await files.upload("churn", b"other", "data/a b.txt", if_match=etag)
    target = await files.download("churn", "data/a b.txt", tmp_path / "down.txt")
    assert target.read_bytes() == b"other"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


async def test_a_large_upload_goes_on_in_another_program(
    client: AsyncStudiolo, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "_PART", 2 << 20)
    data = os.urandom(7_000_000)
    source = tmp_path / "large.bin"
    source.write_bytes(data)

    class Stopped(Exception):
        """Somebody pressed Ctrl-C."""

    def stop(done: int) -> None:
        if done > 5_000_000:
            raise Stopped

    with pytest.raises(Stopped):
        await client.files.upload("churn", source, "large.bin", progress=stop)
    seen: list[int] = []
    await client.files.upload("churn", source, "large.bin", progress=seen.append)
    assert seen[0] == 4 << 20
    assert (stage.folder / "large.bin").read_bytes() == data
    assert await stage.actions() == ["file.upload"]
    assert list((tmp_path / "cache" / "studiolo" / "uploads").iterdir()) == []


async def test_a_download_goes_on_where_it_broke_off(client: AsyncStudiolo, stage: Stage, tmp_path: Path) -> None:
    data = os.urandom(4_000_000)
    (stage.folder / "large.bin").write_bytes(data)

    class Stopped(Exception):
        """Somebody pressed Ctrl-C."""

    def stop(done: int) -> None:
        if done > 2_000_000:
            raise Stopped

    target = tmp_path / "large.bin"
    with pytest.raises(Stopped):
        await client.files.download("churn", "large.bin", target, progress=stop)
    assert not target.exists()
    (part,) = tmp_path.glob(".*.part")
    assert part.stat().st_size > 1_000_000
    seen: list[int] = []
    await client.files.download("churn", "large.bin", target, progress=seen.append)
    assert seen[0] > 1_000_000
    assert target.read_bytes() == data


async def test_two_downloads_to_one_place_do_not_mix(client: AsyncStudiolo, stage: Stage, tmp_path: Path) -> None:
    data = os.urandom(4_000_000)
    (stage.folder / "large.bin").write_bytes(data)
    target, second = tmp_path / "large.bin", []

    def bring_again(done: int) -> None:
        if not second:
            second.append(asyncio.ensure_future(client.files.download("churn", "large.bin", target)))

    await client.files.download("churn", "large.bin", target, progress=bring_again)
    with pytest.raises(Conflict) as caught:
        await second[0]
    assert caught.value.code == "download-running"
    assert target.read_bytes() == data
    assert not list(tmp_path.glob(".*.part"))


async def test_a_name_of_255_bytes_travels_both_ways(client: AsyncStudiolo, tmp_path: Path) -> None:
    name = "数" * 85
    (tmp_path / name).write_bytes(b"long")
    await client.files.upload("churn", tmp_path / name, name)
    (tmp_path / "back").mkdir()
    assert (await client.files.download("churn", name, tmp_path / "back" / name)).read_bytes() == b"long"


async def test_a_part_that_was_spoiled_is_not_taken_for_the_file(
    client: AsyncStudiolo, stage: Stage, tmp_path: Path
) -> None:
    (stage.folder / "f").write_bytes(b"x" * 3_000_000)
    target = tmp_path / "f"

    def stop(done: int) -> None:
        if done > 1_000_000:
            raise KeyError

    with pytest.raises(KeyError):
        await client.files.download("churn", "f", target, progress=stop)
    (part,) = tmp_path.glob(".*.part")
    part.write_bytes(b"y" * part.stat().st_size)
    with pytest.raises(StudioloError) as caught:
        await client.files.download("churn", "f", target)
    assert caught.value.code == "checksum-mismatch"
    assert not target.exists()
    await client.files.download("churn", "f", target)
    assert target.read_bytes() == b"x" * 3_000_000


async def studiolo(stage: Stage, *args: str, code: int = 0) -> str:
    """Run the command line; returns its output."""
    address = f"http://localhost:{stage.services.settings.port}"
    environment = os.environ | {"STUDIOLO_URL": address, "STUDIOLO_KEY": key_of(stage)}
    argv = (sys.executable, "-c", "from studiolo.cli.main import main; raise SystemExit(main())", *args)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, env=environment, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    assert process.returncode == code, err.decode()
    return out.decode() + err.decode()


@pytest.mark.usefixtures("home")
async def test_the_command_line_carries_folders_both_ways(stage: Stage, tmp_path: Path) -> None:
    source = tmp_path / "données"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "x y.bin").write_bytes(os.urandom(100_000))
    (source / "empty").touch()
    (source / "nothing in it").mkdir()
    (source / "link").symlink_to("/etc/passwd")
    (source / "other").symlink_to("deep")
    said = await studiolo(stage, "cp", "-r", str(source), "churn:")
    assert "Copied 2 files" in said
    assert said.count("left out") == 2
    listed = json.loads(await studiolo(stage, "ls", "churn:données", "--json"))
    assert [entry["name"] for entry in listed] == ["deep", "nothing in it", "empty"]
    await studiolo(stage, "cp", "-r", "churn:données", str(tmp_path / "back"))
    assert (tmp_path / "back" / "deep" / "x y.bin").read_bytes() == (source / "deep" / "x y.bin").read_bytes()
    assert (tmp_path / "back" / "nothing in it").is_dir()
    assert "is a folder" in await studiolo(stage, "cp", "churn:données", str(tmp_path / "no"), code=2)
    # Repeated, it finds all there; what is there and another is not overwritten.
    await studiolo(stage, "cp", "-r", "churn:données", str(tmp_path))
    await studiolo(stage, "cp", "-r", str(source), "churn:")
    (source / "empty").write_text("no longer")
    refused = await studiolo(stage, "cp", "-r", str(source), "churn:", "--json", code=6)
    assert "file-exists" in refused
    assert "--force" in refused
    refused = await studiolo(stage, "cp", "-r", "churn:données", str(tmp_path), code=6)
    assert "--force" in refused
    await studiolo(stage, "cp", str(source / "empty"), "churn:données/", "--force")
    assert (stage.folder / "données" / "empty").read_text() == "no longer"
    refused = await studiolo(stage, "cp", "churn:données/empty", "churn:données/deep/x y.bin", code=6)
    assert "files rm 'churn:données/deep/x y.bin'" in refused
    await studiolo(stage, "files", "mv", "churn:données/empty", "données/deep")
    await studiolo(stage, "files", "mv", "churn:données/deep/empty", "notebooks/")
    assert (stage.folder / "notebooks" / "empty").exists()
    assert await studiolo(stage, "cp", "churn:notebooks/empty", "-") == "no longer"
    several = [str(source / "empty"), str(source / "deep" / "x y.bin")]
    assert "Copied 2 files" in await studiolo(stage, "cp", *several, "churn:several")
    assert "Copied 2 files" in await studiolo(
        stage, "cp", "churn:several/empty", "churn:several/x y.bin", "churn:again"
    )
    await studiolo(stage, "cp", "churn:again/empty", "churn:again/x y.bin", str(tmp_path / "several"))
    assert {path.name for path in (tmp_path / "several").iterdir()} == {"empty", "x y.bin"}
    (stage.folder / "to it").symlink_to("several/empty")
    (stage.folder / "out").symlink_to("/etc/passwd")
    assert await studiolo(stage, "cp", "churn:to it", "-") == "no longer"
    assert "path-outside" in await studiolo(stage, "cp", "churn:out", str(tmp_path), "--json", code=2)
    in_the_way = str(source / "empty")
    assert "cannot be written" in await studiolo(stage, "cp", "-r", "churn:several", in_the_way, code=2)
    assert "cannot be written" in await studiolo(stage, "cp", "churn:several/empty", f"{in_the_way}/", code=2)
    await studiolo(stage, "files", "rm", "churn:données", "--yes")
    assert not (stage.folder / "données").exists()
    assert "path-outside" in await studiolo(stage, "cp", str(source / "empty"), "churn:../x", "--json", code=2)
