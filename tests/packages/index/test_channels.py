"""Which index is asked, and with what it is shown who asks."""

import base64
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from studiolo.contract.errors import InvalidInput
from studiolo.packages.index.channels import find_default_index, make_channel, read_channels, write_channels
from studiolo.packages.index.egress import channel_session, may_ask
from studiolo.packages.index.pages import HTML, JSON, PLAIN, negotiate

INDEX = "https://index.example/simple"


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_the_default_index_is_what_the_machines_tools_are_told_by_variables(name: str) -> None:
    assert find_default_index({name: INDEX}) == INDEX


@pytest.mark.parametrize(
    "text", [f'index-url = "{INDEX}"', f'[[index]]\nurl = "{INDEX}"\ndefault = true', f'[pip]\nindex-url = "{INDEX}"']
)
def test_the_default_index_is_what_uvs_file_says(tmp_path: Path, text: str) -> None:
    file = tmp_path / "uv" / "uv.toml"
    file.parent.mkdir()
    file.write_text(text)
    assert find_default_index({"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}) == INDEX


def test_the_default_index_is_what_pips_file_says(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(f"[global]\nindex-url = {INDEX}\nextra-index-url = https://other.example/\n")
    assert find_default_index({"PIP_CONFIG_FILE": str(file), "HOME": str(tmp_path), "PATH": ""}) == INDEX


def test_without_any_of_them_it_is_what_uv_has_built_in(tmp_path: Path) -> None:
    found = find_default_index({"PIP_CONFIG_FILE": "/dev/null", "HOME": str(tmp_path), "PATH": ""})
    assert found.startswith("https://")


def test_named_channels_come_first_and_hide_no_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", INDEX)
    file = tmp_path / "channels"
    file.write_text(write_channels({"acme": "https://a:p%40ss@acme.example/simple/"}, {}))
    acme, default = read_channels(file).indexes
    assert (acme.name, acme.url) == ("acme", "https://acme.example/simple/")
    assert acme.authorization == "Basic " + base64.b64encode(b"a:p@ss").decode()
    assert (default.name, default.url, default.authorization) == ("defaults", f"{INDEX}/", None)


def test_an_index_that_is_not_reached_by_http_is_named_as_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "file:///srv/simple")
    file = tmp_path / "channels"
    file.write_text(write_channels({}, {}))
    found = read_channels(file)
    assert found.indexes == ()
    assert isinstance(found.missing, InvalidInput)
    assert "packages.index_url" in str(found.missing.hint)


async def test_what_a_channel_is_shown_goes_to_its_own_host_alone() -> None:
    seen: list[str | None] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        if request.path == "/simple/away/":
            raise web.HTTPFound(f"http://127.0.0.1:{other.port}/there")
        return web.Response()

    app, elsewhere = web.Application(), web.Application()
    for one in (app, elsewhere):
        one.router.add_get("/{path:.*}", note)
    async with TestServer(app) as own, TestServer(elsewhere) as other:
        channel = make_channel("acme", f"http://a:b@127.0.0.1:{own.port}/simple/")
        async with channel_session(channel) as client:
            for name in ("here", "away"):
                async with client.get(channel.page(name)) as reply:
                    assert reply.status == 200
    assert seen == [channel.authorization, channel.authorization, None]


@pytest.mark.parametrize(
    ("index", "file", "may"),
    [
        ("https://index.example/simple", "https://10.0.0.1/a", False),
        ("https://index.example/simple", "https://[::1]/a", False),
        ("https://index.example/simple", "https://8.8.8.8/a", True),
        ("http://10.0.0.2/simple", "http://10.0.0.1/a", True),
        ("https://8.8.4.4/simple", "http://127.0.0.1/a", False),
    ],
)
def test_a_public_channel_leads_to_no_inside_address(index: str, file: str, may: bool) -> None:
    assert may_ask(make_channel("one", index), URL(file)) is may


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/a", "http://localhost:1/a"])
async def test_an_answer_leads_a_public_channel_nowhere_inside(address: str) -> None:
    async with channel_session(make_channel("one", "https://8.8.4.4/simple")) as client:
        with pytest.raises(aiohttp.ClientConnectionError, match="lies inside"):
            await client.get(address)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        (f"{JSON}, {HTML};q=0.2, text/html;q=0.01", JSON),
        (f"{HTML};q=0.5, {JSON};q=0.1", HTML),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("image/png", None),
        (f"{JSON};q=0", None),
        ("text/html;q=0, */*", HTML),
        (f"{JSON};q=0, application/*", HTML),
        ("text/html;q=0.9,application/xml;q=0.9,*/*;q=0.8", PLAIN),
        (f"{HTML}, */*;q=0.1", HTML),
    ],
)
def test_the_format_is_the_one_that_was_asked_for(accept: str, kind: str | None) -> None:
    assert negotiate(accept) == kind
