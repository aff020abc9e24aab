"""Advice in a kernel: what a policy's rules on modules and functions name is refused where a cell does it.

By an audit hook (PEP 578), which a cell cannot take back; who wants around it finds a way (a child process, ctypes),
so it prevents slips and nothing else. What IPython does for a cell, `!pip install` before all, is not its own doing.
The platform is told of each rule once a minute: which one, and the name of the call or module; nothing of the code.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any

# Names of modules and functions between spaces; set where the policy of the workspace says `code_rules: guard`.
VARIABLE = "STUDIOLO_GUARDED"
# What works for cells on their word, and what tells why a package was refused.
_FOR_CELLS = ("IPython", "ipykernel", "comm", "matplotlib_inline", "studiolo")
_TELL_AGAIN_SECONDS = 60.0

# Rule, and the name of what was called or imported.
Found = tuple[str, str]


def watch(namespace: Mapping[str, Any]) -> None:
    """Refuse from now on what the variable names to cells, whose global names are `namespace`; nothing without it."""
    if rules := frozenset(os.environ.get(VARIABLE, "").split()):
        found: SimpleQueue[Found] = SimpleQueue()
        # Now, since a hook is no place to begin one; and nothing waits for it at the end.
        threading.Thread(target=_tell_forever, args=(found,), name="studiolo-guard", daemon=True).start()
        sys.addaudithook(_hook(rules, namespace, found.put))


def watch_this() -> None:
    """The same for the kernel of this process, which was started without us."""
    from IPython import get_ipython

    watch(get_ipython().user_ns)


def _hook(
    rules: frozenset[str], namespace: Mapping[str, Any], tell: Callable[[Found], None]
) -> Callable[[str, tuple[Any, ...]], None]:
    def hook(event: str, given: tuple[Any, ...]) -> None:
        # An event is called as the function is: os.system, subprocess.Popen, socket.connect.
        if event == "import":
            rule = given[0] if given[0] in rules else None
        else:
            rule = event if event in rules else event.partition(".")[0]
        if rule in rules and _is_of_a_cell(namespace, sys._getframe(1)):
            tell((rule, rule if event == "import" else event))
            raise PermissionError(
                f"{event if event != 'import' else f'import {rule}'} is blocked by the package policy of this "
                f"workspace (rule: {rule}). `studiolo policy show` tells who set it."
            )

    return hook


def _is_of_a_cell(namespace: Mapping[str, Any], frame: FrameType | None) -> bool:
    """Tell whether a cell does this, itself or by a library, and IPython does not do it for the cell."""
    while frame is not None:
        if frame.f_globals is namespace:
            return True
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _FOR_CELLS:
            return False
        frame = frame.f_back
    return False


def _tell_forever(found: "SimpleQueue[Found]") -> None:
    told: dict[str, float] = {}
    while True:
        rule, call = found.get()
        now = time.monotonic()
        if now - told.get(rule, -_TELL_AGAIN_SECONDS) >= _TELL_AGAIN_SECONDS:
            told[rule] = now
            _tell({"kernel": os.environ.get("KERNEL_ID") or None, "rule": rule, "call": call})


def _tell(form: dict[str, str | None]) -> None:
    """Tell the platform; a platform that is away misses it, and the cell was told in any case."""
    # Imported here: few kernels are guarded, and in most of those nothing is found.
    import runpy

    try:
        # By its path, as this file may have been loaded: a kernel's environment has none of our modules.
        runpy.run_path(str(Path(__file__).with_name("condacommand.py")))["ask"]("POST", "policy/guard", form)
    except Exception:
        # Whatever it is, there is nobody to hear of it here.
        return
