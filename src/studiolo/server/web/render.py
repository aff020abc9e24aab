"""Turn a template and its context into a reply."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from studiolo.contract.ids import IdKind, looks_like_id
from studiolo.contract.models import PlatformInfo, Session, Workspace
from studiolo.kit.clock import Clock
from studiolo.server.engines.words import isolation_notice
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from studiolo.server.web.kernel_words import kernel_look, spec_size
from studiolo.server.web.presentation import filters
from studiolo.server.web.sentences import sentence
from studiolo.server.web.static_files import SHEET, static_path

_HERE = Path(__file__).parent

# What a page says after an act. The address names only the key, so that no link can put words into our mouth.
SAID = {
    "accepted": "Accepted. It counts no more until you open it again.",
    "added": "Added.",
    "approved": "Approved. It installs by itself, and who asked is told.",
    "asked": "Asked for. Administrators were told; it installs by itself once one of them approves.",
    "backup-begun": "Begun. You can leave; it goes on.",
    "cancelled": "Cancelled.",
    "changed": "Changed.",
    "told": "Told. It is on every page.",
    "taken-down": "Taken down.",
    "suspended": "Suspended. What they had open is being closed.",
    "reinstated": "Let back in. They sign in anew.",
    "will-be-told": "You will be told, once.",
    "waits-no-more": "You wait no more.",
    "withdrawn": "Withdrawn. The link counts no longer.",
    "copied": "Copied. This is the copy.",
    "denied": "Denied. Who asked reads your reason.",
    "installing": "Being installed.",
    "wish-withdrawn": "Taken back.",
    "deleted": "Deleted. It is in the trash.",
    "erased": "Erased.",
    "forgotten": "Forgotten.",
    "handed-over": "Handed over.",
    "interrupted": "Interrupted.",
    "imported": "Imported.",
    "inserted": "Inserted into the notebook.",
    "kept": "It keeps running.",
    "kernel-added": "Added. Whoever starts a kernel here can choose it.",
    "kernel-removed": "Removed. Kernels that run go on.",
    "left": "Left. You have no access any more.",
    "login-ended": "Your sign-in has ended. That alone stops nothing that runs.",
    "nothing-changed": "Your sign-in has ended; nothing was changed.",
    "grant-revoked": "Taken back. What is installed stays until somebody removes it.",
    "policy-set": "Set. It holds from now on.",
    "password": "Password changed. Your other logins have ended.",
    "removed": "Removed. Their sessions here are being stopped.",
    "restarted": "Restarted.",
    "freed": "Space was released.",
    "restored": "Restored.",
    "revoked": "Revoked.",
    "role": "Role changed.",
    "saved": "Saved.",
    "scaled": "Saved. It counts from the next start of a session.",
    "started": "Started.",
    "stopped": "Stopped.",
    "stopping": "It is being stopped. Its person reads your note.",
}


async def render(
    request: Request, name: str, who: Principal | None, /, *, status: int = 200, **context: Any
) -> Response:
    """Render `name` with `context` and what every page needs (me, platform, csrf_token, request_path).

    A workspace's page that was asked for by a name, a former one too, redirects to its one address, by id.
    """
    if (moved := _moved(request, context)) is not None:
        return moved
    services: Services = request.app.state.services
    templates: Environment = request.app.state.templates
    undo = request.query_params.get("undo", "")
    common = {
        "me": await services.accounts.me(who) if who else None,
        "platform": _as_met(services, request),
        "csrf_token": services.identity.csrf_token(who) if who else "",
        "request_path": here(request),
        "said": SAID.get(request.query_params.get("said", "")),
        # What was just deleted and can be brought back.
        "undo": undo if looks_like_id(undo, IdKind.WORKSPACE) else None,
        # What administrators tell everybody.
        "banner": await services.banners.current() if who else None,
        # How much of what they were told they have not seen.
        "news": await services.notifications.count_unread(who) if who else 0,
        # How many requests for packages wait for their decision.
        "requests_waiting": await services.requests.count_pending(who) if who else 0,
        "problem": None,
        # Where a workspace's next session runs.
        "runs_on": lambda workspace: services.engines.describe_place(workspace.engine),
        # What people must know of where the page's session, workspace or all of them run.
        "isolation_notice": _notice(services, context),
        # Where a page that answers a form can be loaded again.
        "canonical": None,
    }
    return HTMLResponse(templates.get_template(name).render(common | context), status)


def _moved(request: Request, context: dict[str, Any]) -> Response | None:
    asked, shown = request.path_params.get("workspace"), context.get("workspace")
    if request.method != "GET" or asked is None or shown is None or asked == shown.id:
        return None
    rest = request.url.path.removeprefix("/w/").partition("/")[2]
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/w/{shown.id}" + (f"/{rest}" if rest else "") + query, status_code=308)


def _notice(services: Services, context: dict[str, Any]) -> str | None:
    """The sidebar's warning: of the engine that a page is about, else of all that have one, by name."""
    engines, session, workspace = services.engines, context.get("session"), context.get("workspace")
    if isinstance(session, Session):
        return session.isolation_notice
    if isinstance(workspace, Workspace):
        return isolation_notice(engines.of(workspace.engine or engines.default).isolation)
    noted = [name for name in engines.usable if isolation_notice(engines.of(name).isolation)]
    if len(noted) == len(engines.usable) or not noted:
        return services.platform.isolation_notice
    return f"On {', '.join(noted)}: {services.platform.isolation_notice}"


def _as_met(services: Services, request: Request) -> PlatformInfo:
    """The platform as this browser meets it: some reach sessions only under the platform's own origin."""
    has_own = services.hosts.has_own_origins(request.headers["host"], request.headers.get("user-agent", ""))
    return services.platform.model_copy(update={"single_team": not has_own})


def environment(clock: Clock, idle_warning: timedelta = timedelta(minutes=15)) -> Environment:
    """Return the templates: all output escaped, a missing value an error. For `idle_warning` see `filters`."""
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= filters(clock.now, idle_warning) | {f.__name__: f for f in (sentence, kernel_look, spec_size)}
    made.globals |= {"static": static_path(), "sheet": f"{static_path()}/{SHEET}"}
    return made


def here(request: Request) -> str:
    """Return this page's own path and query, without what was said on it."""
    query = request.url.remove_query_params(("said", "undo")).query
    return request.url.path + (f"?{query}" if query else "")


def see(address: str, said: str | None = None) -> RedirectResponse:
    """Answer a form: go and see `address`, where `said` (a key of SAID) is shown."""
    if said is None:
        return RedirectResponse(address, status_code=303)
    assert said in SAID
    path, _, fragment = address.partition("#")
    mark = "&" if "?" in path else "?"
    return RedirectResponse(f"{path}{mark}said={said}" + (f"#{fragment}" if fragment else ""), status_code=303)


def local(address: str, otherwise: str = "/") -> str:
    """Return `address` if it is a path of this origin, else `otherwise`; browsers read `\\` as `/`."""
    is_local = address.startswith("/") and not address.startswith(("//", "/\\")) and len(address) <= 2000
    return address if is_local and address.isprintable() and "\\" not in address else otherwise
