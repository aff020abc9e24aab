"""Writing a long file, here and in a client, without filling the machine's memory with it."""

import os

_STEP = 8 << 20
# What is shorter stays in memory, for whoever opens it next; of what is longer, about so much.
_WINDOW = 64 << 20


class WriteBehind:
    """Has an open file's bytes written to the disk while more come, and let go from memory once they are there.

    Else gigabytes push out of memory what others work with, and all of it waits for the one sync at the end.
    `handle`: the open file; `offset`: where writing begins, in bytes. Systems without such a thing do nothing.
    Source: posix_fadvise(2); Linux begins to write what is dirty in the range (mm/fadvise.c).
    """

    def __init__(self, handle: int, offset: int) -> None:
        self._handle = handle
        self._told = offset

    def reached(self, end: int) -> None:
        """Say that the file is written up to `end`. Blocks while the disk has too much to do."""
        if end - self._told < _STEP or end < _WINDOW or not hasattr(os, "posix_fadvise"):
            return
        start = max(0, end - _WINDOW)
        os.posix_fadvise(self._handle, start, end - start, os.POSIX_FADV_DONTNEED)
        self._told = end
