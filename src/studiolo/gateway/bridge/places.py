"""What a client's session holds at a kernel, whether it is connected or not: where it reads, and what waits for it."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from studiolo.gateway.journals.cursors import Cursors

if TYPE_CHECKING:
    from studiolo.gateway.bridge.clients import Client

# Of one session that is away or slow; what is beyond is dropped, the oldest first.
MOST_MAIL = 1000
MOST_MAIL_BYTES = 16 * 1024 * 1024
# Of numbered clients: messages that are known again if they come twice, and replies that can be given again.
MOST_HEARD = 1000
MOST_REPEATED_BYTES = 4 * 1024 * 1024
# Sessions that left, per kernel; the one that left first is forgotten first.
MOST_AWAY = 256


@dataclass(slots=True)
class Mail:
    """A reply or a request for input, for one session and in no journal. `request`: msg_id that it belongs to."""

    channel: str
    parts: list[bytes]
    request: str

    @property
    def size(self) -> int:
        """Bytes of the message."""
        return sum(map(len, self.parts))


@dataclass(slots=True, eq=False)
class Place:
    """`session`: the client's `session_id`, "" if it gave none. `cursor`: number of the last message that it was sent.

    `person`: who holds it; "" after a restart of the host, until they return. `asked`: requests of theirs that wait
    for input.
    """

    session: str
    person: str
    cursor: int = 0
    client: "Client | None" = None
    mail: deque[Mail] | None = None
    mail_bytes: int = 0
    asked: set[str] = field(default_factory=set)
    # By msg_id, with the reply once it was written: a numbered client that comes back sends again what it has no
    # reply to.
    heard: OrderedDict[str, Mail | None] = field(default_factory=OrderedDict)
    heard_bytes: int = 0

    def deliver(self, mail: Mail) -> None:
        """Send a message, or keep it for the session's return."""
        if self.client is None:
            self.keep(mail)
        else:
            self.client.deliver(mail)

    def keep(self, mail: Mail) -> None:
        """Keep a message until the client can take it."""
        if self.mail is None:
            self.mail = deque()
        self.mail.append(mail)
        self.mail_bytes += mail.size
        while len(self.mail) > MOST_MAIL or (len(self.mail) > 1 and self.mail_bytes > MOST_MAIL_BYTES):
            self.mail_bytes -= self.mail.popleft().size

    def take_mail(self) -> list[Mail]:
        """Return what waits, oldest first, and keep it no longer."""
        mail = list(self.mail or ())
        self.mail, self.mail_bytes = None, 0
        return mail

    def hear(self, msg_id: str) -> bool:
        """Note a message of a numbered client; say whether it is new."""
        if msg_id in self.heard:
            return False
        self.heard[msg_id] = None
        if len(self.heard) > MOST_HEARD:
            _, mail = self.heard.popitem(last=False)
            self.heard_bytes -= 0 if mail is None else mail.size
        return True

    def note_reply(self, mail: Mail) -> None:
        """Remember a reply that is being written to a numbered client."""
        if self.heard.get(mail.request, mail) is None:
            self.heard[mail.request] = mail
            self.heard_bytes += mail.size
        while self.heard_bytes > MOST_REPEATED_BYTES:
            msg_id, kept = next((msg_id, kept) for msg_id, kept in self.heard.items() if kept is not None)
            self.heard[msg_id] = None
            self.heard_bytes -= kept.size

    def answered(self, request: str) -> None:
        """Forget that a request waits for input: it was answered or has ended."""
        self.asked.discard(request)
        for mail in self.take_mail():
            if mail.channel != "stdin" or mail.request != request:
                self.keep(mail)


class Places:
    """The sessions that a kernel knows. `cursors`: where each of them reads, kept through a kill of the host."""

    def __init__(self, cursors: Cursors) -> None:
        self._cursors = cursors
        self._named: OrderedDict[str, Place] = OrderedDict()
        self.clients: set[Client] = set()

    def __iter__(self) -> Iterator["Client"]:
        return iter(self.clients)

    @property
    def furthest(self) -> int:
        """The highest number that any client was ever sent."""
        return self._cursors.furthest

    def mark_seen(self, number: int) -> None:
        """Count what stands until there as sent."""
        self._cursors.note("", "", number)

    def take(self, session: str, person: str) -> tuple[Place, bool]:
        """Return the place of a client that connects, and whether it was here before.

        A session's name that another person holds is treated as none was given.
        """
        place = self._named.get(session) if session else None
        if place is not None and place.person in ("", person):
            self._named.move_to_end(session)
            known = bool(place.person)
            place.person = person
            if known:
                return place, True
        elif place is not None or not session:
            return Place("", person), False
        else:
            place = self._named[session] = Place(session, person)
        cursor = self._cursors.find(session, person)
        place.cursor = cursor or 0
        return place, cursor is not None

    def recall(self, session: str) -> Place:
        """Return the place of a session that sent a request to an earlier host."""
        return self._named.setdefault(session, Place(session, "")) if session else Place("", "")

    def enter(self, client: "Client") -> None:
        """Count a client in, in its place."""
        client.place.client = client
        self.clients.add(client)

    def leave(self, client: "Client") -> None:
        """Count a client out; its place stays for its return."""
        self.clients.discard(client)
        if client.place.client is client:
            client.place.client = None
        away = [name for name, place in self._named.items() if place.client is None]
        for name in away[: max(0, len(away) - MOST_AWAY)]:
            del self._named[name]

    def advance(self, place: Place, number: int) -> None:
        """Note that a client is being sent all up to a number.

        Noted before it is written: what a killed host had noted and not written is missing for a stock client, which
        its protocol cannot tell; sent twice it would be shown twice.
        """
        place.cursor = number
        self._cursors.note(place.session, place.person, number)

    def close(self) -> None:
        """Close the file of cursors."""
        self._cursors.close()
