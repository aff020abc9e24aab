"""What those who have files open know of them: the digest of what they were last given, told, or wrote."""

from collections import OrderedDict

_MOST = 10_000


class Known:
    """Digests by path, the latest ten thousand."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, str] = OrderedDict()
        self._written: OrderedDict[str, str] = OrderedDict()

    def find(self, path: str) -> str | None:
        """Return the digest of what they know the file to hold; None: nobody asked."""
        return self._seen.get(path)

    def see(self, path: str, hash: str) -> None:
        """Note what they were given."""
        _put(self._seen, path, hash)

    def write(self, path: str, hash: str) -> None:
        """Note what they wrote."""
        _put(self._seen, path, hash)
        _put(self._written, path, hash)

    def take_written(self, path: str) -> str | None:
        """Return what they have just written, once."""
        return self._written.pop(path, None)

    def move(self, old: str, new: str) -> None:
        """Note that a file, or all that is in a folder, has another path."""
        for known in (self._seen, self._written):
            for path in [path for path in known if path == old or path.startswith(f"{old}/")]:
                known[new + path[len(old) :]] = known.pop(path)


def _put(known: OrderedDict[str, str], path: str, hash: str) -> None:
    known[path] = hash
    known.move_to_end(path)
    if len(known) > _MOST:
        known.popitem(last=False)
