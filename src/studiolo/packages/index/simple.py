"""`/pypi/…`: pages of projects, their files, metadata beside them, and tombstones."""

from datetime import UTC, datetime

from aiohttp import web

from studiolo.contract.errors import InvalidInput, NotFound, StudioloError
from studiolo.packages.index.asking import Ask
from studiolo.packages.index.denied import read_folder
from studiolo.packages.index.judging import judge_files
from studiolo.packages.index.pages import JSON, negotiate
from studiolo.packages.index.projects import File, Project, split_file
from studiolo.packages.index.sending import BINARY, FOR_EVER, Passed
from studiolo.packages.index.upstream import Upstream
from studiolo.packages.names import canonical
from studiolo.packages.policy.decide import decide
from studiolo.packages.policy.decisions import Decision, Subject, Verdict

_METADATA = ".metadata"
# What a policy allows may change at any time: clients ask each time, which costs them a tag.
_ASK_AGAIN = "no-cache"
# A file that a page does not list may have come since: it is looked for at most so often.
_LOOK_AGAIN_SECONDS = 5.0


async def answer(ask: Ask) -> web.StreamResponse:
    """Answer any request below `/pypi/`. Raises NotFound, Denied (`package-refused`), Unavailable."""
    match ask.path:
        case ("simple", name, "") | ("simple", name) if name:
            return await _page(ask, name)
        case ("files", name, file):
            return await _file(ask, name, file)
        case ("denied", folder, file):
            raise await _denied(ask, folder, file)
    raise NotFound(
        "route-not-found",
        "There is nothing at this address.",
        hint="This index lists no projects; ask for one: /pypi/simple/NAME/.",
    )


async def _page(ask: Ask, name: str) -> web.StreamResponse:
    spelled = _canonical(name)
    if ask.path != ("simple", spelled, ""):
        # Relative to how it was asked for, by whatever name this host is reached.
        up = "../" if ask.path[-1] == "" else ""
        raise web.HTTPMovedPermanently(f"{up}{spelled}/")
    kind = negotiate(ask.request.headers.get("Accept", ""))
    if kind is None:
        raise web.HTTPNotAcceptable
    _, project = await _owner(ask, spelled)
    # Of all tools pip alone passes over what needs another Python as if it were not there, and tells of it.
    is_explained = ask.request.headers.get("User-Agent", "").startswith("pip/")
    workspace, now = ask.caller.workspace_name, datetime.now(UTC)
    page = ask.services.pages.get(ask.policy, workspace, project, now, is_explained=is_explained)
    tag = page.etag(kind)
    headers = {"ETag": tag, "Cache-Control": _ASK_AGAIN, "Vary": "Accept, Accept-Encoding, User-Agent"}
    if ask.request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = kind if kind == JSON else f"{kind}; charset=utf-8"
    packed = page.packed(kind) if "gzip" in ask.request.headers.get("Accept-Encoding", "") else None
    if packed is not None:
        return web.Response(body=packed, headers=headers | {"Content-Encoding": "gzip"})
    return web.Response(body=page.body(kind), headers=headers)


async def _file(ask: Ask, name: str, asked: str) -> web.StreamResponse:
    if name != _canonical(name):
        raise _no_file(asked)
    wants_metadata = asked.endswith(_METADATA)
    upstream, project, file = await _find(ask, name, asked.removesuffix(_METADATA))
    known = ask.services.store.find(project.channel, project.name, file.name)
    digests = {file.name: known.sha256} if known else {}
    file, decision = next(judge_files(ask.policy, project, (file,), digests, datetime.now(UTC)))
    if not decision.is_allowed:
        raise ask.refuse(file.subject(project.name, project.channel), decision)
    if not wants_metadata:
        return await Passed(ask, upstream, project, file, decision).send()
    if not file.is_wheel:
        raise _no_file(asked)
    found = await ask.services.metadata.get(upstream.client, file)
    return web.Response(body=found, content_type=BINARY, headers={"Cache-Control": FOR_EVER})


async def _denied(ask: Ask, folder: str, asked: str) -> Exception:
    """Return the refusal behind a tombstone: as the policy says it now, and a refusal in any case."""
    file = asked.removesuffix(_METADATA)
    named, parts = read_folder(folder), split_file(file)
    if named is None:
        return _no_file(asked)
    code, name = named
    subject = Subject("pypi", name, version=parts[1] if parts and parts[0] == name else None, file=file)
    decision = decide(ask.policy, Subject("pypi", name, version=subject.version), datetime.now(UTC))
    if decision.is_allowed:
        # By its files: they may all be too new, or none of them a wheel.
        subject, decision = await _of_file(ask, name, file) or (subject, decision)
    if decision.is_allowed:
        because = f"{name} was refused when its page was read; read it again."
        decision = Decision(Verdict.REFUSE, code, None, None, because)
    return ask.refuse(subject, decision)


async def _of_file(ask: Ask, name: str, file: str) -> tuple[Subject, Decision] | None:
    try:
        _, project = await _owner(ask, name)
    except StudioloError:
        return None
    parts = split_file(file, project.name)
    # Pages name files that are none: of versions that they leave out.
    others = [one for one in project.files if parts is not None and one.version == parts[1]]
    found = project.find(file) or next((one for one in others if one.is_wheel), others[0] if others else None)
    if found is None:
        return None
    subject = found.subject(project.name, project.channel)
    return subject, decide(ask.policy, subject, datetime.now(UTC))


async def _find(ask: Ask, name: str, asked: str) -> tuple[Upstream, Project, File]:
    for at_most_old in (None, _LOOK_AGAIN_SECONDS):
        upstream, project = await _owner(ask, name, at_most_old)
        if file := project.find(asked):
            return upstream, project, file
    raise _no_file(asked)


async def _owner(ask: Ask, name: str, at_most_old: float | None = None) -> tuple[Upstream, Project]:
    found = await ask.services.owners.find(ask.policy, name, at_most_old=at_most_old)
    if found is None:
        raise NotFound("package-not-found", f"No channel here has a package named {name}.")
    return found


def _canonical(name: str) -> str:
    try:
        return canonical("pypi", name)
    except ValueError as exc:
        raise InvalidInput("package-invalid", f"{name[:100]!r} is no name of a package.") from exc


def _no_file(asked: str) -> NotFound:
    return NotFound("package-not-found", f"The index has no file {asked[:100]!r} there.")
