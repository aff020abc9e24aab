"""Runs of several contenders in turn, and what their values say."""

import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Contender = Callable[[], float]


@dataclass
class Series:
    """The values of one contender, in the order of the runs; `unit` is s, MiB or requests/s."""

    name: str
    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The value in the middle."""
        return statistics.median(self.values)

    def quantile(self, share: float) -> float:
        """The value below which `share` of the others lie (nearest rank)."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def as_json(self) -> dict[str, object]:
        """Return it for a file of results."""
        return {"name": self.name, "unit": self.unit, "median": self.median, "values": self.values}


def alternate(runs: int, unit: str, contenders: Mapping[str, Contender]) -> list[Series]:
    """Run each contender once per round, the first of a round another each time.

    A busy neighbour on the machine then slows all of them alike.
    """
    series = {name: Series(name, unit) for name in contenders}
    names = list(contenders)
    for turn in range(runs):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            series[name].values.append(contenders[name]())
        shown = ", ".join(f"{name} {one.values[-1]:.4g}" for name, one in series.items())
        print(f"  {turn + 1}/{runs}  {shown} {unit}", file=sys.stderr)
    return list(series.values())
