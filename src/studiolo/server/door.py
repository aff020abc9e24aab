"""The front door's question, on every request to a session: may this pass, and where to?

Caddy asks `/_door` with the client's own method, address, Host, cookies and Authorization. The answer 200 carries
the upstream, what the session must be shown, and the Cookie header without ours; any other answer goes to the
client as it is. This is the hot path: a bare ASGI application, answers remembered until something changes.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from sqlalchemy import RowMapping

from studiolo.contract.errors import (
    Conflict,
    Denied,
    InvalidInput,
    NotFound,
    NotSignedIn,
    StudioloError,
    Unavailable,
)
from studiolo.contract.ids import IdKind, looks_like_id
from studiolo.contract.models import SessionState
from studiolo.engines.base import Fronts
from studiolo.kit.cache import MomentCache
from studiolo.kit.db import Database
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.engines.calls import FRONT_SECONDS, within
from studiolo.server.engines.engines import Engines
from studiolo.server.files import door as files
from studiolo.server.files.door import FileDoor
from studiolo.server.fronts import ElsewhereError, front_headers, place
from studiolo.server.http.edge import Receive, Scope, Send
from studiolo.server.http.hosts import HostKind, Hosts
from studiolo.server.http.identity import CookieNames, cookie_value, without_ours
from studiolo.server.http.problems import problem
from studiolo.server.kernels.door import KernelDoor, find_key
from studiolo.server.kernels.places import Place, find_place
from studiolo.server.metrics import Meters
from studiolo.server.packages import door as packages
from studiolo.server.packages.door import IndexDoor, IndexPlace
from studiolo.server.principal import Principal
from studiolo.server.question import Question, read_question
from studiolo.server.sessions.changes import Changes
from studiolo.server.sessions.entry import Entry
from studiolo.server.sessions.secrets import SessionSecrets
from studiolo.server.sessions.service import Sessions
from studiolo.server.sessions.wire import engine_of
from studiolo.server.shortcuts import Shortcuts
from studiolo.server.workspaces.access import Access

PATH = "/_door"
# With what identity and roles are remembered for, and a shortcut: a right that ended unseen works less than five.
_REMEMBER_SECONDS = 1.0
_HOLD_SECONDS = 30.0
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SHORTCUT = frozenset({"GET", "HEAD"})
# How much of a cookie or key names its holder's shortcut, as the Caddyfile cuts it out: 130 random bits and more.
_HOLDER_CHARACTERS = 26
Header = tuple[bytes, bytes]
_EMPTY: Header = (b"content-length", b"0")


class Door:
    """Answers the question."""

    def __init__(
        self,
        db: Database,
        authentication: Authentication,
        access: Access,
        sessions: Sessions,
        engines: Engines,
        entry: Entry,
        changes: Changes,
        session_secrets: SessionSecrets,
        hosts: Hosts,
        cookies: CookieNames,
        shortcuts: Shortcuts,
        kernels: KernelDoor,
        file_door: FileDoor,
        index_door: IndexDoor,
        meters: Meters,
    ) -> None:
        self._db = db
        self._authentication = authentication
        self._sessions = sessions
        self._engines = engines
        self._entry = entry
        self._secrets = session_secrets
        self._hosts = hosts
        self._cookies = cookies
        self._answers: MomentCache[tuple[str, ...], list[Header]] = MomentCache(_REMEMBER_SECONDS)
        self._looking: dict[tuple[int, tuple[str, ...]], asyncio.Task[list[Header]]] = {}
        self._shortcuts = shortcuts
        self._kernels = kernels
        self._files = file_door
        self._index = index_door
        self._passed, self._refused = (meters.questions.labels(answer) for answer in ("passed", "refused"))
        # One change makes all answers stale, and all shortcuts with them.
        self._answers.watchers.append(shortcuts.close_all)
        authentication.watch(self._answers.clear)
        access.watch(self._answers.clear)
        changes.watchers.append(self._answers.clear)
        index_door.watch(self._answers.clear)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question."""
        question = read_question(dict(scope["headers"]), self._hosts, self._cookies)
        try:
            headers = await self._answer(question)
        except ElsewhereError as elsewhere:
            self._refused.inc()
            await _lead_to(elsewhere.target, send)
            return
        except StudioloError as error:
            self._refused.inc()
            await self._refuse(question, error, scope, receive, send)
            return
        self._passed.inc()
        cookie = (b"x-studiolo-cookie", without_ours(question.cookie).encode("latin-1"))
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, cookie, _EMPTY]})
        await send({"type": "http.response.body", "body": b""})

    async def _answer(self, question: Question) -> list[Header]:
        if question.path.startswith(files.PREFIX):
            return await self._answer_files(question)
        if (index := packages.find_place(question.path)) is not None:
            return await self._answer_packages(question, index)
        of_kernels = None if question.path.startswith("/s/") else find_place(question.path)
        if of_kernels is not None:
            return await self._answer_kernels(question, of_kernels)
        return place(
            await self._answer_session(question),
            question.session_id,
            question.uri,
            own_origin=question.host.session_id is not None,
            navigates=question.opens_page,
            has_key=question.key is not None,
            address=self._hosts.address,
        )

    async def _answer_session(self, question: Question) -> list[Header]:
        self._check_address(question)
        if question.key is None:
            self._check_origin(question)
        name = (
            question.key or "",
            question.entry or "",
            question.session_id,
            question.host.kind.name,
            question.password or "",
            "kernels" if question.is_of_kernels else "",
        )
        known = self._answers.find(name)
        if known is not None:
            # Nothing has changed since it was found out; a password must come with each request.
            may_repeat = question.method in _SHORTCUT and not question.is_websocket and not question.password
            if may_repeat and not question.is_of_kernels:
                self._shortcuts.note(question.session_id, _holder(question), dict(known))
            return known
        return await self._share(name, lambda: self._look(question))

    async def _answer_kernels(self, question: Question, place: Place) -> list[Header]:
        """Kernels outside sessions are reached by keys alone, so that no origin is to be checked."""
        if question.host.kind is not HostKind.PLATFORM:
            raise InvalidInput("host-unknown", "This platform does not answer to that name.")
        if question.method == "OPTIONS":
            return self._kernels.preflight()
        key = find_key(question.key, question.query)
        name = (key, place.kind, place.reference, place.kernel)
        known = self._answers.find(name)
        return known or await self._share(name, lambda: self._kernels.answer(place, key))

    async def _answer_files(self, question: Question) -> list[Header]:
        """Files are reached by keys, and by the login's own cookie from the platform's own pages."""
        if question.host.kind is not HostKind.PLATFORM:
            raise InvalidInput("host-unknown", "This platform does not answer to that name.")
        place = files.find_place(question.method, question.path)
        login: str | None = None
        if question.key is None and (login := cookie_value(question.cookie, self._cookies.login)):
            self._check_origin(question)
        name = ("files", question.key or "", login or "", place.reference, place.operation)
        known = self._answers.find(name)
        return known or await self._share(name, lambda: self._files.answer(place, key=question.key, login=login))

    async def _answer_packages(self, question: Question, place: IndexPlace) -> list[Header]:
        """Packages are asked for by programs alone, which show who they are by HTTP basic."""
        if question.host.kind is not HostKind.PLATFORM:
            raise InvalidInput("host-unknown", "This platform does not answer to that name.")
        secret = packages.find_secret(question.authorization)
        name = ("packages", secret, place.reference)
        known = self._answers.find(name)
        return known or await self._share(name, lambda: self._index.answer(place, secret))

    async def _share(
        self, name: tuple[str, ...], look: Callable[[], Coroutine[Any, Any, list[Header]]]
    ) -> list[Header]:
        """A page asks for dozens of things at once: they share one look. What came after a change looks anew."""
        generation = self._answers.generation
        looking = self._looking.get((generation, name))
        if looking is None:
            looking = asyncio.create_task(self._remember(name, generation, look))
            self._looking[generation, name] = looking
            looking.add_done_callback(lambda done: self._looked(done, generation, name))
        # One client that goes away does not take the answer from the others.
        return await asyncio.shield(looking)

    async def _remember(
        self, name: tuple[str, ...], generation: int, look: Callable[[], Coroutine[Any, Any, list[Header]]]
    ) -> list[Header]:
        answer = await look()
        self._answers.put(name, answer, generation=generation)
        return answer

    def _looked(self, done: asyncio.Task[list[Header]], generation: int, name: tuple[str, ...]) -> None:
        del self._looking[generation, name]
        if not done.cancelled():
            # Nobody may be left to hear of a refusal.
            done.exception()

    async def _look(self, question: Question) -> list[Header]:
        who = await self._who(question)
        row = await self._ready(question, who)
        if question.key is not None:
            await self._entry.check_password(row["password_hash"], question.password)
        if question.is_of_kernels:
            origin = question.host.origin if question.key is None else None
            if of_kernels := await self._kernels.of_session(row, who, origin):
                return of_kernels
        engine = self._engines.of(engine_of(row))
        if isinstance(engine, Fronts):
            front = await within(FRONT_SECONDS, engine.name, engine.front(row["handle"]))
            login = who.login_id or who.key_id or ""
            return front_headers(row["upstream"], front, session_id=row["id"], login=login)
        return self._headers(row, who)

    def _check_address(self, question: Question) -> None:
        if question.host.kind is HostKind.UNKNOWN:
            raise InvalidInput("host-unknown", "This platform does not answer to that name.")
        if question.host.session_id not in (None, question.session_id):
            raise NotFound("session-not-found", "This origin serves another session.")

    def _check_origin(self, question: Question) -> None:
        """Foreign pages may neither change anything nor open sockets with this browser's cookie."""
        if question.method in _SAFE and not question.is_websocket:
            return
        if question.origin != question.host.origin:
            raise Denied("origin-mismatch", "This came from another site's page and was refused.")

    async def _who(self, question: Question) -> Principal:
        if question.key is not None:
            return await self._authentication.by_key(question.key)
        if question.entry is None:
            raise NotSignedIn("not-signed-in", "You are not signed in to this session.", hint="Open it from Studiolo.")
        entered = await self._entry.by_cookie(question.entry)
        is_shared = question.host.kind is HostKind.PLATFORM
        if entered.session_id != question.session_id or entered.shared_origin != is_shared:
            raise NotSignedIn("not-signed-in", "You have not entered this session here.", hint="Open it from Studiolo.")
        return entered.who

    async def _ready(self, question: Question, who: Principal) -> RowMapping:
        """The session's row once it runs; holds a program's request while it starts."""
        row = await self._row(question, who)
        if row["state"] == SessionState.STARTING and question.key is not None:
            row = await self._hold(question, who, row)
        if row["upstream"] and row["state"] in (
            SessionState.RUNNING,
            SessionState.UNKNOWN,
            SessionState.STOPPING,
        ):
            return row
        if row["state"] == SessionState.STARTING:
            raise Unavailable("session-starting", "The session is starting.", retry_after=1)
        reason = (row["reason"] or {}).get("message", "")
        raise Conflict("session-not-running", f"The session does not run. {reason}".strip(), hint="Start it again.")

    async def _hold(self, question: Question, who: Principal, row: RowMapping) -> RowMapping:
        session = await self._sessions.get(who, row["id"], wait_seconds=_HOLD_SECONDS)
        return await self._row(question, who) if session.state is not SessionState.STARTING else row

    async def _row(self, question: Question, who: Principal) -> RowMapping:
        # An address names a session by id only; what people call it is for the other doors.
        if not looks_like_id(question.session_id, IdKind.SESSION):
            raise NotFound("session-not-found", "There is no session at this address.")
        async with self._db.read() as connection:
            return await self._sessions.resolve(connection, who, question.session_id, "session.enter")

    def _headers(self, row: RowMapping, who: Principal) -> list[Header]:
        person = {"id": who.person_id, "name": who.name, "display_name": who.display_name}
        secret = self._secrets.of_launch(row["id"], row["handle_launch"] or row["launch"])
        return [
            (b"x-studiolo-upstream", row["upstream"].encode()),
            (b"x-studiolo-secret", secret.encode()),
            (b"x-studiolo-person", base64.urlsafe_b64encode(json.dumps(person).encode())),
            (b"x-studiolo-auth", b"key" if who.via == "key" else b"login"),
            # By it the session closes what this login or key has open, when it ends.
            (b"x-studiolo-login", (who.login_id or who.key_id or "").encode()),
        ]

    async def _refuse(
        self, question: Question, error: StudioloError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send a browser to the page that explains or mends it, a program the problem."""
        is_ours = question.host.kind is not HostKind.UNKNOWN and question.session_id
        may_go = is_ours and error.code not in ("session-not-found", "origin-mismatch", "scope-missing")
        if question.opens_page and may_go:
            platform = "" if question.host.kind is HostKind.PLATFORM else self._hosts.address
            target = f"{platform}/go/{quote(question.session_id)}?next={quote(self._inside(question), safe='')}"
            await _lead_to(target, send)
            return
        if question.is_navigation and isinstance(error, NotSignedIn) and question.path.startswith(files.PREFIX):
            await _lead_to(f"/sign-in?next={quote(question.uri, safe='')}", send)
            return
        if find_place(question.path) is not None:
            # Jupyter's clients show this member to people.
            error.extra.setdefault("message", f"{error.message} {error.hint or ''}".strip())
        reply = problem(error)
        if reply.status_code == HTTPStatus.UNAUTHORIZED and packages.find_place(question.path) is not None:
            reply.headers["WWW-Authenticate"] = packages.CHALLENGE
        await reply(scope, receive, send)

    def _inside(self, question: Question) -> str:
        rest = question.path.split("/", 3)[3:] if question.path.startswith("/s/") else []
        return "".join(rest) + (f"?{question.query}" if question.query and rest else "")


async def _lead_to(target: str, send: Send) -> None:
    await send({"type": "http.response.start", "status": 303, "headers": [(b"location", target.encode())]})
    await send({"type": "http.response.body", "body": b""})


def _holder(question: Question) -> str:
    return (question.key or question.entry or "")[:_HOLDER_CHARACTERS]
