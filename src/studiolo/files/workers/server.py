"""The process that forks a child for each piece of work: `python -m studiolo.files.workers.server FD`.

It has loaded what the work needs, so that a child begins at once, and never itself reads foreign content. FD is
a socket of packets. One packet is one piece of work: JSON `{"do": name, …}`, with the descriptors of the reply (a
socket, first) and of what the work reads and writes. The child answers one packet of JSON and ends; a child that
met a limit ends without. The process ends with the other side of its socket.
"""

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from studiolo.files.differences import compare_into
from studiolo.files.previews.rendering import prepare, render_into
from studiolo.files.search.indexing import bring_up_to_date
from studiolo.files.workers.limits import INDEX, PREVIEW, Limits

MAX_PACKET = 64 * 1024
_MOST_DESCRIPTORS = 4
_Work = Callable[..., dict[str, Any]]
_WORKS: dict[str, tuple[Limits, _Work]] = {
    "preview": (PREVIEW, render_into),
    "index": (INDEX, bring_up_to_date),
    "difference": (PREVIEW, compare_into),
}


def main() -> None:
    """Serve until the other side is gone."""
    line = socket.socket(fileno=int(sys.argv[1]))
    prepare()
    # Children are nobody's concern once they have answered.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        packet, descriptors, _, _ = socket.recv_fds(line, MAX_PACKET, _MOST_DESCRIPTORS)
        if not packet:
            return
        if os.fork() == 0:
            line.close()
            _work(packet, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _work(packet: bytes, descriptors: list[int]) -> None:
    """Do one piece of work in the child, which ends here whatever happens."""
    reply = socket.socket(fileno=descriptors[0])
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        answer = _answer(json.loads(packet), descriptors[1:])
        # Nobody listens any more when the host ended or gave up.
        with contextlib.suppress(OSError):
            reply.send(json.dumps(answer).encode())
    finally:
        os._exit(0)


def _answer(asked: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
    limits, work = _WORKS[asked.pop("do")]
    try:
        limits.take_effect()
        return {"done": work(*descriptors, **asked)}
    except MemoryError:
        return {"failed": "memory"}
    # The border of libraries that read foreign content: whatever they raise is told to the log, not to the person.
    except BaseException as exc:
        return {"failed": "error", "detail": f"{type(exc).__name__}: {exc}"[:2000]}


if __name__ == "__main__":
    main()
