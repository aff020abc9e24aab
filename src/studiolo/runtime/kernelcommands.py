"""How a kernel server is started and what a kernel host says to it; imports nothing, so that hosts can have it."""


def program(module: str, *arguments: str) -> list[str]:
    """Return what an environment's Python is to be called with, to run `main` of a module of `studiolo.runtime`.

    The environment has none of our packages: only this one is to be found there, under its name and from our folder.
    """
    source = (
        "import sys; sys.path = [path for path in sys.path if path];"
        "ours = type(sys)('studiolo'); ours.__path__ = [sys.argv.pop(1)]; sys.modules['studiolo'] = ours;"
        f"from studiolo.runtime.{module} import main; sys.exit(main())"
    )
    return ["-c", source, __file__.rsplit("/", 2)[0], *arguments]


def first_line(module_file: str) -> str:
    """Return the argument by which an ipykernel that is started without us calls `watch_this` of a module."""
    return f"--IPKernelApp.exec_lines=__import__('runpy').run_path({module_file!r})['watch_this']()"


# In a clone of an environment: the absolute path of the one that it was made from, whose kernel server serves it.
BASE_FILE = ".studiolo-base"
# In an environment of a workspace, JSON: the name of its `base`; `builds`, its versions, the oldest first, as {number,
# hash, at (seconds since 1970)}; `state`, the times of change (ns) of its folders as the last of them is of them.
BUILD_FILE = ".studiolo-build"
# What it answers when it has been started.
READY = b"ready\n"
HELD = b"held\n"
# What hosts say.
HERE = b"h"
GOODBYE = b"b"
