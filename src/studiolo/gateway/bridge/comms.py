"""Which comms are open in a kernel, followed from the messages that open and close them."""

from studiolo.gateway.base import Parts
from studiolo.gateway.messages.replies import read_content

MOST_COMMS = 10_000
FOLLOWED = frozenset(("comm_open", "comm_close"))


class Comms:
    """Comm ids and their targets. Source: messaging specification, "Custom Messages" and "Comm info"."""

    def __init__(self) -> None:
        self._targets: dict[str, str] = {}

    def see(self, msg_type: str, parts: Parts) -> None:
        """Follow a message of either side, if it opens or closes a comm."""
        if msg_type not in FOLLOWED:
            return
        content = read_content(parts)
        comm, target = content.get("comm_id"), content.get("target_name", "")
        if not isinstance(comm, str) or not isinstance(target, str):
            return
        if msg_type == "comm_close":
            self._targets.pop(comm, None)
        elif len(self._targets) < MOST_COMMS:
            self._targets[comm] = target

    def learn(self, reply: Parts) -> None:
        """Take over what a kernel's `comm_info_reply` lists."""
        comms = read_content(reply).get("comms")
        for comm, about in comms.items() if isinstance(comms, dict) else ():
            self._targets[comm] = str(about.get("target_name", "")) if isinstance(about, dict) else ""

    def info(self, target: str | None) -> dict[str, object]:
        """Return the content of a `comm_info_reply`, for one target or all."""
        comms = {comm: {"target_name": name} for comm, name in self._targets.items() if target in (None, "", name)}
        return {"status": "ok", "comms": comms}
