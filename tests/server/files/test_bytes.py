"""Files' bytes through the front door: whole, in ranges, as an archive, up and down."""

import base64
import hashlib
import io
import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from server.files.conftest import Stage

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


def metadata(**members: str) -> dict[str, str]:
    pairs = (f"{name.replace('_', '-')} {base64.b64encode(value.encode()).decode()}" for name, value in members.items())
    return {"Upload-Metadata": ",".join(pairs)}


def checksum(data: bytes) -> dict[str, str]:
    return {"Upload-Checksum": f"sha256 {base64.b64encode(hashlib.sha256(data).digest()).decode()}"}


async def begin(stage: Stage, size: int, client: httpx.AsyncClient | None = None, **members: str) -> httpx.Response:
    headers = {**TUS, "Upload-Length": str(size), **metadata(**members)}
    return await (client or stage.ana).post(f"{stage.files}/uploads", headers=headers)


async def upload(stage: Stage, path: str, data: bytes, **members: str) -> httpx.Response:
    headers = {**BYTES, "Upload-Length": str(len(data)), **metadata(path=path, **members)}
    return await stage.ana.post(f"{stage.files}/uploads", headers=headers, content=data)


def code(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["code"]


def parts(stage: Stage) -> list[str]:
    return sorted(path.name for path in (stage.folder / ".studiolo" / "parts").iterdir())


async def test_a_file_comes_whole_in_ranges_and_only_when_it_changed(stage: Stage) -> None:
    data = os.urandom(3_000_000)
    (stage.folder / "notebooks" / "dáta 1.bin").write_bytes(data)
    address = f"{stage.files}/raw/notebooks/d%C3%A1ta%201.bin"
    whole = await stage.ana.get(address)
    assert whole.content == data
    assert whole.headers["content-security-policy"].startswith("sandbox")
    assert "filename*=UTF-8''d%C3%A1ta%201.bin" in whole.headers["content-disposition"]
    for asked, expected in {"bytes=5-9": data[5:10], "bytes=-7": data[-7:], "bytes=2999990-": data[-10:]}.items():
        reply = await stage.ana.get(address, headers={"Range": asked})
        assert (reply.status_code, reply.content) == (206, expected)
    beyond = await stage.ana.get(address, headers={"Range": "bytes=3000000-"})
    assert code(beyond) == (416, "range-invalid")
    known = {"If-None-Match": whole.headers["etag"]}
    assert (await stage.ana.get(address, headers=known)).status_code == 304
    head = await stage.ana.head(address)
    assert (head.headers["content-length"], head.content) == ("3000000", b"")
    (stage.folder / "notebooks" / "dáta 1.bin").write_bytes(b"new")
    changed = await stage.ana.get(address, headers={"Range": "bytes=1-", "If-Range": whole.headers["etag"]})
    assert (changed.status_code, changed.content) == (200, b"new")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("gone", (404, "file-not-found")),
        ("notebooks", (409, "file-is-folder")),
        ("out", (422, "path-outside")),
        ("%2e%2e/secret", (422, "path-outside")),
        (".studiolo/history", (422, "name-reserved")),
        ("%2Estudiolo/history", (422, "name-reserved")),
        ("pipe", (409, "file-not-regular")),
        ("%ff", (422, "name-invalid")),
        ("a%00b", (422, "name-invalid")),
    ],
)
async def test_what_must_not_be_read_is_refused_with_the_reason(
    stage: Stage, path: str, expected: tuple[int, str]
) -> None:
    (stage.folder / "out").symlink_to("/etc/passwd")
    os.mkfifo(stage.folder / "pipe")
    reply = await stage.ana.get(
        httpx.URL(f"{stage.ana.base_url}").copy_with(raw_path=f"{stage.files}/raw/{path}".encode())
    )
    assert code(reply) == expected
    assert str(stage.folder) not in reply.text


async def test_an_answer_names_its_request_as_logs_do(stage: Stage) -> None:
    good, missing = [await stage.ana.get(f"{stage.files}/raw/{path}") for path in ("notebooks/welcome.ipynb", "absent")]
    assert (good.status_code, len(good.headers["x-request-id"])) == (200, 36)
    assert missing.json()["request_id"] == missing.headers["x-request-id"] != good.headers["x-request-id"]


