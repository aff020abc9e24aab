"""Real web servers of Debian's in front of something that listens on this machine, with the lines their manuals give."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from studiolo.testing.ports import free_port
from studiolo.testing.waiting import wait_for

# `listen` and `tls`: where it listens and with which certificate; `target`: what stands behind it.
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {listen}{tls};
        client_max_body_size 0;
        location / {{
            proxy_pass {target};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_read_timeout 1d;
        }}
    }}
}}
"""
HAPROXY = """
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1d
frontend all
    bind {listen}{tls}
    default_backend behind
backend behind
    server one {target}
"""


@contextmanager
def running_proxy(
    program: str,
    target: str,
    folder: Path,
    certificate: Path | None = None,
    listen: str | None = None,
    *,
    ends_tls: bool = False,
) -> Iterator[int]:
    """Run nginx or haproxy before `target` until the block ends; gives its port.

    `certificate`: PEM with its key; TLS is then spoken on both sides, or by it alone where it `ends_tls`. `listen`:
    address and port, one of its own if None.
    """
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing(f"{program} is not installed; `make test` installs it as root")
    folder.mkdir(parents=True, exist_ok=True)
    # Its workers have an account of their own where it runs as root.
    folder.chmod(0o777)
    listen, written = listen or f"127.0.0.1:{free_port()}", folder / f"{program}.conf"
    written.write_text(_CONFIGURED[program](folder, listen, target, certificate, not ends_tls))
    with (folder / "said").open("w") as said:
        process = subprocess.Popen([found, *_FLAGS[program], str(written)], stdout=said, stderr=said)
    try:
        address, _, port = listen.partition(":")
        wait_for(lambda: process.poll() is not None or _listens(address, int(port)), f"{program} listens")
        assert process.poll() is None, (folder / "said").read_text()
        yield int(port)
    finally:
        process.terminate()
        process.wait(30)


def _nginx(folder: Path, listen: str, target: str, certificate: Path | None, asks_by_tls: bool) -> str:
    tls = f" ssl;\n        ssl_certificate {certificate};\n        ssl_certificate_key {certificate}"
    target = f"{'https' if certificate and asks_by_tls else 'http'}://{target}"
    return NGINX.format(folder=folder, listen=listen, target=target, tls=tls if certificate else "")


def _haproxy(folder: Path, listen: str, target: str, certificate: Path | None, asks_by_tls: bool) -> str:
    tls = f" ssl crt {certificate}" if certificate else ""
    target += " ssl verify none" if certificate and asks_by_tls else ""
    return HAPROXY.format(folder=folder, listen=listen, target=target, tls=tls)


_CONFIGURED: dict[str, Callable[[Path, str, str, Path | None, bool], str]] = {"nginx": _nginx, "haproxy": _haproxy}
_FLAGS = {"nginx": ("-c",), "haproxy": ("-db", "-q", "-f")}


def _listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((address, port)) == 0
