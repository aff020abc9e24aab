"""One backup in a process of its own: `python -m studiolo.server.backup`, settings from the environment.

Writes JSON lines to stdout: {"done": BYTES, "total": BYTES} on the way; at the end {"folder": PATH}, or {"code",
"kind", "message", "hint"} of what went wrong. Ended by a signal it leaves nothing.
"""

import json
import signal
import sys
import time
from types import FrameType

from studiolo.contract.errors import EXIT_CODE, StudioloError
from studiolo.kit.modesty import be_modest
from studiolo.server.backup.backup import backup_folder, make_backup, remove_old
from studiolo.server.settings import load_settings

_TELL_SECONDS = 0.5


def main() -> int:
    """Make the backup; returns the exit code."""
    signal.signal(signal.SIGTERM, _end)
    be_modest()
    told_at = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > _TELL_SECONDS:
            told_at = time.monotonic()
            _say(done=done, total=total)

    try:
        settings = load_settings()
        folder = backup_folder(settings)
        made = make_backup(settings, folder, tell)
        remove_old(folder, settings.backup.keep)
    except StudioloError as error:
        _say(code=error.code, kind=error.kind, message=error.message, hint=error.hint)
        return EXIT_CODE[error.kind]
    _say(folder=str(made))
    return 0


def _say(**line: object) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
