"""Settings of kernels and of the host that carries them."""

from datetime import timedelta

from pydantic import BaseModel, Field

from studiolo.server.settings.durations import Duration


class KernelSettings(BaseModel):
    """How many kernels may run, how long they are kept, and who may reach them from elsewhere."""

    max_running_per_person: int = Field(50, ge=1, description="Running kernels that one person may have, in all.")
    max_running_per_workspace: int = Field(100, ge=1, description="Running kernels of one workspace.")
    max_running: int = Field(2000, ge=1, description="Running kernels in all.")
    start_timeout: Duration = Field(timedelta(seconds=60), description="A kernel not started by then has failed.")
    default_workspace: str = Field(
        "kernels", description="Name of the workspace that a person's kernels belong to where a client names none."
    )
    idle_stop: Duration = Field(
        timedelta(hours=24),
        description="A headless kernel that is idle, without clients and without unread output is stopped after this "
        "time; 0: never. Kernels of sessions end with their session.",
    )
    workload_idle_stop: Duration = Field(
        timedelta(minutes=5),
        description="On another engine headless kernels share a job, container or pod. It ends when it has had no "
        "kernel for this time; 0: never.",
    )
    keep_unread: Duration = Field(
        timedelta(days=7), description="Output that nobody has read keeps a headless kernel running this long."
    )
    keep_ended: Duration = Field(
        timedelta(days=1), description="Output of a kernel can be read this long after its end."
    )
    spares: int = Field(1, ge=0, le=20, description="Started kernels kept ready for each environment in use; 0: none.")
    max_processes: int = Field(4096, ge=16, description="Processes and threads that one headless kernel may have.")
    allow_origins: list[str] = Field(
        default_factory=list,
        description="Origins of other sites whose pages may use kernels here with a key; `*`: all of them.",
    )
