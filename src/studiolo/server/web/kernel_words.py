"""How kernels read on pages: state, what somebody may do, output by request, how to connect. Pure functions."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from studiolo.contract.kernels import KernelInfo, KernelSpecInfo
from studiolo.contract.models import Workspace
from studiolo.contract.resources import Resources
from studiolo.server.principal import Principal
from studiolo.server.web import amounts
from studiolo.server.web.kernel_output import Shown, plain, show
from studiolo.server.web.presentation import Look

_LOOKS = {
    "starting": Look("starting", "half", "Starting"),
    "restarting": Look("starting", "half", "Restarting"),
    "idle": Look("running", "disc", "Idle"),
    "busy": Look("running", "disc", "Busy"),
    "dead": Look("failed", "cross", "Dead"),
    "ended": Look("stopped", "ring", "Ended"),
}
_UNKNOWN = Look("unknown", "triangle", "No answer")
_OUTPUTS = ("stream", "display_data", "execute_result", "error")
_LONGEST_CODE = 2000


@dataclass(slots=True)
class Ran:
    """What one request ran and put out. `code`: empty where the start of it is not among the messages."""

    code: str = ""
    count: int | None = None
    person: str = ""
    outputs: list[dict[str, Any]] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)


def spec_size(spec: KernelSpecInfo) -> str:
    """Return what kernels of a kernelspec may use unless a start names something else: `4 CPU, 8 GiB`."""
    told = (spec.metadata.get("studiolo") or {}).get("resources") or {}
    try:
        size = Resources(cpu=told.get("cpu"), memory=told.get("memory"))
    except (ValidationError, AttributeError):
        # Somebody else wrote it.
        size = Resources()
    return amounts.describe(size) if size.cpu or size.memory else "as the workspace"


def kernel_look(kernel: KernelInfo) -> Look:
    """Return the look of a kernel's state."""
    return _LOOKS.get(kernel.state, _UNKNOWN)


def may(kernel: KernelInfo, workspace: Workspace, who: Principal) -> frozenset[str]:
    """Return what somebody may do with a kernel, as far as a page offers it: `run`, `stop`, `log`, `output`.

    The service decides again. A kernel in a session, or on another engine, carries the power of its person, and is for
    them alone.
    """
    if kernel.shared:
        if workspace.role in ("owner", "editor"):
            return frozenset({"run", "stop", "log", "output"})
        return frozenset({"output"} if workspace.role == "viewer" else ()) | ({"stop"} if who.is_admin else set())
    if workspace.role in ("owner", "editor") and kernel.person and kernel.person.id == who.person_id:
        return frozenset({"run", "stop", "log", "output"})
    if workspace.role == "owner":
        return frozenset({"stop", "log"})
    return frozenset({"stop"} if who.is_admin else ())


def runs_of(entries: Iterable[Mapping[str, Any]]) -> list[Ran]:
    """Return what a kernel put out, by request, in the order in which requests began (contract KernelOutput)."""
    runs: dict[str, Ran] = {}
    # What belongs to no request is kept together as long as nothing comes between.
    alone = 0
    for place, entry in enumerate(entries):
        alone = place if entry.get("parent") or entry.get("gap") else alone
        key = str(entry.get("parent") or f"alone {alone}")
        if gap := entry.get("gap"):
            runs[f"gap {place}"] = Ran(shown=[Shown("note", _gap(gap))])
            continue
        message = entry.get("message") or {}
        kind, content = (message.get("header") or {}).get("msg_type"), message.get("content") or {}
        if str((message.get("parent_header") or {}).get("msg_type")).startswith("comm_"):
            # What widgets make a kernel say goes to JupyterLab's log, not into cells.
            continue
        if kind == "execute_input" or kind in _OUTPUTS:
            ran = runs.setdefault(key, Ran())
            if kind == "execute_input":
                ran.code = plain(str(content.get("code", "")))[:_LONGEST_CODE]
                ran.count = content.get("execution_count")
                ran.person = plain(str((message.get("parent_header") or {}).get("username") or ""))[:80]
            else:
                _add(ran.outputs, {"output_type": kind, **content})
        elif kind == "clear_output":
            ran = runs.setdefault(key, Ran())
            ran.outputs.clear()
    for ran in runs.values():
        ran.shown = ran.shown or show(ran.outputs)
    return [ran for ran in runs.values() if ran.code or ran.shown]


def snippets(kernel: KernelInfo) -> dict[str, str]:
    """Return how to connect to a kernel: `shell`, `python`, `javascript`, `curl`, with the key in STUDIOLO_KEY."""
    at = f"{kernel.api_url}api/kernels/{kernel.id}"
    return {
        "shell": f"studiolo kernels attach {kernel.id}",
        "python": (
            "from studiolo.kernels import BlockingWebsocketKernelClient\n\n"
            f"kernel = BlockingWebsocketKernelClient(url={kernel.api_url!r}, kernel_id={kernel.id!r})\n"
            "kernel.start_channels()\n"
            'kernel.execute_interactive("print(1 + 1)")\n'
            "kernel.stop_channels()"
        ),
        "javascript": (
            "import { KernelManager, ServerConnection } from '@jupyterlab/services';\n\n"
            "const serverSettings = ServerConnection.makeSettings({\n"
            f"  baseUrl: {json.dumps(kernel.api_url)}, token: key, appendToken: true\n}});\n"
            "const kernels = new KernelManager({ serverSettings });\n"
            f"const model = {{ id: {json.dumps(kernel.id)}, name: {json.dumps(kernel.name)} }};\n"
            "const kernel = kernels.connectTo({ model });\n"
            "const future = kernel.requestExecute({ code: 'print(1 + 1)' });\n"
            "future.onIOPub = message => console.log(message.content);\n"
            "await future.done;"
        ),
        "curl": f'curl -H "Authorization: Bearer $STUDIOLO_KEY" "{at}/journal?after=0"',
    }


def _add(outputs: list[dict[str, Any]], output: dict[str, Any]) -> None:
    """Add an output; text of the same stream is one output, as in a notebook."""
    last = outputs[-1] if outputs else {}
    if output["output_type"] == "stream" == last.get("output_type") and output.get("name") == last.get("name"):
        last["text"] = str(last.get("text", "")) + str(output.get("text", ""))
    else:
        outputs.append(output)


def _gap(gap: Mapping[str, Any]) -> str:
    number = gap.get("messages")
    if not isinstance(number, int):
        return "Some output is missing here: it came while nothing could keep it."
    return (
        f"{number:,} message{'' if number == 1 else 's'} of output {'is' if number == 1 else 'are'} not kept any more."
    )
