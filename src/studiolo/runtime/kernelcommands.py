"""How a kernel server is started and what a kernel host says to it; imports nothing, so that hosts can have it."""

# The environment has none of our packages: only this one is to be found there, under its name and from our folder,
# which is the first argument.
LOADER = (
    "import sys, types; sys.path = [path for path in sys.path if path];"
    "ours = types.ModuleType('studiolo'); ours.__path__ = [sys.argv.pop(1)]; sys.modules['studiolo'] = ours;"
    "from studiolo.runtime.kernelserver import main; sys.exit(main())"
)
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
