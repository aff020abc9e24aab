from sdk.fixtures import config, platform
from sdk.kernel_service import kernel_service

__all__ = ["config", "kernel_service", "platform"]
