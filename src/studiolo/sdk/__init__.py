"""Use a Studiolo platform from Python: `Studiolo` blocks, `AsyncStudiolo` is for asynchronous programs."""

from studiolo.sdk.blocking import Studiolo
from studiolo.sdk.client import AsyncStudiolo
from studiolo.sdk.credentials import Credentials, find_credentials

__all__ = ["AsyncStudiolo", "Credentials", "Studiolo", "find_credentials"]
