"""The fork server: has JupyterLab imported, forks a shim per request or has a spare take it, knows nothing else.

`python -m studiolo.runtime.forkserver --socket PATH`.
"""

import argparse
import functools
import sys

from studiolo.runtime import shim
from studiolo.runtime.forking import ForkServer
from studiolo.runtime.notify import tell_ready
from studiolo.runtime.preload import preload
from studiolo.runtime.sessionspares import session_spare
from studiolo.runtime.spares import Spares


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; sessions go on without it."""
    parser = argparse.ArgumentParser(prog="studiolo.runtime.forkserver")
    parser.add_argument("--socket", required=True, metavar="PATH", help="unix socket to listen on")
    parser.add_argument("--spares", type=int, default=0, metavar="N", help="started servers to keep ready (default: 0)")
    options = parser.parse_args(arguments)
    preload()
    server = ForkServer(
        options.socket, Spares(options.spares, session_spare()), functools.partial(shim.serve, forks=True)
    )
    server.serve(tell_ready)
    return 0


if __name__ == "__main__":
    sys.exit(main())
