"""conda packages by py-rattler: solved over the channels, installed at exactly those files from our index."""

import asyncio
import netrc
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from studiolo.contract.errors import Denied, InvalidInput, Unavailable
from studiolo.packages.conda.channels import Channels
from studiolo.packages.conda.installing import InstallJob
from studiolo.packages.conda.installing import Wanted as WantedFile
from studiolo.packages.conda.solving import Found, SearchJob, SolveJob
from studiolo.server.environments.conda_work import run_conda
from studiolo.server.environments.installing import Alteration, IndexAccess, Resolved, Tell, Wanted

_SOLVE_SECONDS = 300.0
_PYPI = "/pypi/simple"
# What environment.yml says to leave out conda's built-in channels; nothing is built in here.
_NO_OTHERS = "nodefaults"


class CondaInstaller:
    """Implements Installer. `cache`: a folder for repodata."""

    def __init__(self, cache: Path, channels: Channels) -> None:
        self._cache = cache
        self._channels = channels

    async def resolve(self, wanted: Wanted) -> list[Resolved]:
        """See Installer.resolve. The packages of the prefix stay in it, so that they are part of the closure."""
        return list(map(_resolved, await self._solve(wanted, [*wanted.specs, *wanted.keep])))

    async def search(self, name: str, channels: Sequence[str], trusted: Sequence[str] | None) -> list[Resolved]:
        """Return the files that channels have of a package, newest version first; raises as `resolve`."""
        places = [(channel, self._address(channel, None)) for channel in self._channels_of(channels, trusted)]
        return [_resolved(Found(**one)) for one in await run_conda(SearchJob(places, name, str(self._cache)))]

    async def explain(self, wanted: Wanted, closure: Sequence[Resolved]) -> dict[str, list[str]]:
        """See Installer.explain."""
        found = await self._solve(wanted, [f"{one.name}=={one.version}" for one in closure])
        return {one.name: sorted(other.name for other in found if one.name in other.needs) for one in found}

    async def apply(self, prefix: Path, change: Alteration, tell: Tell) -> None:
        """See Installer.apply. What a package brings takes the place of what pip installed of the same."""
        with tempfile.TemporaryDirectory(prefix="conda-", dir=prefix.parent) as folder:
            used = dict.fromkeys(one.channel or "" for one in change.install)
            job = InstallJob(
                prefix=str(prefix),
                home=str(change.home or prefix),
                channels=[(name, self._address(name, change.index)) for name in used],
                install=[WantedFile(one.name, one.file or "", one.channel or "", one.sha256) for one in change.install],
                remove=list(change.remove),
                # Of its own and on the same disk: links out of it are the only names of their files soon.
                cache=folder,
                login=await asyncio.to_thread(_login, Path(folder), change.index),
            )
            own = change.index.certificates if change.index is not None else None
            variables = {"SSL_CERT_FILE": str(own)} if own is not None else {}
            await run_conda(job, tell, variables, writes_in=(prefix, Path(folder)))

    async def _solve(self, wanted: Wanted, specs: Sequence[str]) -> list[Found]:
        job = SolveJob(
            channels=[(name, self._address(name, None)) for name in self._channels_of(wanted.channels, wanted.trusted)],
            specs=[_as_match_spec(spec) for spec in specs],
            limits=[_as_match_spec(spec) for spec in wanted.limits],
            prefix=str(wanted.environment),
            upgrade=sorted(wanted.upgrade),
            python=await asyncio.to_thread(_python_of, wanted.environment),
            not_after=wanted.not_after.isoformat() if wanted.not_after else None,
            cache=str(self._cache),
        )
        try:
            async with asyncio.timeout(_SOLVE_SECONDS):
                return [Found(**one) for one in await run_conda(job)]
        except TimeoutError as exc:
            why = f"To find versions that fit took longer than {_SOLVE_SECONDS:.0f} s."
            raise Unavailable("packages-unavailable", why, hint="Name versions of the packages.") from exc

    def _channels_of(self, named: Sequence[str], trusted: Sequence[str] | None) -> list[str]:
        """Return the names of the channels to ask. One that is not trusted is not asked even what it has."""
        asked = [self._channels.name_of(one) for one in named if one != _NO_OTHERS]
        if strange := [name for name in asked if trusted is not None and name not in trusted]:
            known = ", ".join(trusted or ()) or "none"
            raise Denied(
                "package-refused",
                f"The channel {strange[0][:80]!r} is not trusted here; trusted: {known}.",
                hint="Leave it out, or ask an administrator to add it to trusted_channels of the policy.",
            )
        usual = [] if _NO_OTHERS in named else self._channels.usual
        found = [*asked, *(name for name in usual if trusted is None or name in trusted)]
        if not found:
            raise Denied(
                "package-refused",
                "No conda channel is trusted here, so that there is nowhere to look.",
                hint="An administrator can add one to trusted_channels of the policy.",
            )
        # In the policy's order: the first that has a package owns it, whatever order was asked for.
        return sorted(dict.fromkeys(found), key=lambda name: list(trusted or found).index(name))

    def _address(self, channel: str, index: IndexAccess | None) -> str:
        address = self._channels.find_address(channel)
        if address is None:
            raise InvalidInput(
                "package-invalid",
                f"{channel[:80]!r} is no name of a channel.",
                hint="Name a trusted channel, such as conda-forge; addresses are for an administrator to set.",
            )
        return address if index is None else f"{index.url.rstrip('/').removesuffix(_PYPI)}/conda/{channel}"


def _resolved(one: Found) -> Resolved:
    return Resolved(
        name=one.name,
        version=one.version,
        file=one.file,
        sha256=one.sha256,
        uploaded_at=datetime.fromisoformat(one.uploaded_at).astimezone(UTC) if one.uploaded_at else None,
        channel=one.channel,
        ecosystem="conda",
    )


def _as_match_spec(spec: str) -> str:
    """Return a requirement in conda's words: name, a blank, versions. Raises InvalidInput (`package-invalid`)."""
    found = Requirement(spec)
    if found.extras:
        raise InvalidInput(
            "package-invalid", f"{spec!r}: conda packages have no extras.", hint=f"Ask for {found.name}."
        )
    # conda writes "all of a version" without a sign.
    versions = ",".join(
        sorted(str(one).removeprefix("==") if str(one).endswith(".*") else str(one) for one in found.specifier)
    )
    return f"{found.name} {versions}".strip()


def _python_of(environment: Path) -> str:
    """Return the minor version of an environment's Python, such as `3.11`."""
    return next((path.name.removeprefix("python") for path in environment.glob("lib/python3.*")), "3")


def _login(folder: Path, index: IndexAccess | None) -> tuple[str, str, str] | None:
    if index is None:
        return None
    file, host = folder / "netrc", urlsplit(index.url).hostname or ""
    file.touch(mode=0o600)
    file.write_text(index.netrc)
    found = netrc.netrc(str(file)).authenticators(host)
    file.unlink()
    return (host, found[0], found[2]) if found else None
