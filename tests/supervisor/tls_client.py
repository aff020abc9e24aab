"""A TLS client that names any server, on loopback."""

import asyncio
import contextlib
import ssl
import tempfile
from pathlib import Path


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def certificate_names(port: int, name: str) -> set[str]:
    """Return the DNS names in the certificate served for `name`."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=_context(), server_hostname=name)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    await _close(writer)
    with tempfile.NamedTemporaryFile(suffix=".pem", mode="w") as file:
        file.write(ssl.DER_cert_to_PEM_cert(der))
        file.flush()
        decoded = ssl._ssl._test_decode_cert(str(Path(file.name)))  # type: ignore[attr-defined]
    return {value for kind, value in decoded["subjectAltName"] if kind == "DNS"}


async def https_get(port: int, name: str, path: str, *, host: str | None = None) -> str:
    """Return the whole answer to a GET, head and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=_context(), server_hostname=name)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host or name}:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    await _close(writer)
    return answer.decode()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
