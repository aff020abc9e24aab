"""How long does it take from `studiolo install` of a small wheel until a new kernel imports it?

Two versions of `six` alternate, so that each run changes the environment. The command is a process of its own, as
people run it; the kernel is started anew through the front door. Beside it: the same kernel without an installation,
and two installations in a row, of which the second finds no clone of the base made ahead.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator

from _kernel_client import Loop
from _kernel_door import front_door
from _kernel_service import KernelService
from _measure import alternate
from _platform import Platform
from _processes import wait_until
from _report import Report, options

from studiolo.server.environments.clone import SPARES

_VERSIONS = ("1.16.0", "1.17.0")
_GOAL_SECONDS = 1.5


def main() -> None:
    """Measure and report."""
    report = Report("install", options(__doc__, runs=8))
    with contextlib.ExitStack() as stack:
        service, platform = stack.enter_context(front_door())
        workspace = service.prefix.rpartition("/")[2]
        loop = Loop()
        # The index and the planner fetch both versions once; a spare of the base is made.
        for version in _VERSIONS:
            platform.command("install", workspace, f"six=={version}")
        wanted = itertools.cycle(_VERSIONS)
        report.series = alternate(
            report.options.runs,
            "s",
            {
                "a new kernel": lambda: _import(loop, service, "1 + 1", "2"),
                "install, then a new kernel": _install(loop, service, platform, workspace, wanted, 1),
                "two installs in a row, then a new kernel": _install(loop, service, platform, workspace, wanted, 2),
            },
        )
    report.at_most("install, then a new kernel", report.series[1].median, _GOAL_SECONDS, "s")
    report.finish()


def _install(
    loop: Loop, service: KernelService, platform: Platform, workspace: str, wanted: Iterator[str], times: int
) -> Callable[[], float]:
    def install() -> float:
        wait_until(lambda: _has_spares(platform), "clones of the base made ahead", seconds=120)
        began = time.perf_counter()
        for _ in range(times):
            version = next(wanted)
            platform.command("install", workspace, f"six=={version}")
        took = time.perf_counter() - began
        return took + _import(loop, service, "__import__('six').__version__", version)

    return install


def _has_spares(platform: Platform) -> bool:
    return len(list((platform.data / "environments").glob("spare-*/.ready"))) == SPARES


def _import(loop: Loop, service: KernelService, code: str, expected: str) -> float:
    began = time.perf_counter()
    with loop.kernel_of(service) as kernel:
        answer = kernel.execute(f"print({code})")
        took = time.perf_counter() - began
        assert answer.text.strip() == expected, answer
    return took


if __name__ == "__main__":
    main()
