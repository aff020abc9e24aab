"""All settings: `studiolo.toml`, environment (`STUDIOLO_…`) and flags, one group per file."""

from studiolo.server.settings.settings import Settings, load_settings

__all__ = ["Settings", "load_settings"]
