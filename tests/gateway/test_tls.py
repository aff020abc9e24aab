"""A gateway that serves HTTPS itself: clients that trust its authority, files that cannot be used, renewal."""

import asyncio
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import httpx
import pytest
import requests
from websockets.sync.client import connect

from gateway.standing import KEY, SECONDS, Gateway, running_gateway, send
from gateway.test_stock_clients import execute, jupyter_server
from studiolo.contract.errors import InvalidInput
from studiolo.gateway.certificates import Certificate, certificate_of
from studiolo.testing.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
    # The client of `websockets` with threads hangs in TLS now and then (one of its threads reads while another writes);
    # aiohttp's did not in 1,800 connections. Such a test is soon run again.
    pytest.mark.timeout(60),
]
_STUDIOLO = Path(sys.executable).with_name("studiolo")


def make_certificate(folder: Path, name: str = "own") -> Certificate:
    """A certificate for 127.0.0.1, which is its own authority, and its key."""
    file, key = folder / f"{name}.pem", folder / f"{name}.key"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    argv += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(file)]
    subprocess.run(argv, capture_output=True, check=True)
    key.chmod(0o600)
    return Certificate(file, key)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def gateway(certificate: Certificate) -> Iterator[Gateway]:
    flags = ("--certfile", str(certificate.file), "--keyfile", str(certificate.key))
    with running_gateway(*flags, ca=certificate.file) as running:
        yield running


def test_who_trusts_its_authority_is_answered_and_others_refuse_it(gateway: Gateway, certificate: Certificate) -> None:
    headers = {"Authorization": f"token {KEY}"}
    assert gateway.url.startswith("https://127.0.0.1:")
    assert f"--gateway-url {gateway.url}" in gateway.said
    assert requests.get(f"{gateway.url}/api", headers=headers, verify=certificate.file, timeout=SECONDS).ok
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{gateway.url}/api", headers=headers, timeout=SECONDS)
    # Whoever speaks plain HTTP gets nothing, and nobody else notices.
    with pytest.raises(httpx.TransportError):
        httpx.get(gateway.url.replace("https", "http"), timeout=SECONDS)
    assert gateway.http.get("/api/kernels").json() == []


def test_code_runs_over_a_websocket_in_tls_with_messages_of_megabytes_each_way(gateway: Gateway) -> None:
    kernel = gateway.start()
    text = "x" * 3_000_000
    assert send(gateway, kernel, f"print(len({text!r}))") == "3000000\n"
    code = f"import sys\nfor _ in range(20):\n    sys.stdout.write({'y' * 10!r} * 100_000); sys.stdout.flush()"
    assert send(gateway, kernel, code) == "y" * 20_000_000
    gateway.http.delete(f"/api/kernels/{kernel}")


def test_a_websocket_in_tls_is_closed_with_its_code_from_either_side(gateway: Gateway) -> None:
    kernel = gateway.start()
    address = f"{gateway.websocket_url}/api/kernels/{kernel}/channels?token={KEY}&session_id=same"
    with connect(address, open_timeout=SECONDS, ssl=gateway.tls) as first:
        assert "execution_state" in str(first.recv(timeout=SECONDS))
        with connect(address, open_timeout=SECONDS, ssl=gateway.tls):
            # What the kernel still told comes first; iterating ends with a close that is in order.
            assert all(first)
            assert first.close_reason is not None
            assert "Another connection of this session" in first.close_reason
        wait_for(lambda: gateway.http.get(f"/api/kernels/{kernel}").json()["connections"] == 0)
    gateway.http.delete(f"/api/kernels/{kernel}")


async def test_an_unmodified_jupyter_server_takes_its_kernels_over_tls(
    gateway: Gateway, certificate: Certificate, tmp_path: Path
) -> None:
    # Its own JUPYTER_GATEWAY_CA_CERTS counts beside a certificate of the client alone (jupyter_server 2.21).
    with jupyter_server(gateway, tmp_path, SSL_CERT_FILE=str(certificate.file)) as server:
        async with aiohttp.ClientSession(server, headers={"Authorization": "token t"}) as http:
            async with http.post("/api/kernels", json={"name": "python3"}) as reply:
                assert reply.status == 201, await reply.text()
                kernel = (await reply.json())["id"]
            async with http.ws_connect(f"/api/kernels/{kernel}/channels") as socket:
                assert await execute(socket, "print(6 * 7)") == "42\n"
            async with http.delete(f"/api/kernels/{kernel}") as reply:
                assert reply.status == 204


