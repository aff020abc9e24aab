import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from studiolo.contract.errors import InvalidInput
from studiolo.server.settings import Settings
from studiolo.server.supervisor.caddyfile import caddy_binary, caddyfile, write_caddyfile
from supervisor.front_door import StandIn, caddy, serving
from supervisor.tls_client import certificate_names, https_get


def make_certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    certificate, key = folder / f"{names[0].strip('*.')}.pem", folder / f"{names[0].strip('*.')}.key"
    alternatives = ",".join(f"DNS:{name}" for name in names)
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    argv += ["-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alternatives}"]
    subprocess.run([*argv, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


async def test_internal_tls_has_a_certificate_for_the_platform_and_for_each_session(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(tls={"mode": "internal"})
    async with serving(StandIn("control"), settings.control_socket), caddy(settings):
        for name in ("localhost", "s-0123456789abcdef.localhost"):
            assert await certificate_names(settings.port, name) == {name}
            assert '"by": "control"' in await https_get(settings.port, name, "/_studiolo/x")


async def test_internal_tls_makes_no_certificate_for_foreign_names(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(tls={"mode": "internal"})
    async with serving(StandIn("control"), settings.control_socket), caddy(settings):
        for name in ("example.com", "a.b.localhost"):
            with pytest.raises(ssl.SSLError):
                await certificate_names(settings.port, name)
        # The right name in TLS and a foreign one in Host: the control plane must see it to refuse it.
        assert '"by": "control"' in await https_get(settings.port, "localhost", "/", host="example.com")


async def test_certificate_files_serve_platform_and_sessions(
    make_settings: Callable[..., Settings], short_folder: Path
) -> None:
    certificate, key = make_certificate(short_folder, "lab.test", "*.lab.test")
    settings = make_settings(domain="lab.test", tls={"mode": "files", "certificate": certificate, "key": key})
    async with serving(StandIn("control"), settings.control_socket), caddy(settings):
        for name in ("lab.test", "s-0123456789abcdef.lab.test"):
            assert await certificate_names(settings.port, name) == {"lab.test", "*.lab.test"}
            assert '"by": "control"' in await https_get(settings.port, name, "/_studiolo/x")


def test_a_certificate_and_the_key_of_another_are_refused(
    make_settings: Callable[..., Settings], short_folder: Path
) -> None:
    certificate, _ = make_certificate(short_folder, "one.test")
    _, key = make_certificate(short_folder, "two.test")
    with pytest.raises(InvalidInput, match="belong together") as caught:
        caddyfile(make_settings(tls={"mode": "files", "certificate": certificate, "key": key}))
    assert caught.value.code == "certificate-unusable"


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_unreadable_certificate_is_refused(
    make_settings: Callable[..., Settings], short_folder: Path, content: bytes | None
) -> None:
    _, key = make_certificate(short_folder, "one.test")
    certificate = short_folder / "bad.pem"
    if content is not None:
        certificate.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        caddyfile(make_settings(tls={"mode": "files", "certificate": certificate, "key": key}))
    assert caught.value.code == "certificate-unusable"


def test_a_certificate_without_a_key_is_refused(make_settings: Callable[..., Settings]) -> None:
    with pytest.raises(InvalidInput, match="needs its key"):
        caddyfile(make_settings(tls={"mode": "files", "certificate": "/etc/hostname"}))


@pytest.mark.parametrize("mode", ["off", "internal", "acme"])
def test_the_caddyfile_is_formatted_and_valid(make_settings: Callable[..., Settings], mode: str) -> None:
    settings = make_settings(tls={"mode": mode}, domain="lab.example.com")
    path = write_caddyfile(settings)
    for argv in (["fmt", "--diff"], ["validate", "--adapter", "caddyfile", "--config"]):
        done = subprocess.run([caddy_binary(), *argv, path], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
