"""How the engine comes in."""

from studiolo.engines.jupyterhub.engine import HubEngine
from studiolo.engines.jupyterhub.settings import HubSettings
from studiolo.engines.plugins import EngineGround, EnginePlugin


def _build(ground: EngineGround, settings: HubSettings) -> HubEngine:
    return HubEngine(settings, instance=ground.instance)


PLUGIN = EnginePlugin("jupyterhub", HubSettings, _build)
