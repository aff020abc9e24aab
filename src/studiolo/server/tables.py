"""All domains' tables, for migrations and for making a new database."""

from studiolo.server.accounts import tables as _accounts
from studiolo.server.audit import tables as _audit
from studiolo.server.datasets import tables as _datasets
from studiolo.server.disk import tables as _disk
from studiolo.server.http import tables as _http
from studiolo.server.kernels import tables as _kernels
from studiolo.server.metadata import metadata
from studiolo.server.sessions import tables as _sessions
from studiolo.server.sharing import tables as _sharing
from studiolo.server.workspaces import tables as _workspaces

__all__ = ["metadata"]

_ = (_accounts, _audit, _datasets, _disk, _http, _kernels, _sessions, _sharing, _workspaces)