def test_an_open_gateway_lets_its_own_pages_in_by_https_alone(certificate: Certificate) -> None:
    flags = ("--open", "--certfile", str(certificate.file), "--keyfile", str(certificate.key))
    with running_gateway(*flags, ca=certificate.file) as gateway:
        assert gateway.http.get("/api/kernels", headers={"Origin": gateway.url}).status_code == 200
        plain = gateway.url.replace("https", "http")
        assert gateway.http.get("/api/kernels", headers={"Origin": plain}).status_code == 403


def test_a_bridge_serves_https_too(certificate: Certificate) -> None:
    both = certificate.file.with_name("both.pem")
    assert certificate.key is not None
    both.write_bytes(certificate.file.read_bytes() + certificate.key.read_bytes())
    both.chmod(0o600)
    command = ("bridge", "--kernel-name", "python3")
    with running_gateway("--certfile", str(both), command=command, ca=certificate.file) as bridge:
        (kernel,) = bridge.http.get("/api/kernels").json()
        assert send(bridge, kernel["id"], "print(1 + 1)") == "2\n"


def _readable_by_all(pair: Certificate) -> Certificate:
    assert pair.key is not None
    pair.key.chmod(0o644)
    return pair


def _protected(pair: Certificate) -> Certificate:
    assert pair.key is not None
    key = pair.key.with_suffix(".locked")
    argv = ["openssl", "pkey", "-in", str(pair.key), "-aes128", "-passout", "pass:secret", "-out", str(key)]
    subprocess.run(argv, check=True, capture_output=True)
    key.chmod(0o600)
    return Certificate(pair.file, key)


def _no_pem(pair: Certificate) -> Certificate:
    file = pair.file.with_name("no.pem")
    file.write_text("nothing")
    return Certificate(file, pair.key)


@pytest.mark.parametrize(
    ("spoil", "words", "hint"),
    [
        (_readable_by_all, "others on this machine can get at it (mode 0644)", "chmod 600"),
        (_protected, "is protected by a password", "openssl pkey"),
        (_no_pem, "no PEM files of their kind", "--certfile"),
        (lambda pair: Certificate(pair.file, pair.file.parent), "The key", "PEM file"),
        (lambda pair: Certificate(pair.file.with_name("absent"), pair.key), "No such file", "can read"),
        (
            lambda pair: Certificate(pair.file, make_certificate(pair.file.parent, "x").key),
            "not belong together",
            "pair",
        ),
        (lambda pair: Certificate(pair.file), "no certificate with its key", "--keyfile"),
    ],
)
def test_files_that_cannot_be_used_are_refused_with_what_to_do(
    spoil: Callable[[Certificate], Certificate], words: str, hint: str, tmp_path: Path
) -> None:
    pair = make_certificate(tmp_path)
    if spoil(pair).key is None:
        # Else it would be its mode that is told.
        pair.file.chmod(0o600)
    with pytest.raises(InvalidInput, match=r"certificate|key") as caught:
        spoil(pair).context()
    assert caught.value.code == "certificate-unusable"
    assert words in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_key_that_a_group_may_read_is_used(tmp_path: Path) -> None:
    pair = make_certificate(tmp_path)
    assert pair.key is not None
    pair.key.chmod(0o640)
    assert pair.context().minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_key_without_a_certificate_is_no_tls(tmp_path: Path) -> None:
    assert certificate_of(None, None) is None
    with pytest.raises(InvalidInput, match="key of a certificate"):
        certificate_of(None, tmp_path / "key.pem")


def test_the_command_says_what_is_wrong_before_it_serves(certificate: Certificate, tmp_path: Path) -> None:
    argv = [str(_STUDIOLO), "gateway", "--port", "0", "--data-dir", str(tmp_path), "--certfile", str(certificate.file)]
    ran = subprocess.run([*argv, "--keyfile", "/nowhere"], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 2
    assert "The key /nowhere cannot be read: No such file or directory." in ran.stderr
    assert "Traceback" not in ran.stderr


async def test_a_renewed_certificate_is_used_by_the_next_connections(tmp_path: Path) -> None:
    pair, renewed = make_certificate(tmp_path), make_certificate(tmp_path, "renewed")
    context = pair.context()
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    following = asyncio.create_task(pair.follow(context, pause_seconds=0.01))
    port = server.sockets[0].getsockname()[1]

    async def is_trusted(file: Path) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context(cafile=file))
        except ssl.SSLError:
            return False
        writer.close()
        return True

    try:
        assert await is_trusted(pair.file)
        former = pair.file.rename(tmp_path / "former.pem")
        assert pair.key is not None
        assert renewed.key is not None
        # Between the two the pair does not belong together, and the former one is used on.
        renewed.file.replace(pair.file)
        assert await is_trusted(former)
        renewed.key.replace(pair.key)
        async with asyncio.timeout(SECONDS):
            while not await is_trusted(pair.file):
                await asyncio.sleep(0.01)
    finally:
        following.cancel()
        server.close()
