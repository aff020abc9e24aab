"""What an engine makes of the package policy, in words for people: the one place that says so."""

# Engines whose sessions reach nothing but what the platform opens to them.
_CLOSED_NETWORK = frozenset({"L3", "L4"})


def enforcement_of(isolation: str) -> str:
    """Return what an engine of this isolation level (L0 to L4) enforces of the package policy."""
    if isolation in _CLOSED_NETWORK:
        return "Sessions reach no index but the platform's own, so the package policy is enforced here."
    alone = "not isolated" if isolation in ("L0", "L1") else "isolated from each other, but not from the network"
    return (
        f"Sessions are {alone}: they reach the network by themselves, so the package policy is advisory here. "
        "The platform's index refuses what it refuses; the security scan finds what came another way."
    )
