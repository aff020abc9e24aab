"""How the Kubernetes engine comes in, see `engines.plugins`."""

from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.engines.kubernetes.settings import KubernetesSettings
from studiolo.engines.plugins import EnginePlugin

PLUGIN = EnginePlugin("kubernetes", KubernetesSettings, KubernetesEngine)
