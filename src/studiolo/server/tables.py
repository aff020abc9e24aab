"""All domains' tables, for migrations and for making a new database."""

from studiolo.server.accounts import tables as _accounts
from studiolo.server.audit import tables as _audit
from studiolo.server.datasets import tables as _datasets
from studiolo.server.disk import tables as _disk
from studiolo.server.environments import tables as _environments
from studiolo.server.gpus import tables as _gpus
from studiolo.server.http import tables as _http
from studiolo.server.kernels import tables as _kernels
from studiolo.server.metadata import metadata
from studiolo.server.notifications import tables as _notifications
from studiolo.server.packages import tables as _packages
from studiolo.server.requests import tables as _requests
from studiolo.server.scans import tables as _scans
from studiolo.server.sessions import tables as _sessions
from studiolo.server.sharing import tables as _sharing
from studiolo.server.workspaces import tables as _workspaces

__all__ = ["metadata"]

_ = (
    *(_accounts, _audit, _datasets, _disk, _environments, _gpus, _http, _kernels, _notifications, _packages, _requests),
    *(_scans, _sessions, _sharing, _workspaces),
)
