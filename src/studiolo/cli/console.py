"""The command `kernels attach`: a console on a kernel, or a look at it."""

import contextlib
import getpass
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from studiolo.cli.arguments import KernelArgument
from studiolo.cli.invocation import connect, current
from studiolo.cli.kernel_link import KernelLink
from studiolo.cli.kernel_text import first_line, safe, text_of
from studiolo.cli.kernels import find_kernel
from studiolo.cli.output import emit, harmless, say
from studiolo.cli.tables import wants_colour
from studiolo.contract.errors import Conflict, StudioloError
from studiolo.contract.kernels import KernelInfo
from studiolo.sdk import AsyncStudiolo, Studiolo
from studiolo.sdk.kernel_messages import KernelMessage

_SHOWN = ("stream", "display_data", "execute_result", "error")
# A kernel that is busy answers later; then a blank line ends what is typed.
_COMPLETENESS_SECONDS = 1.0


def attach(
    kernel: KernelArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Only watch: what anybody runs there, and what comes of it.")
    ] = False,
    after: Annotated[
        int | None, typer.Option("--after", metavar="NUMBER", min=0, help="First show its output after this number.")
    ] = None,
) -> None:
    """Open a console on a running kernel; others stay connected to it, and see what you run.

    Ctrl-C interrupts what you run, Ctrl-D leaves; the kernel goes on. With input that is no terminal, runs it as one
    piece of code and exits with 1 if that failed.

    \b
    Examples:
      studiolo kernels attach 0b9e2c34
      echo 'print(total)' | studiolo kernels attach 0b9e2c34
      studiolo kernels attach 0b9e2c34 --follow
    """
    called = current()
    with connect() as client:
        found = find_kernel(client, kernel)
        if found.state == "ended":
            raise _ended(found)
        # What somebody else runs is none of the answer to a script.
        console = Console(client, found, shows_others=follow or (sys.stdin.isatty() and not called.json))
        link = KernelLink(
            AsyncStudiolo(called.url, insecure=called.insecure),
            found,
            heard=console.heard,
            lost=console.lost,
            username=_name(client),
            after=after,
        )
        console.link = link
        with link:
            if follow:
                say(f"Watching {found.display_name} in {found.workspace.name}. Ctrl-C ends the look.")
                console.watch()
            elif sys.stdin.isatty():
                console.talk()
            else:
                raise typer.Exit(console.run_script(sys.stdin.read()))


