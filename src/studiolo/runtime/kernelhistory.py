"""A person's history, for which nobody waits."""

import threading
from pathlib import Path
from typing import Any

from IPython.core.history import HistoryManager, HistorySavingThread

_CALM_SECONDS = 0.3
_NOWHERE = ":memory:"


class LateHistory(HistoryManager):
    """Made before its person is known; `begin` tells where it is kept.

    It opens its database and begins its session in the thread that saves: that takes a slow disk 20 ms and more.
    Whoever needs one of them before that waits for it.
    """

    def __init__(self, **options: Any) -> None:
        self._opening = threading.RLock()
        self._ending = threading.Event()
        self._is_begun = self._is_open = False
        self._number = 0
        self._connection: Any = None
        super().__init__(hist_file=_NOWHERE, **options)

    def begin(self, file: Path) -> None:
        """Keep what comes in `file`, and save it from now on."""
        self.hist_file, self._is_begun = file, True
        self.save_thread = _CalmThread(self, self._ending)
        # There is nothing to save yet but the session.
        self.save_thread.save_flag.set()
        self.save_thread.start()
        self.using_thread = True

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
        """Called first while this is made, which is too early."""
        if self._is_begun or not self.enabled:
            super().init_db()

    def new_session(self, conn: Any = None) -> None:
        """Called first while this is made, which is too early; later by `%reset`."""
        if self._is_begun:
            super().new_session(conn)

    def end_session(self) -> None:
        """Called when the kernel ends: nothing waits any more."""
        self._ending.set()
        super().end_session()

    def writeout_cache(self, conn: Any = None) -> None:
        """Called by the thread that saves, with a connection of its own, and by whoever reads the database."""
        self._open()
        super().writeout_cache(None if self.hist_file == _NOWHERE else conn)

    def _open(self) -> None:
        with self._opening:
            if self._is_open or not self._is_begun:
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


class _CalmThread(HistorySavingThread):
    """Begins when the first cell has run: what opens a database would take turns with it."""

    def __init__(self, history: LateHistory, ending: threading.Event) -> None:
        super().__init__(history)
        self._ending = ending

    def run(self) -> None:
        self._ending.wait(_CALM_SECONDS)
        super().run()
