"""Sessions: running JupyterLab servers of workspaces."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import anyio

from studiolo.contract.errors import Unavailable
from studiolo.contract.models import (
    Page,
    Session,
    SessionLaunch,
    SessionLog,
    SessionStart,
    SessionState,
    SessionStop,
    Snooze,
)
from studiolo.contract.resources import Resources, SessionUsage
from studiolo.sdk.execution import Command, Executed, attach, run_to_end
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment

_PATH = "/jupyter/sessions"
# The server holds an answer no longer than this.
_LONGEST_HOLD_SECONDS = 60.0
# A restart of the platform takes a few.
_LONGEST_LOSS_SECONDS = 30.0


class Sessions:
    """Launch, find, stop and restart sessions. A session is named by id, `workspace/name` or a unique name.

    `wait_seconds` of a method lets the server hold its answer until the session has settled (running, stopped
    or failed), at most 60 s; the session returned may not have settled yet.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        workspace: str | None = None,
        states: Sequence[SessionState | str] = (),
        everyone: bool = False,
        page_size: int | None = None,
    ) -> Listing[Session]:
        """Return your sessions, newest first; of a `workspace`: everybody's there; in these `states` only.

        `everyone`: those of others too, in all workspaces that you can see.
        """

        async def fetch(cursor: str | None) -> Page[Session]:
            asked = {
                "workspace": workspace,
                "state": [str(state) for state in states] or None,
                "all": "true" if everyone else None,
                "limit": page_size,
                "cursor": cursor,
            }
            return await self._transport.fetch(Page[Session], "GET", _PATH, query=asked)

        return Listing(fetch)

    async def launch(
        self,
        workspace: str,
        *,
        name: str | None = None,
        password: str | None = None,
        profile: str | None = None,
        resources: Resources | Mapping[str, Any] | None = None,
        engine: str | None = None,
        wait_seconds: float = 0.0,
    ) -> Session:
        """Launch a session in a workspace (id, `owner/name`, name, or a folder of the server's machine).

        For a folder the workspace is created if there is none yet. `password` is asked of everybody who
        enters, in addition to their sign-in. `profile` and `resources` are for this session only: any of `cpu,
        memory, gpu, gpu_type, disk, image, time_limit`, sizes as bytes or `8g`, times as seconds or `8h`. `engine`:
        where to run, over the workspace's own. Raises Conflict (`session-exists`), LimitReached (`limit-exceeded`,
        `capacity-exceeded`, `too-many-sessions`), InvalidInput (`profile-unknown`, `engine-unknown`,
        `isolation-too-low`, `image-not-supported`, `gpu-not-available`).
        """
        body = fill(
            SessionLaunch,
            workspace=workspace,
            name=name,
            password=password,
            profile=profile,
            resources=resources,
            engine=engine,
        )
        return await self._transport.fetch(Session, "POST", _PATH, body=body, wait_seconds=wait_seconds)

    async def get(self, session: str, *, wait_seconds: float = 0.0) -> Session:
        """Return one session. Raises NotFound (`session-not-found`), Conflict (`session-ambiguous`)."""
        return await self._transport.fetch(Session, "GET", _at(session), wait_seconds=wait_seconds)

    async def start(
        self, session: str, *, resources: Resources | Mapping[str, Any] | None = None, wait_seconds: float = 0.0
    ) -> Session:
        """Start a session that ended, with these `resources` from now on; one that runs stays as it is."""
        return await self._act(session, "start", wait_seconds, resources=resources)

    async def stop(self, session: str, *, note: str | None = None, wait_seconds: float = 0.0) -> Session:
        """Stop a session; its files stay. One that ended stays as it is. `note`: what its person reads."""
        return await self._act(session, "stop", wait_seconds, note=note)

    async def restart(
        self, session: str, *, resources: Resources | Mapping[str, Any] | None = None, wait_seconds: float = 0.0
    ) -> Session:
        """Stop a session and start it again under the same id and name, with these `resources` from now on."""
        return await self._act(session, "restart", wait_seconds, resources=resources)

    async def wait(self, session: str, *, timeout_seconds: float = 120.0) -> Session:
        """Return the session once it has settled: running, stopped or failed.

        Raises Unavailable (`timeout`) if it has not by then; the session goes on with what it was doing.
        """
        end = time.monotonic() + timeout_seconds
        while True:
            left = end - time.monotonic()
            seen = await self.get(session, wait_seconds=max(0.0, min(left, _LONGEST_HOLD_SECONDS)))
            if has_settled(seen):
                return seen
            if left <= 0:
                raise Unavailable(
                    "timeout",
                    f"Session {seen.name} is still {seen.state} after {timeout_seconds:g} s.",
                    hint=f"Look at it with `studiolo logs {seen.id}`.",
                )

    async def delete(self, session: str) -> None:
        """Forget a session that ended. Raises Conflict while it runs."""
        await self._transport.send("DELETE", _at(session))

    async def log(self, session: str, *, lines: int | None = None) -> SessionLog:
        """Return the end of a session's log."""
        return await self._transport.fetch(SessionLog, "GET", f"{_at(session)}/log", query={"lines": lines})

    async def usage(self, session: str) -> SessionUsage:
        """Return what it uses now, its limits, its last hour, and what of it ran out of memory."""
        return await self._transport.fetch(SessionUsage, "GET", f"{_at(session)}/usage")

    async def snooze(self, session: str, *, minutes: int = 120) -> Session:
        """Keep an idle session running for so long at least."""
        body = fill(Snooze, minutes=minutes)
        return await self._transport.fetch(Session, "POST", f"{_at(session)}/snooze", body=body)

    async def progress(self, session: str) -> AsyncIterator[Session]:
        """Yield the session as it is and after each change, until it has settled: running, stopped or failed.

        Goes on over a restart of the platform. Cancel a start with `stop`. Raises Unavailable
        (`control-plane-unreachable`) when nothing was heard for half a minute.
        """
        heard = time.monotonic()
        while True:
            try:
                async for event in self._transport.stream(f"{_at(session)}/progress"):
                    heard = time.monotonic()
                    if event.name == "session":
                        seen = Session.model_validate_json(event.data)
                        yield seen
                        if has_settled(seen):
                            return
                return
            except Unavailable as error:
                if error.code != "control-plane-unreachable" or time.monotonic() - heard > _LONGEST_LOSS_SECONDS:
                    raise
                await anyio.sleep(0.5)

    async def follow_log(self, session: str, *, lines: int | None = None) -> AsyncIterator[str]:
        """Yield the last `lines` of a session's log and each new one, until the launch has ended."""
        async for event in self._transport.stream(f"{_at(session)}/log/stream", query={"lines": lines}):
            if event.name == "end":
                return
            yield event.data

    async def execute(
        self,
        session: str,
        argv: Sequence[str],
        *,
        input: bytes = b"",
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        password: str | None = None,
    ) -> Executed:
        """Run a command in a running session, in the workspace's environment and folder, and return what it wrote.

        `password`: the session's, where it has one. Raises Denied (`session-password-needed`), Conflict
        (`session-not-running`), NotFound (`command-failed`) if it could not be started.
        """
        found = await self.get(session)
        command = Command(tuple(argv), cwd=cwd, env=dict(env or {}), password=password)
        async with attach(self._transport, found, command) as running:
            return await run_to_end(running, input)

    async def _act(self, session: str, verb: str, wait_seconds: float, **given: Any) -> Session:
        form = fill(SessionStop if verb == "stop" else SessionStart, **given)
        return await self._transport.fetch(
            Session,
            "POST",
            f"{_at(session)}/{verb}",
            body=form if form.model_fields_set else None,
            wait_seconds=wait_seconds,
        )


def has_settled(session: Session) -> bool:
    """Tell whether a session is where it shall be: running, stopped or failed, and nothing else is wanted."""
    if session.state is SessionState.RUNNING:
        return session.desired == "running"
    return session.state in (SessionState.STOPPED, SessionState.FAILED) and session.desired == "stopped"


def _at(session: str) -> str:
    return f"{_PATH}/{segment(session, what='session')}"
