"""Asks the package index."""

from studiolo.contract.errors import Unavailable
from studiolo.server.http.beside import HostBeside


class IndexHost(HostBeside):
    """The package index of this machine."""

    def unavailable(self, detail: str) -> Unavailable:
        """Return the error for a host that does not answer."""
        return Unavailable(
            "package-index-unavailable",
            "The part that serves packages does not answer; what is installed is not touched.",
            hint="Try again in a few seconds. If it stays so, studiolo doctor says what is wrong.",
            detail=detail,
        )
