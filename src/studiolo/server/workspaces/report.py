"""The report of a workspace as one HTML document: no script, no address, all text escaped. Pure."""

import html
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from studiolo.contract.details import WorkspaceExport, WorkspaceMetadata
from studiolo.contract.sizes import describe_size

_LINE = "1px solid color-mix(in srgb,currentColor 20%,transparent)"
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}"
    f"th,td{{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:{_LINE};"
    "vertical-align:top;overflow-wrap:anywhere}"
    f"pre{{overflow:auto;padding:.75rem;border:{_LINE}}}"
)


def write_report(export: WorkspaceExport) -> str:
    """Return the document."""
    about = export.metadata
    title = f"{about.owner.name}/{about.name}"
    packages = [(one["name"], one["version"], _when(one["installed_at"])) for one in about.packages if not one["base"]]
    of_base = sum(bool(one["base"]) for one in about.packages)
    parts = (
        f"<h1>{_text(title)}</h1>",
        f"<p>{_text(about.description)}</p>" if about.description else "",
        f"<p>As of {_when(export.exported_at)}.</p>",
        _table("At a glance", ("", ""), _facts(about)),
        _table(
            "People", ("Name", "Role", "Since"), [(m.person.name, m.role.value, _when(m.since)) for m in export.members]
        ),
        _table("Notebooks last run", ("Notebook", "When"), [(run.path, _when(run.at)) for run in about.executions]),
        _table("Packages installed here", ("Package", "Version", "When"), packages),
        f"<p>{of_base} more came with the default environment.</p>",
        f"<h2>Configuration</h2><pre>{_text(export.config_file or 'Nothing is configured.')}</pre>",
    )
    body = "\n".join(filter(None, parts))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Report of {_text(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _facts(about: WorkspaceMetadata) -> list[tuple[str, str]]:
    use: dict[str, Any] = about.usage
    return [
        ("Owner", f"{about.owner.display_name} ({about.owner.name})"),
        ("Made", _when(about.created_at)),
        ("Last changed", _when(about.modified_at)),
        ("Sessions so far", str(about.sessions)),
        ("Running now", str(use["running"])),
        ("Session hours", f"{use['session_hours']:.1f}"),
        ("Processor hours", f"{use['cpu_hours']:.1f}"),
        ("Most memory used", _amount(use["memory_peak"])),
        ("Files", _amount(use["disk"])),
        ("Experiments", ", ".join(about.experiments) or "none"),
    ]


def _table(title: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    if not cells:
        return f"<h2>{_text(title)}</h2><p>None.</p>"
    names = "".join(f'<th scope="col">{_text(name)}</th>' for name in heads if name)
    head = f"<thead><tr>{names}</tr></thead>" if names else ""
    return f"<h2>{_text(title)}</h2><table>{head}<tbody>{cells}</tbody></table>"


def _text(value: str) -> str:
    return html.escape(value)


def _amount(size: int | None) -> str:
    return describe_size(size) if size is not None else "not measured"


def _when(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else ""