class Console:
    """Shows what a kernel says as it comes, in the link's thread; asks its person in the main one."""

    link: KernelLink

    def __init__(self, client: Studiolo, kernel: KernelInfo, *, shows_others: bool) -> None:
        self._client = client
        self._kernel = kernel
        self._shows_others = shows_others
        self._events: queue.SimpleQueue[KernelMessage | BaseException] = queue.SimpleQueue()
        self._outputs: list[dict[str, Any]] = []
        self._prompt: str | None = None
        self._error: BaseException | None = None
        self._printing = threading.Lock()

    def heard(self, message: KernelMessage) -> None:
        """Show a message, and hand on what somebody waits for."""
        is_mine = message.parent.get("session") == self.link.session
        if message.channel == "journal":
            self._print("[Some output could not be kept and is missing here.]\n")
        elif message.channel == "iopub":
            self._show(message, is_mine=is_mine)
        if is_mine and (message.channel != "iopub" or message.type == "status"):
            self._events.put(message)

    def lost(self, error: BaseException) -> None:
        """Tell the main thread that the connection is gone for good, also while it waits for a key."""
        self._error = error
        self._events.put(error)
        if self._prompt is not None:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def watch(self) -> None:
        """Wait until the connection ends."""
        while not isinstance(event := self._events.get(), BaseException):
            pass
        raise event

    def talk(self) -> None:
        """Read and run until Ctrl-D."""
        _load_line_editing()
        say(f"{self._kernel.display_name} in {self._kernel.workspace.name}. Ctrl-D leaves; the kernel goes on.")
        while (code := self._read_code()) is not None:
            if code.strip():
                self._run(code)
        say(f"\nLeft. It goes on; stop it with: {current().program} kernels stop {self._kernel.id}")

    def run_script(self, code: str) -> int:
        """Run code and return the exit code: 1 if it failed."""
        reply = self._run(code)
        content = {} if reply is None else reply.content
        count = content.get("execution_count")
        emit({"status": content.get("status"), "execution_count": count, "outputs": self._outputs}, lambda: None)
        return 0 if content.get("status") == "ok" else 1

    def _run(self, code: str) -> KernelMessage | None:
        """Run code and return the reply once all of its output has come; Ctrl-C interrupts the kernel."""
        asked = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        asked |= {"allow_stdin": sys.stdin.isatty(), "stop_on_error": True}
        sent = self.link.send("shell", "execute_request", asked)
        reply, is_idle = None, False
        while reply is None or not is_idle:
            try:
                event = self._events.get()
            except KeyboardInterrupt:
                self._client.kernels.interrupt(self._kernel.id)
                continue
            if isinstance(event, BaseException):
                raise event
            if event.channel == "stdin":
                self._answer(event)
            elif event.parent_id == sent and event.channel == "shell":
                reply = event
                # Who may not run code gets a reply and no output.
                is_idle = is_idle or event.content.get("execution_count") is None
                self._tell_refusal(event)
            elif event.parent_id == sent:
                is_idle = is_idle or event.content.get("execution_state") == "idle"
        return reply

    def _tell_refusal(self, reply: KernelMessage) -> None:
        content = reply.content
        if content.get("status") == "error" and content.get("execution_count") is None:
            say(f"{content.get('ename')}: {content.get('evalue')}")

    def _answer(self, question: KernelMessage) -> None:
        content = question.content
        prompt = safe(str(content.get("prompt", "")), colour=False)
        try:
            given = getpass.getpass(prompt) if content.get("password") else input(prompt)
        except EOFError:
            given = "\x04"
        self.link.send("stdin", "input_reply", {"value": given}, parent=question.header)

    def _read_code(self) -> str | None:
        """Return what the person typed, None for Ctrl-D; Ctrl-C begins anew."""
        lines: list[str] = []
        while True:
            try:
                with self._prompting("... " if lines else ">>> ") as prompt:
                    lines.append(input(prompt))
            except EOFError:
                return None
            except KeyboardInterrupt:
                if self._error is not None:
                    raise self._error from None
                print()
                lines = []
                continue
            if not lines[0].strip() or self._is_complete(lines):
                return "\n".join(lines)

    def _is_complete(self, lines: list[str]) -> bool:
        """Ask the kernel whether code is whole; after a blank line it is, as at other consoles."""
        if len(lines) > 1 and not lines[-1].strip():
            return True
        sent = self.link.send("shell", "is_complete_request", {"code": "\n".join(lines)})
        with contextlib.suppress(queue.Empty):
            while True:
                event = self._events.get(timeout=_COMPLETENESS_SECONDS)
                if isinstance(event, StudioloError):
                    raise event
                if isinstance(event, KernelMessage) and event.parent_id == sent and event.channel == "shell":
                    return event.content.get("status") != "incomplete"
        return not lines[-1].rstrip().endswith(":")

    def _show(self, message: KernelMessage, *, is_mine: bool) -> None:
        if not (is_mine or self._shows_others):
            return
        if is_mine and message.type in _SHOWN:
            self._outputs.append({"output_type": message.type, **message.content})
        if is_mine and current().json:
            return
        who = "" if is_mine else f"[{harmless(str(message.parent.get('username') or 'somebody else'))}] "
        if message.type == "execute_input" and not is_mine:
            count, code = message.content.get("execution_count"), str(message.content.get("code", ""))
            self._print(f"{who}In [{count}]: {first_line(code)}\n")
        elif message.type == "status" and message.content.get("execution_state") in ("restarting", "dead"):
            self._print(f"[The kernel is {message.content['execution_state']}.]\n")
        elif shown := text_of(message.type, message.content, colour=wants_colour()):
            self._print(shown if is_mine else "".join(f"{who}{line}\n" for line in shown.splitlines()))

    def _print(self, text: str) -> None:
        """Print, and put the prompt with what was typed so far below it."""
        with self._printing:
            if self._prompt is None:
                sys.stdout.write(text)
            else:
                typed = _typed_so_far()
                ending = "" if text.endswith("\n") else "\n"
                sys.stdout.write(f"\r\x1b[K{text}{ending}{self._prompt}{typed}")
            sys.stdout.flush()

    @contextlib.contextmanager
    def _prompting(self, prompt: str) -> Iterator[str]:
        self._prompt = prompt
        try:
            yield prompt
        finally:
            self._prompt = None


def _ended(kernel: KernelInfo) -> Conflict:
    program = current().program
    return Conflict(
        "kernel-ended",
        f"Kernel {kernel.id} has ended. {kernel.reason.message if kernel.reason else ''}".strip(),
        hint=f"Its output: {program} kernels output {kernel.id}\n      "
        f"Another one: {program} kernels start {kernel.workspace.name}",
    )


def _name(client: Studiolo) -> str:
    """Return how others see who ran something; empty if the key does not tell."""
    try:
        return client.me.get().name
    except StudioloError:
        return ""


def _load_line_editing() -> None:
    """Give `input` history and the keys of readline, where Python has it."""
    with contextlib.suppress(ImportError):
        import readline

        readline.parse_and_bind("set enable-bracketed-paste on")


def _typed_so_far() -> str:
    if "readline" not in sys.modules:
        return ""
    return str(sys.modules["readline"].get_line_buffer())
