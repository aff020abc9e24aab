"""Secrets of a launch: derived from the master key, so that a restart knows them and no copy lies anywhere."""

from studiolo.kit.crypto import MasterKey, token_from


class SessionSecrets:
    """What the front door shows a session, and what a session shows the platform."""

    def __init__(self, master: MasterKey) -> None:
        self._master = master

    def of_launch(self, session_id: str, launch: int) -> str:
        """The secret that the session demands on every request."""
        return self._master.digest("session", session_id, str(launch))

    def api_key(self, session_id: str, launch: int) -> str:
        """The narrow key that the session holds."""
        return token_from("sts", self._master.digest("session-key", session_id, str(launch)))

    def hash_code(self, code: str) -> str:
        """Keyed hash under which a single-use code is stored."""
        return self._master.digest("entry-code", code)

    def hash_entry(self, token: str) -> str:
        """Keyed hash under which a session's cookie is stored."""
        return self._master.digest("entry", token)
