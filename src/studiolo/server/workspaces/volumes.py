"""Volumes that a workspace attaches, of those that the administrators offer. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from studiolo.contract.errors import Denied, InvalidInput
from studiolo.engines.base import Attaches, Engine, Volume
from studiolo.server.engines.engines import Engines
from studiolo.server.settings.resources import VolumeOffer


def can_attach(engine: Engine, offer: VolumeOffer) -> bool:
    """Tell whether an engine has what it needs of a volume."""
    return isinstance(engine, Attaches) and getattr(offer, engine.attaches) is not None


def volumes_of(
    config: Mapping[str, Any] | None, offers: Sequence[VolumeOffer], engine: Engine, person: str
) -> tuple[Volume, ...]:
    """Return what a launch of `person` gets on `engine` of the volumes that its workspace attaches."""
    names = (config or {}).get("volumes") or ()
    return tuple(
        Volume(offer.name, offer.path, offer.claim, offer.read_only)
        for offer in offers
        if offer.name in names and offer.is_for(person) and can_attach(engine, offer)
    )


def check_volumes(
    names: Sequence[str], offers: Sequence[VolumeOffer], engines: Engines, engine: str, *, person: str | None = None
) -> None:
    """Raise InvalidInput (`volume-unknown`, `volume-not-supported`), Denied (`volume-not-allowed`).

    `person`: name of whoever launches; None: only what holds for everybody is checked.
    """
    by_name = {offer.name: offer for offer in offers}
    for name in names:
        if name not in by_name:
            raise InvalidInput(
                "volume-unknown",
                f"There is no volume {name[:63]!r}.",
                hint=f"Volumes here: {', '.join(by_name) or 'none'}.",
                candidates=list(by_name),
            )
        offer = by_name[name]
        if person is not None and not offer.is_for(person):
            raise Denied(
                "volume-not-allowed",
                f"The workspace attaches the volume {name!r}, which you may not use.",
                hint="Ask an administrator to add you to it, or an owner of the workspace to leave it out.",
            )
        if not can_attach(engines.of(engine), offer):
            able = [one for one in engines.usable if can_attach(engines[one], offer)]
            raise InvalidInput(
                "volume-not-supported",
                f"The engine {engine} cannot attach the volume {name!r}.",
                hint=f"Engines that can: {', '.join(able) or 'none'}. Choose one, or leave the volume out.",
                candidates=able,
            )
