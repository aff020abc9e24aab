"""A person's history, for which nobody waits."""

import threading
from typing import Any

from IPython.core.history import HistoryManager

_CALM_SECONDS = 0.3


class LateHistory(HistoryManager):
    """Opens its database and begins its session in the thread that saves: that takes a slow disk 20 ms and more.

    Whoever needs one of them before that waits for it.
    """

    def __init__(self, **options: Any) -> None:
        self._opening = threading.RLock()
        self._ending = threading.Event()
        self._is_built = self._is_open = False
        self._number = 0
        self._connection: Any = None
        super().__init__(**options)
        self._is_built = True
        if self.save_thread is not None:
            # There is nothing to save yet but the session.
            self.save_thread.save_flag.set()

    @property
    def db(self) -> Any:
        """The connection to the database."""
        self._open()
        return self._connection

    @db.setter
    def db(self, connection: Any) -> None:
        self._connection = connection

    @property
    def session_number(self) -> int:
        """The session's number in the database; 0 where nothing is kept."""
        self._open()
        return self._number

    @session_number.setter
    def session_number(self, number: int) -> None:
        self._number = number

    def init_db(self) -> None:
        """Called first while this is built, which is too early."""
        if self._is_built or not self.enabled:
            super().init_db()

    def new_session(self, conn: Any = None) -> None:
        """Called first while this is built, which is too early; later by `%reset`."""
        if self._is_built:
            super().new_session(conn)

    def end_session(self) -> None:
        """Called when the kernel ends: nothing waits any more."""
        self._ending.set()
        super().end_session()

    def writeout_cache(self, conn: Any = None) -> None:
        """Called by the thread that saves, with a connection of its own, and by whoever reads the database."""
        if not self._is_open and threading.current_thread() is self.save_thread:
            # The first cell runs now, and what opens a database would take turns with it.
            self._ending.wait(_CALM_SECONDS)
        self._open()
        super().writeout_cache(None if self.hist_file == ":memory:" else conn)

    def _open(self) -> None:
        with self._opening:
            if self._is_open or not self._is_built:
                return
            self._is_open = True
            # Imported where history is enabled: not every Python has it.
            from sqlite3 import DatabaseError

            try:
                self.init_db()
                self.new_session()
            except DatabaseError:
                self.log.exception("Failed to create history session in %s. History will not be saved.", self.hist_file)
                self._switch_to_memory_history()