async def test_folders_come_as_an_archive_without_what_leads_out(stage: Stage) -> None:
    (stage.folder / "notebooks" / "ü").mkdir()
    (stage.folder / "notebooks" / "ü" / "big.bin").write_bytes(os.urandom(700_000))
    (stage.folder / "notebooks" / "link").symlink_to("/etc/passwd")
    (stage.folder / "other").write_text("not asked for")
    reply = await stage.ana.get(f"{stage.files}/zip", params={"path": "notebooks"})
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert archive.testzip() is None
        assert {"notebooks/welcome.ipynb", "notebooks/ü/big.bin", "LEFT-OUT.txt"} <= set(archive.namelist())
        assert archive.read("notebooks/ü/big.bin") == (stage.folder / "notebooks" / "ü" / "big.bin").read_bytes()
        assert "notebooks/link: a link" in archive.read("LEFT-OUT.txt").decode()
    whole = await stage.ana.get(f"{stage.files}/zip")
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert "other" in archive.namelist()
        assert not any(name.startswith(".studiolo") for name in archive.namelist())
    assert code(await stage.ana.get(f"{stage.files}/zip", params={"path": "gone"})) == (404, "file-not-found")


async def test_long_addresses_are_read_and_too_many_paths_refused(stage: Stage) -> None:
    names = [f"{'数' * 80} {number}" for number in range(20)]
    for name in names:
        (stage.folder / name).touch()
    found = await stage.ana.get(f"{stage.files}/zip", params={"path": names})
    assert len(found.request.url.raw_path) > 12_000
    assert len(zipfile.ZipFile(io.BytesIO(found.content)).namelist()) == 20
    assert code(await stage.ana.get(f"{stage.files}/zip", params={"path": ["a"] * 1001})) == (413, "request-too-large")


async def test_a_file_goes_up_in_one_request_and_is_recorded_once(stage: Stage) -> None:
    reply = await upload(stage, "new/folder/a b.txt", b"hello", modified="1700000000")
    assert (reply.status_code, reply.headers["upload-offset"]) == (201, "5"), reply.text
    placed = stage.folder / "new" / "folder" / "a b.txt"
    assert placed.read_bytes() == b"hello"
    assert (placed.stat().st_mtime, placed.stat().st_mode & 0o777) == (1700000000, 0o644)
    down = await stage.ana.get(f"{stage.files}/raw/new/folder/a%20b.txt")
    assert down.headers["etag"] == reply.headers["etag"]
    assert await stage.actions() == ["file.upload"]
    assert (await upload(stage, "empty", b"")).status_code == 201
    assert (stage.folder / "empty").read_bytes() == b""


async def test_an_upload_goes_on_where_it_broke_off(stage: Stage) -> None:
    data = os.urandom(5_000_000)
    place = (await begin(stage, len(data), path="big.bin", sha256=hashlib.sha256(data).hexdigest())).headers["location"]

    async def breaks_off() -> AsyncIterator[bytes]:
        yield data[:2_000_000]
        raise ConnectionError("cut")

    headers = {**BYTES, "Upload-Offset": "0", "Content-Length": str(len(data))}
    with pytest.raises((ConnectionError, httpx.TransportError)):
        await stage.ana.patch(place, headers=headers, content=breaks_off())
    reply = await stage.ana.head(place, headers=TUS)
    offset = int(reply.headers["upload-offset"])
    assert 0 <= offset <= 2_000_000
    wrong = await stage.ana.patch(place, headers={**BYTES, "Upload-Offset": str(offset + 1)}, content=b"x")
    assert code(wrong) == (409, "upload-offset")
    rest = await stage.ana.patch(place, headers={**BYTES, "Upload-Offset": str(offset)}, content=data[offset:])
    assert (rest.status_code, rest.headers["upload-offset"]) == (204, str(len(data)))
    assert (stage.folder / "big.bin").read_bytes() == data
    # Whoever lost the last answer learns that it is done.
    again = await stage.ana.head(place, headers=TUS)
    assert again.headers["upload-offset"] == str(len(data))
    assert await stage.actions() == ["file.upload"]


async def test_bytes_that_are_not_those_that_were_sent_are_not_taken(stage: Stage) -> None:
    place = (await begin(stage, 10, path="a")).headers["location"]
    first = await stage.ana.patch(
        place, headers={**BYTES, **checksum(b"hello"), "Upload-Offset": "0"}, content=b"hello"
    )
    assert first.headers["upload-offset"] == "5"
    wrong = await stage.ana.patch(
        place, headers={**BYTES, **checksum(b"WORLD"), "Upload-Offset": "5"}, content=b"world"
    )
    assert code(wrong) == (460, "checksum-mismatch")
    right = await stage.ana.patch(
        place, headers={**BYTES, **checksum(b"world"), "Upload-Offset": "5"}, content=b"world"
    )
    assert right.status_code == 204
    assert (stage.folder / "a").read_bytes() == b"helloworld"
    whole = await upload(stage, "b", b"hello", sha256=hashlib.sha256(b"other").hexdigest())
    assert code(whole) == (460, "checksum-mismatch")
    assert not (stage.folder / "b").exists()


