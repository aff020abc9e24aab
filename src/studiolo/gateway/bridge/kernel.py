"""One running kernel as the host has it: a shared client towards it, its journal, and any number of websockets."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Self

from aiohttp import web

from studiolo.gateway.base import Caller, KernelExit, KernelState, Parts, Process
from studiolo.gateway.bridge.activity import VISIBLE, Activity
from studiolo.gateway.bridge.audience import PING_SECONDS, Audience
from studiolo.gateway.bridge.comms import Comms
from studiolo.gateway.bridge.intake import Intake
from studiolo.gateway.bridge.lanes import STALL_SECONDS, Lanes
from studiolo.gateway.bridge.line import Line
from studiolo.gateway.bridge.output import LIFE, MOST_OUTGOING, Published, left_folder
from studiolo.gateway.bridge.places import Mail, Place, Places
from studiolo.gateway.bridge.requests import Request, Requests
from studiolo.gateway.journals.cursors import Cursors
from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.messages.replies import error_reply, notice, read_content, status
from studiolo.gateway.messages.wire import build, dump, parent_id, read_header

ANSWER_SECONDS = 5.0
SHUTDOWN_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Kernel:
    """A kernel that runs, or has just ended. Made by `attach`; used on one event loop.

    `exit`: how it ended, None while it runs. `requests`, `lanes`, `comms`: what clients asked, what of it still waits
    here, and which comms are open.
    """

    def __init__(
        self,
        process: Process,
        journal: Journal,
        *,
        interrupt_mode: str,
        on_change: Callable[[], None],
        ping: float,
    ) -> None:
        self.id = process.kernel_id
        self.process = process
        self.journal = journal
        self.exit: KernelExit | None = None
        self.requests = Requests()
        self.comms = Comms()
        self._places = Places(Cursors(journal.folder.with_suffix(".cursors")))
        self._audience = Audience(
            self._places,
            journal,
            read=Intake(self).read,
            greeting=lambda: status(self.state, session=self.session),
            session_of_kernel=lambda: self.session,
            on_change=on_change,
            ping=ping,
        )
        self.lanes = Lanes(
            partial(self.send, "shell"),
            lambda: self._line.takes("shell"),
            lambda: self._activity.is_quiet(STALL_SECONDS),
        )
        self._interrupt_mode = interrupt_mode
        self._on_change = on_change
        self._activity = Activity(on_change)
        self._line: Line
        # Asked when it has died: whether the host starts it anew at once, as Jupyter does.
        self.revive: Callable[[KernelExit], bool] = lambda exit: False
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def attach(
        cls,
        process: Process,
        journal: Journal,
        *,
        interrupt_mode: str = "signal",
        fresh: bool,
        on_change: Callable[[], None],
        ping: float = PING_SECONDS,
    ) -> Self:
        """Take up a kernel whose sockets are bound; returns at once, requests wait until it is heard.

        `fresh`: it was just started; else an earlier host had it, and the journal is the one that it wrote.
        `on_change`: called when state or clients change, and once for each batch of output; must not wait. `ping`:
        seconds between two questions whether clients are there.
        """
        kernel = cls(process, journal, interrupt_mode=interrupt_mode, on_change=on_change, ping=ping)
        kernel._connect(fresh=fresh)
        return kernel

    @property
    def connections(self) -> int:
        """Number of open websockets."""
        return len(self._places.clients)

    @property
    def has_lost_client(self) -> bool:
        """Whether the client that went last said nothing: its page may still be open somewhere."""
        return self._audience.has_lost_client

    @property
    def session(self) -> str:
        """The kernel's own session id, which messages in its name carry."""
        return self._line.session

    @property
    def state(self) -> KernelState:
        """What it does, as clients see it."""
        return self._activity.state

    @property
    def busy_since(self) -> float | None:
        """When it became busy, on the monotonic clock in seconds; None: it is not."""
        return self._activity.busy_since

    @property
    def last_message_at(self) -> float:
        """When it last said something or was sent something, on the monotonic clock in seconds."""
        return self._activity.last_message_at

    @property
    def last_activity(self) -> datetime:
        """The same, as aware UTC."""
        return self._activity.last_activity

    @property
    def has_unread(self) -> bool:
        """Whether it has output that no client was ever sent."""
        return self._activity.last_visible > self._places.furthest

    @property
    def seen(self) -> int:
        """Number of the last message that any client was sent."""
        return self._places.furthest

    def mark_seen(self, number: int) -> None:
        """Count what stands until there as sent: it was put where people find it."""
        self._places.mark_seen(number)

    async def serve(
        self, request: web.Request, *, caller: Caller, session: str, after: int | None = None
    ) -> web.StreamResponse:
        """Make a websocket of a request and begin to serve it. The subprotocol is agreed on here.

        What is returned is for the HTTP server, which has lost the connection.

        `session`: the client's `session_id`, "" for none: one that was here before goes on where it was. `after`: the
        journal's number behind which the client wants everything; None: for a new session, what comes from now on.
        """
        return await self._audience.admit(request, caller=caller, session=session, after=after)

    async def run_quietly(self, code: str) -> str:
        """Run code of the host's own, which nobody sees and no history has; return its error, "" for none.

        Whoever ends the kernel cancels it.
        """
        await self._line.has_room("shell")
        content = {"code": code, "silent": True, "store_history": False, "allow_stdin": False, "stop_on_error": True}
        reply = read_content(await self._line.ask("shell", "execute_request", content | {"user_expressions": {}}))
        return "" if reply.get("status") == "ok" else f"{reply.get('ename', 'Error')}: {reply.get('evalue', '')}"

    async def interrupt(self) -> None:
        """Interrupt what runs, by message or signal as the kernelspec says."""
        if self.exit is not None:
            return
        if self._interrupt_mode == "message":
            await self._line.ask_within(ANSWER_SECONDS, "control", "interrupt_request")
        else:
            await self.process.interrupt()

    async def shutdown_request(self, restart: bool) -> bool:
        """Ask the kernel to end by itself; say whether it agreed within seconds. Whoever calls sees to its end.

        `restart`: another process is going to take its place by `replaced`; clients are told so.
        """
        if restart:
            self._activity.is_restarting = True
            self._activity.become(KernelState.RESTARTING)
        if self.exit is not None:
            return False
        return await self._line.ask_within(SHUTDOWN_SECONDS, "control", "shutdown_request", {"restart": restart})

    async def replaced(self, process: Process) -> None:
        """Go on with another process under the same id: same journal, same clients."""
        await self._take_rest()
        self._disconnect()
        self._answer_all("KernelRestarted", "The kernel was restarted.")
        # To stock clients `restarting` means that the kernel died: they warn, and give up what they asked since.
        self._announce(status(KernelState.STARTING, session=self.session), new_life=True)
        self.process = process
        self.exit = None
        self.comms = Comms()
        self._activity.renew()
        self._activity.become(KernelState.STARTING)
        self._connect(fresh=True)

    def ended(self, exit: KernelExit) -> None:
        """Tell all clients that the kernel has ended, and why; called by the host only where no restart came about."""
        if self.exit is not None:
            return
        # Whoever starts it anew calls `replaced`, or `ended` again.
        is_revived = self.revive(exit)
        self.exit = None if is_revived else exit
        state = KernelState.RESTARTING if is_revived else KernelState.DEAD
        session = self.session
        if not self._answer_all("DeadKernelError", exit.message):
            self._announce(notice(exit.message, session=session))
        self._announce(status(state, session=session))
        self._disconnect()
        self._activity.renew()
        self._activity.become(state)
        self._activity.is_restarting = is_revived
        self._on_change()

    def cut(self, logins: set[str]) -> int:
        """Close the websockets of logins or keys that have ended; return how many."""
        return self._audience.cut(logins)

    async def close(self, reason: str = "The kernel host is ending.") -> None:
        """Leave the kernel as it is, and close all websockets; the journal stays open."""
        self._disconnect()
        await self._audience.close(reason)
        self._places.close()

    # What the kernel's own parts use.

    def send(self, channel: str, parts: Parts) -> None:
        """Send a message to the kernel."""
        self._line.send(channel, parts)
        self._activity.touch()

    async def has_room(self, channel: str) -> None:
        """Wait until the kernel is heard and takes more on a channel."""
        await self._line.has_room(channel)

    async def information(self) -> dict[str, Any]:
        """Return the content of the kernel's `kernel_info_reply`, as it said at its start."""
        return await asyncio.shield(self._line.information)

    # The rest is between this class and the kernel.

    def _connect(self, *, fresh: bool) -> None:
        self._line = Line(
            self.process,
            self.journal,
            self.requests,
            on_published=self._forward,
            on_message=self._take,
            on_room=self.lanes.pump,
        )
        if not fresh:
            self._recall()
        self._tasks = [asyncio.create_task(self._greet(fresh=fresh)), asyncio.create_task(self._watch(self.process))]

    def _disconnect(self) -> None:
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._tasks = []
        self.lanes.clear()
        self._line.close()

    def _recall(self) -> None:
        """Take over what an earlier host left: what it had not fetched, and the requests that it had not answered."""
        if self._line.has_spool:
            self._line.output.fetch()
        else:
            self.journal.note_gap()
            self.journal.flush()
        self._activity.last_visible = self.journal.last
        for msg_id, request in self.journal.open_requests().items():
            header = {"msg_id": msg_id, "msg_type": request.msg_type, "session": request.session}
            place = self._places.recall(request.session)
            self.requests.note(Request(msg_id, request.msg_type, None, dump(header), place))
            if request.msg_type == "execute_request":
                self._activity.begin(msg_id)

    async def _greet(self, *, fresh: bool) -> None:
        """Have the kernel introduce itself; then an earlier host's requests are answered, or never will be."""
        shell = await self._line.greet(fresh=fresh)
        if shell is None or fresh:
            return
        comms = self._line.ask("shell", "comm_info_request")
        await shell
        for request in self.requests.take_all(of_earlier_host=True):
            self._answer(request, "ReplyLost", "The reply came while the kernel host was away and is lost.")
            self._activity.finish(request.msg_id)
        self.comms.learn(await comms)

    async def _watch(self, process: Process) -> None:
        exit = await process.wait()
        await self._take_rest()
        if not self._activity.is_restarting:
            self.ended(exit)

    async def _take_rest(self) -> None:
        """Take what a process that has ended said last."""
        await self._line.hear_out()
        self._line.output.take_left(left_folder(self.journal))

    def _take(self, channel: str, parts: list[bytes]) -> None:
        if channel == "stdin":
            self._take_question(parts)
        else:
            self._take_reply(channel, parts)

    def _take_question(self, parts: list[bytes]) -> None:
        request = self.requests.find(parts)
        if request is not None and not isinstance(request.asker, asyncio.Future):
            request.asker.asked.add(request.msg_id)
            request.asker.deliver(Mail("stdin", parts, request.msg_id))

    def _take_reply(self, channel: str, parts: list[bytes]) -> None:
        self._activity.touch()
        request = self.requests.take(parts)
        if request is None:
            return
        if isinstance(request.asker, asyncio.Future):
            if not request.asker.done():
                request.asker.set_result(parts)
            return
        if sum(map(len, parts)) > MOST_OUTGOING:
            self._answer(request, "ReplyTooBig", f"The reply is bigger than {MOST_OUTGOING // 2**20} MiB.")
        else:
            request.asker.answered(request.msg_id)
            request.asker.deliver(Mail(channel, parts, request.msg_id))
        if request.stops and read_content(parts).get("status") == "error":
            self._abort(request.asker)
        self.lanes.done(request.msg_id)

    def _abort(self, place: Place) -> None:
        """Answer the cells that a session has waiting here behind one that failed, as a kernel does with its queue."""
        for request in self.lanes.abort(place):
            self.requests.remove(request)
            parts = build("execute_reply", {"status": "aborted"}, session=self.session, parent_header=request.header)
            place.deliver(Mail("shell", parts, request.msg_id))
            if place.client is not None:
                idle = status(KernelState.IDLE, session=self.session, parent_header=request.header)
                place.client.send("iopub", idle)

    def _forward(self, published: list[Published], has_gap: bool) -> None:
        """Send what is in the journal by now to all who have had everything before."""
        self.journal.flush()
        self._activity.touch()
        for message in published:
            self._follow(message)
        self._audience.push(published, has_gap=has_gap)
        self._on_change()

    def _follow(self, message: Published) -> None:
        kind = message.header.msg_type
        if kind == "status":
            state = read_content(message.parts).get("execution_state")
            if state == KernelState.BUSY:
                self._activity.begin(message.parent)
            elif state == KernelState.IDLE:
                self._activity.finish(message.parent)
        elif kind in VISIBLE:
            self._activity.last_visible = message.number
        else:
            self.comms.see(kind, message.parts)

    def _announce(self, parts: list[bytes], *, new_life: bool = False) -> None:
        """Publish a message of the host's own, through the journal like the kernel's."""
        header, parent = read_header(parts), parent_id(parts)
        life = (self.journal.kernel_number // LIFE + 1) * LIFE if new_life else None
        number = self.journal.append("iopub", parts, parent=parent, kernel_number=life)
        self._forward([Published(number, header, parent, parts, 0)], has_gap=False)

    def _answer(self, request: Request, name: str, message: str) -> None:
        if isinstance(request.asker, asyncio.Future):
            request.asker.cancel()
            return
        parts = error_reply(request.msg_type, name, message, session=self.session, parent_header=request.header)
        request.asker.answered(request.msg_id)
        request.asker.deliver(Mail("shell", parts, request.msg_id))

    def _answer_all(self, name: str, message: str) -> bool:
        """Answer what the kernel cannot answer any more; return whether a cell was among it, which now says why."""
        has_told = False
        for request in self.requests.take_all():
            self._answer(request, name, message)
            if request.msg_type == "execute_request" and not isinstance(request.asker, asyncio.Future):
                self._announce(notice(message, session=self.session, parent_header=request.header))
                self._announce(status(KernelState.IDLE, session=self.session, parent_header=request.header))
                has_told = True
        return has_told
