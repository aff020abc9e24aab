"""Run `git clone` for somebody: nothing of the platform's reaches it, and what it may reach was checked before."""

import asyncio
import contextlib
import os
import re
import resource
import shlex
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from studiolo.contract.errors import InvalidInput, StudioloError, Unavailable
from studiolo.contract.models import Clone
from studiolo.kit.processes import dies_with_parent
from studiolo.runtime import landlock

_PROGRESS = re.compile(r"(?:remote: )?([A-Z][A-Za-z ]+):\s+(\d{1,3})%")
_LINE_END = re.compile(r"[\r\n]+")
# Until then a name could be resolved anew by git itself (http.curloptResolve).
_OLDEST = (2, 37)
_MOST_LINES = 20
_KEPT_VARIABLES = ("PATH", "GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH")
Tell = Callable[[str, int | None], None]


@dataclass(frozen=True, slots=True)
class Source:
    """A checked address of a repository. `folder`: the name git would give its clone."""

    url: str
    scheme: str
    host: str
    port: int
    folder: str


def read_source(url: str, allow: list[str]) -> Source:
    """Check an address. Raises InvalidInput (`clone-failed`); plain http is for hosts in `allow` alone."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError as exc:
        raise _refused("The address cannot be read.") from exc
    if parts.username is not None or parts.password is not None:
        raise _refused("The address holds a name or password.", "Put them into their own fields: addresses are kept.")
    is_opened = f"{host}:{port}".lower() in (name.lower() for name in allow)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_opened):
        hint = "Use its https address; for a private one with a token. The platform holds no keys for ssh."
        raise _refused("Repositories are cloned by https only.", hint)
    if not host or not url.isprintable() or " " in url.strip() or parts.query or parts.fragment:
        raise _refused("The address cannot be read.", "It looks like https://example.com/team/repository.git.")
    folder = parts.path.rstrip("/").rpartition("/")[2].removesuffix(".git")
    if not re.fullmatch(r"[\w.+-]{1,100}", folder) or folder.startswith("."):
        raise _refused("The address does not end in a repository's name.")
    return Source(url.strip(), parts.scheme, host, port, folder)


async def clone(source: Source, form: Clone, address: str, target: Path, *, max_bytes: int, tell: Tell) -> None:
    """Clone into the new folder `target`, where nobody else can write meanwhile; cancel the task to end it.

    `address`: where the host was found.
    Raises InvalidInput or Unavailable (`clone-failed`) with the reason. The token lies in a private file meanwhile.
    """
    git = await _find_git()
    with tempfile.TemporaryDirectory(prefix="studiolo-clone-") as private:
        options = _options(source, address)
        if form.token:
            options += ["-c", f"credential.helper={_helper(source, form, Path(private))}"]
        branch = [f"--branch={form.branch}"] if form.branch else []
        words = [
            git,
            *options,
            "clone",
            "--progress",
            "--template=",
            "--no-local",
            *branch,
            "--",
            source.url,
            str(target),
        ]
        process = await asyncio.create_subprocess_exec(
            # Whatever a repository can make git do, it writes nowhere else.
            *landlock.command([target.parent, private], words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            cwd=private,
            env=_environment(private),
            start_new_session=True,
            preexec_fn=_limits(max_bytes),
        )
        try:
            said = await _listen(process, tell)
            await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        raise explain(said, form)


def explain(said: list[str], form: Clone) -> StudioloError:
    """Return why git failed, from its last lines; what was secret is taken out."""
    text = "\n".join(said)
    for secret in (form.token, quote(form.token, safe="") if form.token else None):
        if secret:
            text = text.replace(secret, "…")
    for sign, message, hint in _REASONS:
        if sign in text:
            return InvalidInput("clone-failed", message, hint=hint, detail=text)
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "git said nothing")
    return Unavailable("clone-failed", f"The repository was not cloned: {last.strip()[:300]}", detail=text)


_TOKEN_HINT = "Give a token that may read it; with some servers also the user name."  # noqa: S105
_REASONS = (
    ("could not read Username", "The repository needs a sign-in, or is not there.", _TOKEN_HINT),
    ("could not read Password", "The repository needs a sign-in, or is not there.", _TOKEN_HINT),
    ("Authentication failed", "The server did not accept the token.", _TOKEN_HINT),
    ("The requested URL returned error: 403", "The server did not accept the token.", _TOKEN_HINT),
    ("Remote branch", "The repository has no such branch.", "Leave the branch out for its usual one."),
    ("not found", "There is no such repository.", "Check the address; a private one needs a token."),
    ("unable to update url base from redirection", "The server sends elsewhere.", "Use the address it sends to."),
    ("The requested URL returned error: 30", "The server sends elsewhere.", "Use the address it sends to."),
    ("File too large", "The repository is larger than the limit here.", "See workspaces.import_max_bytes."),
)


def _options(source: Source, address: str) -> list[str]:
    shown = f"[{address}]" if ":" in address else address
    given = {
        "core.hooksPath": "/dev/null",
        "core.fsmonitor": "false",
        "credential.helper": "",
        "http.followRedirects": "false",
        "http.proxy": "",
        "http.curloptResolve": f"{source.host}:{source.port}:{shown}",
        "protocol.allow": "never",
        f"protocol.{source.scheme}.allow": "always",
        "submodule.recurse": "false",
    }
    return [part for name, value in given.items() for part in ("-c", f"{name}={value}")]


def _helper(source: Source, form: Clone, private: Path) -> str:
    """Write the token where git's own helper reads it: no argument, variable or configuration ever holds it."""
    user, token = quote(form.username or "oauth2", safe=""), quote(form.token or "", safe="")
    place = private / "credentials"
    place.touch(0o600)
    place.write_text(f"{source.scheme}://{user}:{token}@{urlsplit(source.url).netloc}\n")
    return f"store --file={shlex.quote(str(place))}"


def _environment(home: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {
        "HOME": home,
        "LC_ALL": "C",
        "GIT_ASKPASS": "false",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _limits(max_bytes: int) -> Callable[[], None]:
    tie = dies_with_parent()

    def limit() -> None:
        if tie is not None:
            tie()
        os.nice(10)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return limit


async def _listen(process: asyncio.subprocess.Process, tell: Tell) -> list[str]:
    """Tell progress until git closes its error output; return its last lines."""
    assert process.stderr is not None
    said: deque[str] = deque(maxlen=_MOST_LINES)
    rest = ""
    while piece := await process.stderr.read(4096):
        *lines, rest = _LINE_END.split(rest + piece.decode(errors="replace"))
        for line in lines:
            if found := _PROGRESS.match(line):
                tell(found[1], int(found[2]))
            elif line.strip():
                said.append(line[:1000])
        rest = rest[-4096:]
    return [*said, rest]


async def _find_git() -> str:
    git = shutil.which("git")
    if git is None:
        raise Unavailable("clone-failed", "git is not installed on the platform's machine.", hint="Install git.")
    asked = await asyncio.create_subprocess_exec(git, "version", stdout=asyncio.subprocess.PIPE)
    answer, _ = await asked.communicate()
    found = re.search(rb"(\d+)\.(\d+)", answer)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise Unavailable("clone-failed", f"git on the platform's machine is older than {oldest}.", hint="Renew git.")
    return git


def _refused(message: str, hint: str | None = None) -> InvalidInput:
    return InvalidInput("clone-failed", message, hint=hint)
