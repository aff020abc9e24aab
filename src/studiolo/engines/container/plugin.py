"""How the container engine comes in."""

from studiolo.engines.container.engine import ContainerEngine
from studiolo.engines.container.settings import ContainerSettings
from studiolo.engines.plugins import EngineGround, EnginePlugin


def _build(ground: EngineGround, settings: ContainerSettings) -> ContainerEngine:
    return ContainerEngine(ground, settings)


PLUGIN = EnginePlugin("container", ContainerSettings, _build)
