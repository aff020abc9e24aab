"""Messages as they cross ZMQ: signed, split into frames, read no further than needed.

Source: the messaging specification, "The wire protocol", and `jupyter_client.session`. Byte layouts are drawn in
docs/explanation/kernel-wire.md. JSON parts stay the bytes they were: what is not changed is not serialised again.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import uuid4

from pydantic_core import from_json

from studiolo.contract.errors import InvalidInput
from studiolo.gateway.base import Parts

DELIMITER = b"<IDS|MSG>"
PROTOCOL_VERSION = "5.4"
# header, parent_header, metadata, content: what is signed.
JSON_PARTS = 4
MOST_HEADER_BYTES = 32 * 1024
MOST_NAME_CHARACTERS = 256
_JSON = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


class BadMessageError(InvalidInput):
    """What came is no message of the protocol, or its signature is wrong. `message` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__("kernel-message-malformed", f"This is no kernel message: {reason}.")
        self.reason = reason


@dataclass(slots=True)
class Header:
    """What the host needs of a message header. Absent optional members are empty strings, `subshell_id` None."""

    msg_id: str
    msg_type: str
    session: str = ""
    username: str = ""
    date: str = ""
    version: str = ""
    subshell_id: str | None = None


class Signer:
    """Signs and checks messages with one kernel's key.

    `key`: from the connection file; empty: messages are neither signed nor checked. `scheme`: `hmac-` and the name
    of a hash. `checks`: False where messages come by a way that only those can use who could read the key as well.
    Raises BadMessageError for another scheme.
    """

    def __init__(self, key: bytes, scheme: str = "hmac-sha256", *, checks: bool = True) -> None:
        kind, _, digest = scheme.partition("-")
        if kind != "hmac" or digest not in hashlib.algorithms_available:
            raise BadMessageError(f"the signature scheme {scheme!r} is not known")
        prepared = hmac.new(key, digestmod=digest)
        self._prepared = prepared if key else None
        self._checks = checks and bool(key)

    def sign(self, parts: Parts) -> bytes:
        """Return the hex digest of the four JSON parts, `b""` without a key. Buffers are not signed."""
        if self._prepared is None:
            return b""
        digest = self._prepared.copy()
        for part in parts[:JSON_PARTS]:
            digest.update(part)
        return digest.hexdigest().encode()

    def pack(self, parts: Parts, identities: Sequence[bytes] = ()) -> list[bytes]:
        """Return the frames to send: identities, delimiter, signature, parts."""
        return [*identities, DELIMITER, self.sign(parts), *parts]

    def unpack(self, frames: list[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Return (identities, parts) of received frames.

        Raises BadMessageError: no delimiter, fewer than four parts, wrong signature. Repeated messages are the
        kernel's to notice.
        """
        try:
            place = frames.index(DELIMITER)
        except ValueError:
            raise BadMessageError("the delimiter is missing") from None
        parts = frames[place + 2 :]
        if len(parts) < JSON_PARTS:
            raise BadMessageError("it has fewer than four parts")
        if self._checks and not hmac.compare_digest(frames[place + 1], self.sign(parts)):
            raise BadMessageError("its signature is wrong")
        return frames[:place], parts


def read_header(parts: Parts) -> Header:
    """Read a message's header, strictly in types and sizes, tolerant of members that it does not know.

    Raises BadMessageError.
    """
    members = _read_object(parts[0], "header")
    header = Header(
        msg_id=_text(members, "msg_id"),
        msg_type=_text(members, "msg_type"),
        session=_text(members, "session"),
        username=_text(members, "username"),
        # A number from jupyter_server's GatewayKernelClient, which nbclient and papermill use.
        date=str(members.get("date") or "")[:64],
        version=_text(members, "version"),
        subshell_id=_text(members, "subshell_id") if members.get("subshell_id") is not None else None,
    )
    if not header.msg_id or not header.msg_type:
        raise BadMessageError("its header has no msg_id or no msg_type")
    return header


def parent_id(parts: Parts) -> str:
    """Return the msg_id of the request that a message answers, "" when it answers none. Raises BadMessageError."""
    return _read_msg_id(parts[1])


def build(
    msg_type: str,
    content: Mapping[str, Any],
    *,
    session: str,
    parent_header: bytes = b"{}",
    metadata: Mapping[str, Any] | None = None,
    username: str = "",
    msg_id: str | None = None,
    buffers: Sequence[bytes] = (),
) -> list[bytes]:
    """Return the parts of a message that the host itself makes.

    `parent_header`: the header part of the request, as it came. `content` and `metadata`: JSON-serialisable.
    """
    header = {
        "msg_id": msg_id or uuid4().hex,
        "msg_type": msg_type,
        "username": username,
        "session": session,
        "date": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "version": PROTOCOL_VERSION,
    }
    return [dump(header), parent_header, dump(metadata or {}), dump(content), *buffers]


def dump(value: Any) -> bytes:
    """Return compact ASCII JSON. Raises ValueError for NaN and infinity, which JSON does not have."""
    return _JSON.encode(value).encode("ascii")


# Most output shares its parent with what came before it.
@lru_cache(maxsize=64)
def _read_msg_id(parent_header: bytes) -> str:
    return _text(_read_object(parent_header, "parent header"), "msg_id")


def _read_object(part: bytes, what: str) -> dict[str, Any]:
    if len(part) > MOST_HEADER_BYTES:
        raise BadMessageError(f"its {what} is longer than {MOST_HEADER_BYTES:,} bytes")
    try:
        members = from_json(part, allow_inf_nan=False)
    except ValueError:
        members = None
    if not isinstance(members, dict):
        raise BadMessageError(f"its {what} is no JSON object")
    return members


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name, "")
    if not isinstance(value, str) or len(value) > MOST_NAME_CHARACTERS:
        raise BadMessageError(f"{name} of its header is no text of at most {MOST_NAME_CHARACTERS} characters")
    return value
