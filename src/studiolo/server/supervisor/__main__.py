"""`python -m studiolo.server.supervisor`: the platform without a terminal; settings from the environment."""

import argparse
import asyncio
import sys

from studiolo.contract.errors import EXIT_CODE, StudioloError
from studiolo.server.settings import load_settings
from studiolo.server.supervisor.run import run, tell_failure
from studiolo.server.supervisor.sessions import stop_all_sessions


def main() -> int:
    """Run until told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="studiolo.server.supervisor", description=__doc__)
    parser.add_argument("--stop-sessions", action="store_true", help="end all sessions too when stopping")
    arguments = parser.parse_args()
    try:
        stop = stop_all_sessions if arguments.stop_sessions else None
        run(load_settings(), on_ready=lambda: asyncio.sleep(0), stop_sessions=stop)
    except StudioloError as error:
        tell_failure(error)
        hint = f"\nhint: {error.hint}" if error.hint else ""
        print(f"error: {error.message}{hint}", file=sys.stderr)  # noqa: T201
        return EXIT_CODE[error.kind]
    return 0


if __name__ == "__main__":
    sys.exit(main())
