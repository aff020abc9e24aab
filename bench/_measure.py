"""Runs of several contenders in turn, and what their values say."""

import statistics
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

Contender = Callable[[], float]
ManyContender = Callable[[], Mapping[str, float]]
_SELDOM = 4


@dataclass
class Series:
    """The values of one contender, in the order of the runs; of units that end in `/s` more is better."""

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

    def measured(contender: Contender) -> ManyContender:
        return lambda: {"": contender()}

    parts = alternate_parts(runs, {"": unit}, {name: measured(one) for name, one in contenders.items()})
    return [series[""] for series in parts.values()]


def alternate_parts(
    runs: int, units: Mapping[str, str], contenders: Mapping[str, ManyContender], *, seldom: Collection[str] = ()
) -> dict[str, dict[str, Series]]:
    """Do as `alternate` with contenders that measure several things at once.

    `units`: the unit of each thing. `seldom`: who runs in every fourth round only, being slow and no goal's measure.
    Returns for each contender its series of each thing.
    """
    series = {
        name: {part: Series(f"{name}, {part}" if part else name, unit) for part, unit in units.items()}
        for name in contenders
    }
    names = list(contenders)
    for turn in range(runs):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if name in seldom and turn % _SELDOM:
                continue
            values = contenders[name]()
            for part, one in series[name].items():
                one.values.append(values[part])
        for part, unit in units.items():
            shown = ", ".join(f"{name} {one[part].values[-1]:.4g}" for name, one in series.items())
            print(f"  {turn + 1}/{runs}  {f'{part}: ' if part else ''}{shown} {unit}", file=sys.stderr)
    return series
