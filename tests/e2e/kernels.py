"""A plain Jupyter client over the front door: starts a kernel, runs code, with nothing but a key."""

import json
import socket
import ssl
import uuid
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect


def start_kernel(client: httpx.Client, session_id: str) -> str:
    """Start a kernel of the session; returns its id."""
    reply = client.post(f"/s/{session_id}/api/kernels", json={"name": "python3"})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


def channels(
    client: httpx.Client,
    session_id: str,
    kernel_id: str,
    headers: dict[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    *,
    place: str | None = None,
    way: socket.socket | None = None,
) -> ClientConnection:
    """Open the kernel's websocket, with the client's key or other headers. `place`: where it is, if in no session.

    `way`: a connection that leads to the platform; None: straight there.
    """
    address = str(client.base_url).rstrip("/").replace("http", "ws", 1)
    headers = headers or {"Authorization": client.headers["Authorization"]}
    url = f"{address}{place or f'/s/{session_id}'}/api/kernels/{kernel_id}/channels"
    return connect(url, additional_headers=headers, ssl=ssl_context, sock=way, max_size=None, open_timeout=30)


def send(socket: ClientConnection, code: str) -> str:
    """Send an execute request; returns its message id."""
    message_id = uuid.uuid4().hex
    header = {"msg_id": message_id, "msg_type": "execute_request", "username": "", "session": "test", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
    socket.send(json.dumps(message))
    return message_id


def execute(socket: ClientConnection, code: str, timeout: float = 60) -> str:
    """Run code and return what it printed; raises AssertionError for an error in it."""
    message_id, printed = send(socket, code), ""
    while True:
        message: dict[str, Any] = json.loads(socket.recv(timeout))
        if message["parent_header"].get("msg_id") != message_id:
            continue
        if message["msg_type"] == "stream":
            printed += message["content"]["text"]
        if message["msg_type"] == "error":
            raise AssertionError(message["content"]["evalue"])
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return printed
