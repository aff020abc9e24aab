"""A project's page as it is sent: JSON (PEP 691, 700, 714, 792) and HTML (PEP 503, 658, 714), plain and packed."""

import gzip
import hashlib
import html
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

from studiolo.packages.index.denied import explain, folder_of
from studiolo.packages.index.judging import Judged
from studiolo.packages.index.projects import File, Project
from studiolo.packages.policy.decisions import Decision

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
PLAIN = "text/html"
_OFFERED = {
    JSON: JSON,
    HTML: HTML,
    PLAIN: PLAIN,
    "application/vnd.pypi.simple.latest+json": JSON,
    "application/vnd.pypi.simple.latest+html": HTML,
}
# A range stands for the first of these of which nothing was said by name.
_RANGES = {"application/*": (JSON, HTML), "text/*": (PLAIN,), "*/*": (PLAIN, HTML, JSON)}
# Below this, packing costs more than it saves; and loopback is quicker than the quickest packing of large ones.
_WORTH_PACKING = 16 << 10
_PACKING = 1
_LARGE_VERSION, _SMALL_VERSION = "1.4", "1.0"


class Page:
    """One project as one workspace sees it; what is asked for is made once."""

    def __init__(
        self, project: Project, judged: Judged, workspace: str, made_of: str, *, is_explained: bool = False
    ) -> None:
        """`made_of`: names all that the page follows from, for its ETag. `is_explained`: it names what is left out."""
        self._project = project
        self._workspace = workspace
        self._listed = [*judged.listed, *(self._explanations(judged) if is_explained else ())]
        self._made_of = hashlib.sha256(f"{made_of} {judged.until}".encode()).hexdigest()[:32]
        self._bodies: dict[str, bytes] = {}
        self._packed: dict[str, bytes] = {}
        self.until = judged.until

    def etag(self, media_type: str) -> str:
        """Return the tag of one format. Weak: packed and plain share it."""
        return f'W/"{self._made_of}-{"json" if media_type == JSON else "html"}"'

    def body(self, media_type: str) -> bytes:
        """Return the page in one format."""
        kind = JSON if media_type == JSON else HTML
        if kind not in self._bodies:
            self._bodies[kind] = self._json() if kind == JSON else self._html()
        return self._bodies[kind]

    def packed(self, media_type: str) -> bytes | None:
        """Return the same in gzip; None where that is not worth it."""
        kind, body = JSON if media_type == JSON else HTML, self.body(media_type)
        if len(body) < _WORTH_PACKING:
            return None
        if kind not in self._packed:
            self._packed[kind] = gzip.compress(body, _PACKING, mtime=0)
        return self._packed[kind]

    def _explanations(self, judged: Judged) -> Iterator[tuple[File, Decision]]:
        """A file of each version that is left out, for no Python there is: pip passes it over, and says so where it
        finds nothing else. A wheel for every machine, or pip would pass it over for that and say nothing."""
        for file, decision in judged.left_out:
            name = f"{self._project.name.replace('-', '_')}-{file.version.replace('-', '_')}-py3-none-any.whl"
            python = f"==={explain(decision, self._project.name, file.version, self._workspace)}"
            yield file._replace(name=name, sha256=None, yanked=None, requires_python=python, is_wheel=True), decision

    def _json(self) -> bytes:
        files = [self._file(file, decision) for file, decision in self._listed]
        # Each file's size belongs to the later versions, and not every upstream says it.
        version = _LARGE_VERSION if all("size" in one for one in files) else _SMALL_VERSION
        page: dict[str, Any] = {
            "meta": {"api-version": version},
            "name": self._project.name,
            "versions": list(dict.fromkeys(file.version for file, _ in self._listed)),
            "files": files,
        }
        if self._project.status is not None:
            told = {"status": self._project.status, "reason": self._project.status_reason}
            page["project-status"] = {name: text for name, text in told.items() if text}
        return to_json(page)

    def _file(self, file: File, decision: Decision | None) -> dict[str, Any]:
        found: dict[str, Any] = {
            "filename": file.name,
            "url": self._address(file, decision),
            "hashes": {"sha256": file.sha256} if file.sha256 else {},
        }
        if file.requires_python is not None:
            found["requires-python"] = file.requires_python
        if file.yanked is not None:
            found["yanked"] = file.yanked or True
        if file.size is not None:
            found["size"] = file.size
        if file.uploaded_at is not None:
            found["upload-time"] = file.uploaded_at
        if metadata := _metadata(file, decision):
            found["core-metadata"] = {"sha256": metadata} if isinstance(metadata, str) else True
        return found

    def _html(self) -> bytes:
        name = html.escape(self._project.name)
        lines = ['<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.1">']
        for member, told in (("", self._project.status), ("-reason", self._project.status_reason)):
            if told:
                lines.append(f'<meta name="pypi:project-status{member}" content="{html.escape(told)}">')
        lines.append(f"<title>{name}</title></head><body><h1>{name}</h1>")
        lines += [self._anchor(file, decision) for file, decision in self._listed]
        lines.append("</body></html>\n")
        return "\n".join(lines).encode()

    def _anchor(self, file: File, decision: Decision | None) -> str:
        fragment = f"#sha256={file.sha256}" if file.sha256 else ""
        told = [f'href="{self._address(file, decision)}{fragment}"']
        if file.requires_python is not None:
            told.append(f'data-requires-python="{html.escape(file.requires_python)}"')
        if file.yanked is not None:
            told.append(f'data-yanked="{html.escape(file.yanked)}"')
        if file.uploaded_at is not None:
            told.append(f'data-upload-time="{html.escape(file.uploaded_at)}"')
        if metadata := _metadata(file, decision):
            value = f"sha256={metadata}" if isinstance(metadata, str) else "true"
            told.append(f'data-core-metadata="{value}" data-dist-info-metadata="{value}"')
        return f"<a {' '.join(told)}>{file.name}</a><br>"

    def _address(self, file: File, decision: Decision | None) -> str:
        """Addresses are relative, so that they hold under every name that a page is reached by."""
        if decision is None:
            return f"../../files/{self._project.name}/{file.name}"
        return f"../../denied/{folder_of(decision.code, self._project.name, self._workspace)}/{file.name}"


@lru_cache(maxsize=1000)
def negotiate(accept: str) -> str | None:
    """Return the media type to answer with; None where we have none that was asked for. Source: RFC 9110, PEP 691.

    Of equals JSON wins; who says nothing gets HTML, as ever.
    """
    wanted: dict[str, float] = {}
    ranges: dict[str, float] = {}
    for part in accept.split(",") if accept.strip() else ["text/html"]:
        name, *parameters = (word.strip().lower() for word in part.split(";"))
        if name in _OFFERED:
            kind = _OFFERED[name]
            wanted[kind] = max(wanted.get(kind, 0.0), _quality(parameters))
        elif name in _RANGES:
            ranges[name] = _quality(parameters)
    meant = {name: next((kind for kind in _RANGES[name] if kind not in wanted), None) for name in ranges}
    for name, stands_for in meant.items():
        if stands_for is not None:
            wanted[stands_for] = max(wanted.get(stands_for, 0.0), ranges[name])
    best = max((JSON, HTML, PLAIN), key=lambda kind: wanted.get(kind, 0.0))
    return best if wanted.get(best, 0.0) > 0 else None


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _metadata(file: File, decision: Decision | None) -> bool | str:
    """Advertise metadata of every wheel, which we make where the upstream has none, and of every refused file.

    By it tools meet the refusal before they ask for more.
    """
    if decision is not None:
        return True
    return file.metadata or True if file.is_wheel else False
