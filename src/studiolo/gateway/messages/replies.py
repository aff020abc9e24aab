"""Messages that the host makes itself: statuses, replies in a kernel's stead, gaps.

They carry the kernel's own session in their header where it is known: JupyterLab takes a change of session for a
restart and drops what it has not shown yet.
"""

import json
from typing import Any

from studiolo.gateway.base import KernelState, Parts
from studiolo.gateway.journals.records import Gap
from studiolo.gateway.messages.frames import JOURNAL_CHANNEL
from studiolo.gateway.messages.wire import build

REQUEST = "_request"
REPLY = "_reply"

_MEBIBYTE = 1024 * 1024


def reply_type(msg_type: str) -> str | None:
    """Return the type of the reply to a request, None for messages that have no reply."""
    return msg_type.removesuffix(REQUEST) + REPLY if msg_type.endswith(REQUEST) else None


def error_reply(msg_type: str, name: str, message: str, *, session: str, parent_header: bytes) -> list[bytes]:
    """Return an error reply to a request of type `msg_type`. Source: messaging specification, "Request-Reply"."""
    content: dict[str, Any] = {"status": "error", "ename": name, "evalue": message, "traceback": [message]}
    if msg_type == "execute_request":
        content |= {"execution_count": None, "user_expressions": {}, "payload": []}
    return build(reply_type(msg_type) or "error", content, session=session, parent_header=parent_header)


def status(state: KernelState | str, *, session: str, parent_header: bytes = b"{}") -> list[bytes]:
    """Return the iopub message that tells a kernel's state."""
    return build("status", {"execution_state": str(state)}, session=session, parent_header=parent_header)


def notice(text: str, *, session: str, parent_header: bytes = b"{}", gap: Any = None) -> list[bytes]:
    """Return a line on stderr that people read beneath their cell. `gap`: what is missing, for programs."""
    metadata = {"studiolo": {"gap": gap}} if gap is not None else None
    content = {"name": "stderr", "text": f"[{text}]\n"}
    return build("stream", content, session=session, parent_header=parent_header, metadata=metadata)


def gap_message(gap: Gap, *, numbered: bool, session: str, parent_header: bytes) -> tuple[str, list[bytes]]:
    """Return (channel, parts) that tell a client what the journal does not have (any more)."""
    if numbered:
        content = {"from": gap.first, "to": gap.last, "messages": gap.messages, "bytes": gap.data_bytes}
        return JOURNAL_CHANNEL, build("gap", content, session=session)
    return "iopub", notice(describe(gap), session=session, parent_header=parent_header)


def describe(gap: Gap) -> str:
    """Say in a sentence how much output is missing."""
    if gap.messages is None:
        return "Some output may be missing here: it came while nothing could keep it."
    size = "" if gap.data_bytes is None else f" ({gap.data_bytes / _MEBIBYTE:.1f} MiB)"
    one = gap.messages == 1
    return f"{gap.messages:,} message{'' if one else 's'} of output{size} {'is' if one else 'are'} not kept any more."


def too_big(parts: Parts, size: int, limit: int, *, session: str) -> list[bytes]:
    """Return what stands in the place of an output that is bigger than a message may be."""
    text = f"An output of {size / _MEBIBYTE:.1f} MiB is left out: it is bigger than {limit // _MEBIBYTE} MiB."
    return notice(text, session=session, parent_header=parts[1], gap={"messages": 1, "bytes": size})


def read_content(parts: Parts) -> dict[str, Any]:
    """Return a message's content, empty if it is no JSON object."""
    try:
        content = json.loads(parts[3])
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
