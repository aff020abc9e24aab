"""Outputs of cells as nbformat 4.5 has them, from the messages that kernels send. Pure.

Sources: nbformat's schema 4.5, and what JupyterLab's output area does with a terminal's control characters.
"""

from typing import Any

from studiolo.gateway.journals.records import Gap
from studiolo.gateway.messages.wire import dump

Output = dict[str, Any]


def read_output(msg_type: str, content: dict[str, Any]) -> Output | None:
    """Return the output that a stream, display_data, execute_result or error message makes; None: it makes none.

    What nbformat would not accept is left out. Members are sorted, as Jupyter writes them.
    """
    if msg_type == "stream":
        text = content.get("text")
        name = "stderr" if content.get("name") == "stderr" else "stdout"
        return {"name": name, "output_type": "stream", "text": text} if isinstance(text, str) else None
    if msg_type == "error":
        traceback = content.get("traceback")
        return {
            "ename": _text(content.get("ename")),
            "evalue": _text(content.get("evalue")),
            "output_type": "error",
            "traceback": [_text(line) for line in traceback] if isinstance(traceback, list) else [],
        }
    metadata = content.get("metadata")
    output: Output = {
        "data": _mime_bundle(content.get("data")),
        "metadata": metadata if isinstance(metadata, dict) and _is_finite(metadata) else {},
        "output_type": msg_type,
    }
    if msg_type == "execute_result":
        count = content.get("execution_count")
        output["execution_count"] = count if isinstance(count, int) else None
    return dict(sorted(output.items()))


def gap_output(gap: Gap, *, kept: bool) -> Output:
    """Return what stands in a cell where output is missing. `kept`: the kernel's journal still has it."""
    if gap.messages is None:
        size = "Output of unknown size"
    else:
        size = f"Output of {gap.messages:,} messages"
        if gap.data_bytes is not None:
            size += f" ({_amount(gap.data_bytes)})"
    where = "is not shown here; the kernel's journal has it" if kept else "was lost"
    members = {"from": gap.first, "to": gap.last, "messages": gap.messages, "bytes": gap.data_bytes, "kept": kept}
    return {
        "data": {"text/plain": f"[{size} {where}.]"},
        "metadata": {"studiolo": {"gap": members}},
        "output_type": "display_data",
    }


def append_text(pieces: list[str], text: str) -> int:
    """Append a stream's text as a terminal shows it; return by how many characters `pieces` became longer.

    A carriage return goes back to the line's beginning, so that an hour of a progress bar is one line.
    """
    if "\r" not in text and not (pieces and pieces[-1].endswith("\r")):
        pieces.append(text)
        # Many small strings take several times what one of their text takes.
        while len(pieces) > 1 and len(pieces[-2]) <= len(pieces[-1]):
            pieces[-2:] = [pieces[-2] + pieces[-1]]
        return len(text)
    line = _take_open_line(pieces)
    folded = "\n".join(map(_overwrite, (line + text).split("\n")))
    whole, newline, rest = folded.rpartition("\n")
    pieces += [piece for piece in (whole + newline, rest) if piece]
    return len(folded) - len(line)


def _take_open_line(pieces: list[str]) -> str:
    """Remove what stands behind the last newline and return it."""
    line = ""
    while pieces:
        whole, newline, rest = pieces.pop().rpartition("\n")
        line = rest + line
        if newline:
            pieces.append(whole + newline)
            break
    return line


def _overwrite(line: str) -> str:
    # What a last carriage return does shows only in what comes next.
    inner = line.rstrip("\r")
    if "\r" not in inner:
        return line
    shown = ""
    # From the end, so that each piece is copied once at most.
    for piece in reversed(inner.split("\r")):
        if len(piece) > len(shown):
            shown += piece[len(shown) :]
    return shown + line[len(inner) :]


def _mime_bundle(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        return {}
    return {kind: value for kind, value in data.items() if isinstance(value, str) or _is_json(kind, value)}


def _is_json(kind: str, value: Any) -> bool:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return True
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    return is_json and _is_finite(value)


def _is_finite(value: Any) -> bool:
    """Tell whether JSON has all of its numbers: 1e999 is read as infinity."""
    try:
        dump(value)
    except ValueError:
        return False
    return True


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _amount(size: int) -> str:
    if size < 1024:
        return f"{size} bytes"
    return f"{size / 1024:.1f} KiB" if size < 1024 * 1024 else f"{size / 1024 / 1024:.1f} MiB"
