"""Notebooks that nobody has open get the output of their cells all the same."""

import logging
from typing import Any

from studiolo.gateway.base import KernelPlan, KernelState
from studiolo.gateway.documents import Documents
from studiolo.gateway.filling.notebooks import Record, Saved
from studiolo.gateway.hosted import Hosted
from studiolo.gateway.offers.environments import environment_of, identify

_log = logging.getLogger(__name__)


async def save_notebook(hosted: Hosted, documents: Documents) -> None:
    """Write into a kernel's notebook what nobody saw or saved, if that is due."""
    path, root, saver = documents.path_of(hosted.scope, hosted.id), hosted.record.plan.root, hosted.saver
    if path is None or root is None or saver is None or not path.endswith(".ipynb"):
        return
    if not saver.is_due(is_busy=hosted.state is KernelState.BUSY):
        return
    cells = await hosted.read_cells()
    outcome = await saver.save(cells, root, path, record_of(hosted.record.plan))
    if outcome is None:
        return
    if outcome.saved in (Saved.CONFLICT, Saved.REFUSED):
        _log.info("Output of kernel %s was not written into its notebook: %s.", hosted.id, outcome.reason)
    elif outcome.saved is Saved.WRITTEN and hosted.kernel is not None:
        hosted.kernel.mark_seen(cells.last)


def record_of(plan: KernelPlan) -> Record:
    """Return what tells where a cell ran, for its metadata: {environment, resources}, by when it ran."""
    ours = plan.metadata.get("studiolo") or {}
    known = {name: ours[name] for name in ("environment", "resources") if ours.get(name) is not None}

    def record(at: float) -> dict[str, Any]:
        try:
            environment = environment_of(plan.argv)
            return known if environment is None else known | {"environment": identify(environment, at)}
        except OSError:
            # It is being exchanged or removed.
            return known

    return record
