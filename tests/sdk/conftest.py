from sdk.fixtures import config, platform

__all__ = ["config", "platform"]
