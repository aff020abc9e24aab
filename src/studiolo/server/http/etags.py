"""Entity tags of workspaces (RFC 9110, sections 8.8.3 and 13.1): read again what changed, change what was read.

A tag begins with the workspace's revision, which alone is what If-Match compares. What changes without a revision
(running sessions, the environment's state) follows after a hyphen, so that If-None-Match never answers with old news.
"""

import re
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from studiolo.contract.models import EnvironmentState, Workspace

_TAG = re.compile(r'(?:W/)?"(\d{1,18})(?:-[^"]*)?"')
# No workspace is ever at this one.
_NEVER = -1


def entity_tag(workspace: Workspace) -> str:
    """Return `"REVISION"`, or `"REVISION-STATE"` while something goes on in it."""
    going_on = [str(workspace.running_sessions)] if workspace.running_sessions else []
    if workspace.environment.state is not EnvironmentState.READY:
        going_on.append(workspace.environment.state.value)
    return f'"{"-".join([str(workspace.revision), *going_on])}"'


def tagged(request: Request, response: Response, workspace: Workspace) -> Workspace | Response:
    """Give a reply its tag; 304 without a body where the client has this very state."""
    tag = entity_tag(workspace)
    response.headers["ETag"] = tag
    known = request.headers.get("if-none-match", "")
    if request.method in ("GET", "HEAD") and tag in (part.strip().removeprefix("W/") for part in known.split(",")):
        return Response(status_code=304, headers={"ETag": tag})
    return workspace


def read_if_match(
    if_match: Annotated[
        str | None,
        Header(max_length=200, description="Do it only if the workspace is still at this ETag.", examples=['"7"']),
    ] = None,
) -> int | None:
    """Return the revision that must still be there; None where anything will do."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = _TAG.fullmatch(if_match.strip())
    return int(found[1]) if found else _NEVER


IfMatch = Annotated[int | None, Depends(read_if_match)]
