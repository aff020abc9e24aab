"""Conda packages into an environment and out of it, by py-rattler.

A Python environment becomes a prefix in place: Python from a channel takes the place of the one it was made with, what
pip installed stays beside it, and files are written for where the environment will be used, not for where it is made.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import rattler
from rattler import Channel, Client, Gateway, PrefixRecord, RepoDataRecord
from rattler.networking import AddHeadersMiddleware, RetryMiddleware

from studiolo.packages.conda.replacing import drop_replaced, list_of_pip
from studiolo.packages.conda.solving import channel_of, read_prefix, subdirs

_PYTHON = "python"
# What makes a folder a virtual environment.
_VENV_FILE = "pyvenv.cfg"
_RETRIES = 2


class NotInstalledError(Exception):
    """What was asked for cannot be done; the message is for people."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One archive, as a plan has it."""

    name: str
    file: str
    channel: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class InstallJob:
    """`home`: where `prefix` will be used; `channels`: names and addresses; `cache`: an empty folder on the same disk.

    `login`: host, user and password for those addresses, or None.
    """

    prefix: str
    home: str
    channels: list[tuple[str, str]]
    install: list[Wanted]
    remove: list[str]
    cache: str
    login: tuple[str, str, str] | None


async def install_job(job: InstallJob, tell: Callable[[str], None]) -> None:
    """Do it. Raises NotInstalledError, and what py-rattler does."""
    prefix = Path(job.prefix)
    there = read_prefix(prefix)
    client = Client([RetryMiddleware(_RETRIES), *_signed_in(job.login)])
    fresh = await _find(job, client)
    gone = {*job.remove, *(record.name.normalized for record in fresh)}
    kept = [record for record in there if record.name.normalized not in gone]
    _check_removal(job.remove, kept)
    of_pip = list_of_pip(prefix, there)
    if any(record.name.normalized == _PYTHON for record in fresh):
        _make_room_for_python(prefix)
    # Made here rather than by py-rattler, which tells other tools by it that the folder is a prefix.
    (prefix / "conda-meta").mkdir(exist_ok=True)
    (prefix / "conda-meta/history").touch()
    await rattler.install(
        [*kept, *fresh],
        prefix,
        cache_dir=Path(job.cache) / "packages",
        installed_packages=there,
        execute_link_scripts=False,
        client=client,
        # It gives all methods a body that does nothing, which the type checker takes for abstract ones.
        reporter=_Reporter(tell),  # type: ignore[abstract]
        alternative_target_prefix=job.home,
    )
    for name in drop_replaced(prefix, of_pip, read_prefix(prefix)):
        tell(f"Took conda's {name} in place of pip's")


async def _find(job: InstallJob, client: Client) -> list[RepoDataRecord]:
    """Return the records of what is to be installed: exactly those files, as the channels offer them now."""
    if not job.install:
        return []
    gateway = Gateway(cache_dir=Path(job.cache) / "repodata", client=client)
    used = {one.channel for one in job.install}
    found = await gateway.query(
        [Channel(url) for name, url in job.channels if name in used],
        subdirs(),
        sorted({one.name for one in job.install}),
        recursive=False,
        channel_relations="disabled",
    )
    places = dict(job.channels)
    offered = {(channel_of(one.url, places), one.file_name): one for group in found for one in group}
    return [_choose(one, offered) for one in job.install]


def _choose(wanted: Wanted, offered: Mapping[tuple[str, str], RepoDataRecord]) -> RepoDataRecord:
    record = offered.get((wanted.channel, wanted.file))
    if record is None or (wanted.sha256 and (record.sha256 is None or record.sha256.hex() != wanted.sha256)):
        raise NotInstalledError(f"The channel {wanted.channel} does not offer {wanted.file} (any more).")
    return record


def _signed_in(login: tuple[str, str, str] | None) -> Iterator[AddHeadersMiddleware]:
    if login is not None:
        machine, user, password = login
        value = b64encode(f"{user}:{password}".encode()).decode()
        yield AddHeadersMiddleware(
            lambda host, _: {"Authorization": f"Basic {value}"} if host.partition(":")[0] == machine else None
        )


def _check_removal(names: Sequence[str], kept: Sequence[PrefixRecord]) -> None:
    for name in names:
        needing = sorted({record.name.normalized for record in kept if _needs(record, name)})
        if name == _PYTHON or needing:
            by = "the environment" if name == _PYTHON else ", ".join(needing)
            raise NotInstalledError(f"{name} cannot be removed: {by} needs it.")


def _needs(record: PrefixRecord, name: str) -> bool:
    return any(need.split(" ")[0] == name for need in record.depends)


def _make_room_for_python(prefix: Path) -> None:
    """Take away what makes the folder a virtual environment of another Python; its packages stay where they are."""
    (prefix / _VENV_FILE).unlink(missing_ok=True)
    for program in prefix.glob("bin/python*"):
        if program.is_symlink():
            program.unlink()


class _Reporter(rattler.InstallerReporter):
    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        self._tell(f"Fetching {package_name}")
        return 0

    def on_unlink_start(self, operation: int, package_name: str) -> int:
        self._tell(f"Removing {package_name}")
        return 0

    def on_link_start(self, operation: int, package_name: str) -> int:
        self._tell(f"Installing {package_name}")
        return 0
