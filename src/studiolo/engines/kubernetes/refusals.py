"""What the cluster's API answers when it does not do what was asked."""

import json
import re

from studiolo.contract.errors import Unavailable

NOT_SIGNED_IN = 401
TOO_MANY = 429
_MOST_TEXT = 500


class RefusedError(Exception):
    """The API's own refusal: HTTP `status`, and what its Status object says."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def is_quota(self) -> bool:
        """Whether a quota stands in the way; the same status as of a missing right."""
        return self.status == 403 and "exceeded quota" in self.message

    @property
    def is_duplicate(self) -> bool:
        """Whether there is an object of that name."""
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def is_passing(self) -> bool:
        """Whether it says nothing about what was asked, only about the server's state now."""
        return self.status == TOO_MANY or self.status >= 500

    def as_unavailable(self) -> Unavailable:
        """Return the error for a person: which right is missing, or what else was said."""
        hint = "The log has all that the cluster says; the guide for Kubernetes tells how it is set up."
        if verb := re.search(r'cannot (\w+) resource "(\w+)"', self.message):
            hint = f"Give the platform's service account the verb {verb[1]!r} on {verb[2]} in the sessions' namespace."
            said = f"The platform may not {verb[1]} {verb[2]} in the Kubernetes cluster."
        elif self.status == NOT_SIGNED_IN:
            said = "The Kubernetes cluster does not know the platform's account any more."
        elif self.status == TOO_MANY:
            said = "The Kubernetes cluster has too many requests and asks to wait."
            hint = "Running sessions go on; try again in a few seconds."
        elif self.status == 404 and "namespaces" in self.message:
            said = "The namespace for sessions is not there in the Kubernetes cluster."
            hint = "Make the namespace, or name another one in engines.kubernetes.namespace."
        else:
            said = f"The Kubernetes cluster refuses: {self.message.rstrip('.')}."
        return Unavailable("engine-unavailable", said, hint=hint, detail=f"{self.status} {self.reason}: {self.message}")


class GoneError(RefusedError):
    """There is no such object."""


def read_refusal(status: int, content: bytes) -> RefusedError:
    """Read a Status object; proxies before an API answer with other things."""
    try:
        told = json.loads(content)
        reason, message = str(told.get("reason") or ""), str(told.get("message") or "")
    except (ValueError, AttributeError, RecursionError):
        reason, message = "", content[:200].decode(errors="replace")
    kind = GoneError if status == 404 and reason == "NotFound" else RefusedError
    return kind(status, reason, " ".join(message.split())[:_MOST_TEXT] or f"HTTP {status}")


def away(exc: Exception) -> Unavailable:
    """Return the error for a cluster without an answer."""
    return Unavailable(
        "engine-unavailable",
        "The Kubernetes cluster does not answer.",
        hint="Running sessions go on; try again in a few seconds.",
        detail=repr(exc),
    )


def unreadable(detail: str) -> Unavailable:
    """Return the error for an answer that is no answer of this API."""
    return Unavailable(
        "engine-unavailable",
        "The Kubernetes cluster's answer cannot be read.",
        hint="The log has the detail; look at what stands between the platform and the cluster's API.",
        detail=detail[:_MOST_TEXT],
    )
