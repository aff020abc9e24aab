"""Sessions whose servers have paths and credentials of their own: how the front door asks these (decision 008).

At a session's own origin a browser sees the server's own paths, which its pages are made for; programs say `/s/{id}/`
everywhere, and it is replaced on the way.
"""

from urllib.parse import unquote

from studiolo.contract.errors import Conflict, NotFound
from studiolo.engines.base import Front

Header = tuple[bytes, bytes]
_PREFIX = b"x-studiolo-front-prefix"


class ElsewhereError(Exception):
    """The browser is to go to `target`, an absolute path or address, instead."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.target = target


def has_front(upstream: str) -> bool:
    """Tell whether an upstream is a server that is asked by a front: nothing of our runtime is there."""
    return "://" in upstream


def front_headers(upstream: str, front: Front, *, session_id: str, login: str) -> list[Header]:
    """Return what the front door is to know of a server at `http://host:port` or `https://host:port`.

    It is shown no secret and no person of ours. Of `front.headers` the front door sends Authorization. `login`: the id
    of whoever's login or key asks, by which the relay closes their sockets; it goes no further.
    """
    scheme, _, address = upstream.partition("://")
    host = address.removesuffix(":443" if scheme == "https" else ":80")
    secret = {name.lower(): value for name, value in front.headers.items()}
    headers = [
        (b"x-studiolo-upstream", address.encode()),
        (b"x-studiolo-front-host", host.encode()),
        (b"x-studiolo-front-origin", f"{scheme}://{host}".encode()),
        (b"x-studiolo-front-authorization", secret.get("authorization", "").encode()),
        (b"x-studiolo-front-session", session_id.encode()),
        (b"x-studiolo-login", login.encode()),
        (_PREFIX, front.prefix.encode()),
    ]
    return [*headers, (b"x-studiolo-front-tls", b"1")] if scheme == "https" else headers


def place(
    answer: list[Header], session_id: str, uri: str, *, own_origin: bool, navigates: bool, has_key: bool, address: str
) -> list[Header]:
    """Return the answer for one request: what is not at a server's own path is moved there.

    `uri`: path and query as they were sent. `navigates`: a browser opens a page. `address`: the platform's.
    Raises ElsewhereError, NotFound (`route-not-found`), Conflict (`session-needs-origin`).
    """
    prefix = next((value.decode() for name, value in answer if name == _PREFIX), None)
    if prefix is None:
        return answer
    path, ours = uri.partition("?")[0], f"/s/{session_id}/"
    if ".." in unquote(path).split("/"):
        raise _nothing_there()
    if path.startswith(ours):
        if not own_origin and not has_key:
            raise needs_origin()
        moved = prefix + uri.removeprefix(ours)
        if navigates and own_origin:
            raise ElsewhereError(moved)
        return [*answer, (b"x-studiolo-front-uri", moved.encode("latin-1"))]
    if path.startswith(prefix) and own_origin:
        return answer
    if navigates and own_origin:
        # The pages of whoever runs the server have links to its own platform: ours is where that is here.
        raise ElsewhereError(prefix if path in ("/", prefix.rstrip("/")) else f"{address}/sessions/{session_id}")
    raise _nothing_there()


def needs_origin() -> Conflict:
    """Return the error for a browser that reaches sessions on the platform's own origin only."""
    return Conflict(
        "session-needs-origin",
        "This session runs where servers have addresses of their own, and this browser reaches sessions on the "
        "platform's address only.",
        hint="Use another browser or the platform's own name; programs reach the session with a key.",
    )


def _nothing_there() -> NotFound:
    return NotFound("route-not-found", "There is nothing at this address.")
