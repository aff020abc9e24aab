"""What an image is built from: its name, its labels, the Dockerfile and the context. Plain data from plain data."""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from studiolo.engines.images import ENVIRONMENT, PINS, ImageOrder
from studiolo.runtime.rebuild import MADE_OF

# Counts up when the same files make another image.
_LAYOUT = 1
WORKSPACE, PLATFORM, KEY, LOCK, BASE, NAME, TAG = (
    f"studiolo.image.{name}" for name in ("workspace", "platform", "key", "lock", "base", "name", "tag")
)
_OCI = "org.opencontainers.image."
# Where the first stage has what was brought.
_BROUGHT = "/studiolo-build"
# Accounts as images name them; nothing that a Dockerfile reads as more than one word.
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_COMPILE = f"import compileall; compileall.compile_dir({ENVIRONMENT + '/lib'!r}, quiet=2, workers=0)"


def tag_of(order: ImageOrder, default: str) -> str:
    """Return the last part of an image's name: of the lock, and of the base if that is not the `default` one."""
    if order.base in (None, default):
        return order.lock[:12]
    return f"{order.lock[:12]}-{_short(str(order.base))}"


def name_of(repository: str, order: ImageOrder, default: str) -> str:
    """Return an image's name. Two people's workspaces of one name have names of their own."""
    workspace = re.sub(r"[^a-z0-9]+", "-", order.workspace.lower()).strip("-") or "workspace"
    return f"{repository}/{workspace[:63]}-{_short(order.workspace_id)}:{tag_of(order, default)}"


def key_of(order: ImageOrder, base_id: str) -> str:
    """Return what is the same for images that are made of the same."""
    return hashlib.sha256("\n".join((str(_LAYOUT), order.lock, order.python, base_id)).encode()).hexdigest()


def labels_of(order: ImageOrder, *, name: str, base: str, base_id: str, platform: str) -> dict[str, str]:
    """Return an image's labels."""
    tag = name.rpartition(":")[2]
    return {
        WORKSPACE: order.workspace_id,
        PLATFORM: platform,
        KEY: key_of(order, base_id),
        LOCK: order.lock,
        BASE: base,
        NAME: name,
        TAG: tag,
        f"{_OCI}title": order.workspace,
        f"{_OCI}version": tag,
        f"{_OCI}ref.name": name,
        f"{_OCI}base.name": base,
        f"{_OCI}base.digest": base_id,
    }


def dockerfile(base: str, account: str, *, python: str, platform: str) -> str:
    """Return how an image is made. `account`: as whom the base's programs run, empty for root.

    Nothing of a package runs: uv asks the interpreter before anything is there, and `-S` leaves .pth files alone.
    Raises ValueError for an account that is none.
    """
    if account and not _ACCOUNT.fullmatch(account):
        raise ValueError(f"its account is {account[:40]!r}")
    uv = f"{_BROUGHT}/uv"
    options = ["--offline", "--no-cache", "--no-config", "--color", "never", "--no-progress"]
    make = [uv, "venv", "--no-python-downloads", "--no-managed-python", *options]
    fill = [uv, "pip", "install", "--python", f"{ENVIRONMENT}/bin/python", "--no-index", "--find-links", _BROUGHT]
    fill += ["--no-deps", "--no-build", "--require-hashes", "--link-mode", "copy", *options]
    steps = [
        f"FROM {base} AS made",
        "USER 0:0",
        # Where the daemon keeps the stage, this says whose it is.
        f"LABEL {PLATFORM}={json.dumps(platform)}",
        f"COPY . {_BROUGHT}",
        _run(["rm", "-rf", ENVIRONMENT]),
        _run([*make, "--python", python or "python3", ENVIRONMENT]),
        _run([*fill, "-r", f"{_BROUGHT}/{PINS}"]),
        _run([f"{ENVIRONMENT}/bin/python", "-I", "-S", "-c", _COMPILE]),
        f"FROM {base}",
        "USER 0:0",
        # What the base has there would show through.
        _run(["rm", "-rf", ENVIRONMENT]),
        f"COPY --from=made --chown={account or '0:0'} {ENVIRONMENT} {ENVIRONMENT}",
        f"COPY --chown={account or '0:0'} {MADE_OF} {ENVIRONMENT}/{MADE_OF}",
        *([f"USER {account}"] if account else []),
    ]
    return "".join(f"{step}\n" for step in steps)


def write_context(target: Path, files: Path, texts: Mapping[str, str], programs: Mapping[str, Path]) -> None:
    """Write an archive of all `files`, `texts` and `programs` by their names. Blocking. Raises OSError."""
    with tarfile.open(target, "w") as archive:
        for name, text in texts.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
        for name, path, mode in [
            *((name, path, 0o755) for name, path in programs.items()),
            *((path.name, path, 0o644) for path in _sorted(files)),
        ]:
            with path.open("rb") as file:
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = path.stat().st_size, mode
                archive.addfile(entry, file)


def _run(words: Iterable[str]) -> str:
    return f"RUN {json.dumps([*words])}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _sorted(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())
