"""The ways to reach a platform: bare address, names below it, TLS of a local authority or of a certificate, every address."""

import json
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from base_environments import small_lock
from conftest import CHROMIUM_OPTIONS, find_chromium
from e2e.conftest import Platform
from e2e.kernels import channels, execute, start_kernel
from e2e.test_main_job import create_workspace, open_lab
from gateway.proxies import running_proxy
from sdk.cutting_proxy import CuttingProxy
from studiolo.testing.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
browser_test = pytest.mark.browser

DOMAIN = "studio.test"
# A program in a session finds the platform, its key and the authority in the environment.
ASK_OVER_TLS = """
import os, pathlib, ssl, urllib.request
bearer = {'Authorization': 'Bearer ' + pathlib.Path(os.environ['STUDIOLO_KEY_FILE']).read_text()}
request = urllib.request.Request(os.environ['STUDIOLO_URL'] + '/api/v1/jupyter/workspaces', headers=bearer)
print(urllib.request.urlopen(request, context=ssl.create_default_context(cafile=os.environ['STUDIOLO_CA_FILE'])).status)
"""
PRODUCT = {
    "cells": [
        {
            "cell_type": "code",
            "id": "product",
            "source": "6 * 7",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
        }
    ],
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def open_platform(context: BrowserContext, platform: Platform) -> Page:
    """Sign in at the platform's address with the link that the terminal prints."""
    link = re.search(r"/sign-in\?link=\S+", platform.run("sign-in-link").stdout)
    assert link
    page = context.new_page()
    page.goto(platform.address + link[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading").first).to_be_visible()
    return page


def enter(context: BrowserContext, platform: Platform, workspace: str) -> Page:
    """Sign in, make a workspace with a notebook of one cell, and open JupyterLab in it."""
    page = open_platform(context, platform)
    folders = platform.data_dir / "workspaces"
    before = set(folders.glob("*"))
    create_workspace(page, platform, workspace)
    [folder] = set(folders.iterdir()) - before
    (folder / "notebooks" / "product.ipynb").write_text(json.dumps(PRODUCT))
    open_lab(page)
    return page


def cookies_at(context: BrowserContext, url: str) -> dict[str, bool]:
    """Our cookies that are sent to an address, each with whether scripts are kept from it."""
    found = {str(cookie["name"]): bool(cookie["httpOnly"]) for cookie in context.cookies(url)}
    return {name: hidden for name, hidden in found.items() if "studiolo" in name}


def is_shared(page: Page, platform: Platform) -> bool:
    """Whether the page's session runs under the platform's origin, its address checked."""
    found = urlsplit(page.url)
    origin = f"{found.scheme}://{found.netloc}"
    session = found.path.split("/")[2]
    own = platform.address.replace("://", f"://{session}.")
    assert origin in (platform.address, own)
    return origin == platform.address


def run_a_cell(page: Page, notebook: str = "product", output: str = "text=42") -> None:
    """Run a notebook in the JupyterLab that the page shows: websockets work here."""
    page.locator(".jp-DirListing-item", has_text=f"{notebook}.ipynb").dblclick()
    expect(page.get_by_text("| Idle")).to_be_visible(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells").first.click()
    expect(page.locator(".jp-OutputArea-output").locator(output)).to_be_visible(timeout=90_000)


@pytest.fixture(scope="module")
def single_team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform for one trusted team, at every address of the machine."""
    shared = Platform(tmp_path_factory.mktemp("team"), lock=small_lock(), STUDIOLO_SESSIONS__ORIGIN="shared")
    shared.run("up", "--detach", "--host", "0.0.0.0")
    yield shared
    shared.down()


@browser_test
@pytest.mark.parametrize("rule", ["auto", "shared"])
def test_a_shared_origin_keeps_cookies_apart_and_says_so(
    request: pytest.FixtureRequest, chromium: Browser, rule: str
) -> None:
    platform = copy(request.getfixturevalue("platform" if rule == "auto" else "single_team"))
    # A bare address has no names below it.
    platform.address = f"http://{'127.0.0.1' if rule == 'auto' else 'localhost'}:{platform.port}"
    context = chromium.new_context()
    page = enter(context, platform, "bare")
    assert is_shared(page, platform)
    run_a_cell(page)
    session = page.url.split("/lab")[0]
    here, outside = cookies_at(context, f"{session}/lab"), cookies_at(context, platform.address)
    assert all(here.values())
    assert {name for name in here if "entry" in name}
    assert {name for name in outside if "login" in name}
    assert not {name for name in outside if "entry" in name}
    assert "studiolo" not in page.evaluate("document.cookie")
    page.goto(platform.address)
    expect(page.get_by_text("Single-team mode").first).to_be_visible()
    context.close()


@browser_test
def test_own_origins_get_no_cookie_of_the_platform(make_platform: Callable[..., Platform], chromium: Browser) -> None:
    # With the shipped environment, for the welcome notebook.
    platform = make_platform(lock=None, STUDIOLO_SESSIONS__ORIGIN="own")
    platform.up()
    context = chromium.new_context()
    page = enter(context, platform, "own")
    assert not is_shared(page, platform)
    run_a_cell(page, "welcome", "img")
    there = cookies_at(context, page.url)
    assert there
    assert all(there.values())
    assert not {name for name in there if "login" in name}
    page.goto(platform.address)
    expect(page.get_by_text("Single-team mode")).to_have_count(0)
    context.close()


@pytest.mark.req("S0-90", "S1-19", "S3-23")
@browser_test
def test_a_local_authority_serves_platform_sessions_and_clients(
    make_platform: Callable[..., Platform], chromium: Browser
) -> None:
    platform = make_platform()
    platform.address = f"https://localhost:{platform.port}"
    platform.run("up", "--detach", "--tls", "internal")
    context = chromium.new_context(ignore_https_errors=True)
    page = enter(context, platform, "tls")
    assert not is_shared(page, platform)
    run_a_cell(page)
    assert all(name.startswith("__Host-") for name in cookies_at(context, platform.address))
    session = page.url.split("/")[4]
    context.close()
    assert platform.json("status")
    key = platform.run("keys", "create", "--name", "test", "--quiet").stdout.strip()
    [root] = (platform.data_dir / "front-door").rglob("root.crt")
    trust = ssl.create_default_context(cafile=str(root))
    with httpx.Client(base_url=platform.address, verify=trust, headers={"Authorization": f"Bearer {key}"}) as client:
        assert client.get("/api/v1/me").json()["name"]
        assert client.get(f"/s/{session}/api/status").status_code == 200
        running = start_kernel(client, session)
        with channels(client, session, running, ssl_context=trust) as kernel:
            assert execute(kernel, ASK_OVER_TLS).strip() == "200"
            # Tools that install trust the local authority too, and are answered by name and key.
            for tool in ("pip install -q --dry-run", "uv pip install --dry-run"):
                said = execute(kernel, f"!{tool} requests; echo $PIP_INDEX_URL", timeout=120)
                assert f"{platform.address}/pypi/denied/BLOCKED-requests" in said, said
                assert f"{platform.address}/pypi/simple/" in said
        # Proxies on the way carry what they cannot read: the certificate is the platform's own.
        with CuttingProxy(platform.port) as near, CuttingProxy(near.port) as far:
            way = socket.create_connection(("127.0.0.1", far.port))
            with channels(client, session, running, ssl_context=trust, way=way) as kernel:
                assert execute(kernel, "print('across')").strip() == "across"
            assert (near.connections, far.connections) == (1, 1)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{platform.address}/api/v1/health")
    # The one port speaks TLS alone.
    assert httpx.get(f"http://localhost:{platform.port}/api/v1/health").status_code == 400


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A wildcard certificate of nobody's authority, by openssl."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN},DNS:*.{DOMAIN}"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", key, "-out", certificate]
    subprocess.run(["openssl", "req", "-x509", *kind, *subject, *files], check=True, capture_output=True)
    return certificate, key


@contextmanager
def browsing(chromium: Browser, address: str) -> Iterator[BrowserContext]:
    """A browser for which DOMAIN and the names below it are at an address, whoever signed its certificate."""
    resolve = f"--host-resolver-rules=MAP {DOMAIN} {address}, MAP *.{DOMAIN} {address}"
    browser = chromium.browser_type.launch(executable_path=find_chromium(), args=[*CHROMIUM_OPTIONS, resolve])
    try:
        yield browser.new_context(ignore_https_errors=True)
    finally:
        browser.close()


def enter_through_nginx(platform: Platform, chromium: Browser, folder: Path) -> None:
    """Work in the platform with nginx before it: at another address of the machine, with the same port and certificate."""
    pair = folder / "pair.pem"
    pair.write_bytes((folder / "certificate.pem").read_bytes() + (folder / "key.pem").read_bytes())
    # Only nginx has that address: the platform listens on 127.0.0.1 alone.
    target, listen = f"127.0.0.1:{platform.port}", f"127.0.0.2:{platform.port}"
    with (
        running_proxy("nginx", target, folder / "nginx", certificate=pair, listen=listen),
        browsing(chromium, "127.0.0.2") as context,
    ):
        page = enter(context, platform, "behind")
        assert not is_shared(page, platform)
        run_a_cell(page)


@pytest.mark.req("S1-17")
@browser_test
def test_a_wildcard_certificate_gives_sessions_own_names(
    make_platform: Callable[..., Platform], chromium: Browser, tmp_path: Path
) -> None:
    certificate, key = make_certificate(tmp_path)
    platform = make_platform()
    platform.address = f"https://{DOMAIN}:{platform.port}"
    platform.run("up", "--detach", "--domain", DOMAIN, "--tls-cert", str(certificate), "--tls-key", str(key))
    with browsing(chromium, "127.0.0.1") as context:
        page = enter(context, platform, "wild")
        assert not is_shared(page, platform)
        run_a_cell(page)
    enter_through_nginx(platform, chromium, tmp_path)
    trust = ssl.create_default_context(cafile=str(certificate))
    trust.check_hostname = False
    port = platform.port
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trust) as client:
        named = {"Host": f"{DOMAIN}:{port}"}
        assert client.get("/api/v1/health", headers=named).status_code == 200
        assert client.get("/api/v1/health", headers={"Host": f"x.{DOMAIN}:{port}"}).status_code == 421
        assert client.get("/api/v1/health", headers={"Host": f"elsewhere.example:{port}"}).status_code == 421


@pytest.mark.req("S1-17")
@browser_test
@pytest.mark.parametrize("origin", ["own", "auto"])
def test_a_proxy_may_end_tls_before_a_platform_that_speaks_http(
    make_platform: Callable[..., Platform], chromium: Browser, tmp_path: Path, origin: str
) -> None:
    certificate, key = make_certificate(tmp_path)
    pair = tmp_path / "pair.pem"
    pair.write_bytes(certificate.read_bytes() + key.read_bytes())
    port = free_port()
    platform = make_platform(STUDIOLO_TLS__PROXY_PORT=str(port), STUDIOLO_SESSIONS__ORIGIN=origin)
    platform.address = f"https://{DOMAIN}:{port}"
    platform.run("up", "--detach", "--domain", DOMAIN, "--tls", "proxy")
    inside, outside = f"127.0.0.1:{platform.port}", f"127.0.0.1:{port}"
    with (
        running_proxy("nginx", inside, tmp_path / "nginx", certificate=pair, listen=outside, ends_tls=True),
        browsing(chromium, "127.0.0.1") as context,
    ):
        page = enter(context, platform, "ahead")
        assert is_shared(page, platform) == (origin == "auto")
        run_a_cell(page)
        assert all(cookie["secure"] for cookie in context.cookies(platform.address))


def test_every_address_of_the_machine_answers_and_no_other_name(single_team: Platform) -> None:
    addresses = [entry.address for entries in psutil.net_if_addrs().values() for entry in entries]
    own = [address for address in addresses if re.fullmatch(r"[0-9.]+", address)]
    port = single_team.port
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for name in (*own, "localhost", socket.gethostname()):
            assert client.get("/api/v1/health", headers={"Host": f"{name}:{port}"}).status_code == 200
        for host in (f"elsewhere.example:{port}", f"192.0.2.1:{port}", "localhost", f"localhost:{port + 1}"):
            refused = client.get("/api/v1/health", headers={"Host": host})
            assert (refused.status_code, refused.json()["code"]) == (421, "host-unknown")
