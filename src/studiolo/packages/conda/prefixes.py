"""Programs of conda prefixes: unlike those of our virtual environments they name the place of their interpreter."""

from pathlib import Path

# Longer first lines than the system takes are none.
_LONGEST_LINE = 512


def point_scripts(prefix: Path, home: Path) -> None:
    """Have programs that pip's kind of installers wrote into a prefix run with the Python of where it will be used.

    Nothing is done in what is no conda prefix: programs there find their interpreter beside themselves. Raises OSError.
    """
    if not (prefix / "conda-meta").is_dir():
        return
    old, new = f"{prefix}/bin/".encode(), f"{home}/bin/".encode()
    for program in (prefix / "bin").iterdir():
        if program.is_file() and not program.is_symlink():
            with program.open("rb") as file:
                # A path that is too long for the first line stands in the second one, behind `exec`.
                begin = b"".join(file.readline(_LONGEST_LINE) for _ in range(2))
            if begin.startswith(b"#!") and old in begin:
                _replace(program, begin.replace(old, new) + program.read_bytes().removeprefix(begin))


def _replace(program: Path, content: bytes) -> None:
    """Write anew beside, since its file may have a second name elsewhere."""
    fresh = program.with_name(f".{program.name}.new")
    fresh.write_bytes(content)
    fresh.chmod(program.stat().st_mode)
    fresh.replace(program)
