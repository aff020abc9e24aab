"""How names of files that are no text travel as text.

On disk a name is bytes. Python holds it with `surrogateescape`; on the wire it is text: a byte that is no UTF-8
becomes the private character U+EF00 + byte, and so do the bytes of a name that really holds such a character.
Both directions are exact. Source: OPTU-8, MirBSD's way with such bytes.
"""

import os
import re

_BYTE = 0xEF00
_PRIVATE = re.compile("[\uef80-\uefff]")
_ESCAPED = re.compile("[\udc80-\udcff]")


def to_wire(name: str) -> str:
    """Return a name or path, as the system holds it, as text that travels."""
    if name.isascii():
        return name
    kept = _PRIVATE.sub(lambda found: "".join(chr(_BYTE + byte) for byte in found[0].encode()), name)
    return _ESCAPED.sub(lambda found: chr(ord(found[0]) - 0xDC00 + _BYTE), kept)


def from_wire(text: str) -> str:
    """Return what `to_wire` was given. Raises UnicodeEncodeError for text that holds half a character."""
    text.encode()
    restored = _PRIVATE.sub(lambda found: chr(ord(found[0]) - _BYTE + 0xDC00), text)
    return os.fsdecode(os.fsencode(restored))


def is_text(name: str) -> bool:
    """Tell whether a name, as the system holds it, is text (UTF-8)."""
    return name.isascii() or not _ESCAPED.search(name)