async def test_checksums_are_those_that_the_protocol_demands_too(stage: Stage) -> None:
    told = await stage.ana.options(f"{stage.files}/uploads")
    assert told.headers["tus-checksum-algorithm"] == "sha1,sha256"
    place = (await begin(stage, 5, path="a")).headers["location"]
    sha1 = "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00="
    headers = {**BYTES, "Upload-Checksum": sha1, "Upload-Offset": "0"}
    assert code(await stage.ana.patch(place, headers=headers, content=b"hallo")) == (460, "checksum-mismatch")
    assert (await stage.ana.patch(place, headers=headers, content=b"hello")).status_code == 204
    assert (stage.folder / "a").read_bytes() == b"hello"


async def test_an_existing_file_is_overwritten_only_when_that_is_said(stage: Stage) -> None:
    first = await upload(stage, "a.ipynb", b"{}")
    assert code(await upload(stage, "a.ipynb", b"[]")) == (409, "file-exists")
    (stage.folder / "a.ipynb").chmod(0o640)
    second = await upload(stage, "a.ipynb", b"[1]", if_match=first.headers["etag"])
    assert second.status_code == 201
    assert code(await upload(stage, "a.ipynb", b"[2]", if_match=first.headers["etag"])) == (412, "file-changed")
    assert (await upload(stage, "a.ipynb", b"[3]", overwrite="yes")).status_code == 201
    assert (stage.folder / "a.ipynb").read_bytes() == b"[3]"
    assert (stage.folder / "a.ipynb").stat().st_mode & 0o777 == 0o640
    assert code(await upload(stage, "notebooks", b"x", overwrite="yes")) == (409, "file-is-folder")
    assert await stage.actions() == ["file.upload"] * 3


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"path": "../a"}, (422, "path-outside")),
        ({"path": ".studiolo/trash/a"}, (422, "name-reserved")),
        ({"path": "link/a"}, (409, "link-not-written")),
        ({"path": "x" * 256}, (422, "name-invalid")),
        ({"path": "a\nb"}, (422, "name-invalid")),
        ({"path": "/"}, (422, "name-invalid")),
        ({"path": "notebooks/welcome.ipynb/a"}, (409, "file-not-folder")),
        ({}, (400, "upload-protocol")),
        ({"path": "a", "sha256": "xyz"}, (400, "upload-protocol")),
        ({"path": "a", "modified": "nan"}, (400, "upload-protocol")),
    ],
)
async def test_what_cannot_be_placed_is_refused_before_its_bytes_come(
    stage: Stage, members: dict[str, str], expected: tuple[int, str]
) -> None:
    (stage.folder / "link").symlink_to("notebooks")
    assert code(await begin(stage, 5, **members)) == expected
    assert await stage.actions() == []


async def test_an_upload_larger_than_the_disk_is_refused_with_the_numbers(stage: Stage) -> None:
    reply = await begin(stage, 1 << 49, path="a")
    assert code(reply) == (503, "disk-full")
    assert "left for files" in reply.json()["detail"]


async def test_more_bytes_than_announced_are_refused(stage: Stage) -> None:
    place = (await begin(stage, 3, path="a")).headers["location"]
    reply = await stage.ana.patch(place, headers={**BYTES, "Upload-Offset": "0"}, content=b"12345")
    assert code(reply) == (400, "upload-protocol")
    assert not (stage.folder / "a").exists()


async def test_an_upload_is_its_persons_and_is_given_up(stage: Stage) -> None:
    place = (await begin(stage, 3, path="a")).headers["location"]
    for other in (place[:-1] + ("1" if place.endswith("0") else "0"), place[:-32] + "..%2f..%2fetc%2fpasswd"):
        assert (await stage.ana.head(other, headers=TUS)).status_code == 404
    assert (await stage.ana.delete(place, headers=TUS)).status_code == 204
    assert parts(stage) == []
    assert (await stage.ana.head(place, headers=TUS)).status_code == 404


async def test_a_control_plane_that_was_away_records_when_it_is_back(stage: Stage, tmp_path: Path) -> None:
    """The whole is here, but nobody could record it: whoever asks next finishes it."""
    from studiolo.files.root import Root
    from studiolo.files.uploads.store import Uploads

    place = (await begin(stage, 5, path="a")).headers["location"]
    upload_id = place.rpartition("/")[2]
    with Root(stage.folder) as root, Uploads(root) as uploads:
        found, _ = uploads.find(upload_id, stage.owner.person_id)
        with uploads.open_data(found, 0) as handle:
            os.write(handle, b"hello")
    reply = await stage.ana.head(place, headers=TUS)
    assert (reply.status_code, reply.headers["upload-offset"]) == (200, "5")
    assert (stage.folder / "a").read_bytes() == b"hello"
    assert await stage.actions() == ["file.upload"]
