"""Settings of sessions."""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, Field

from studiolo.server.settings.durations import Duration


class SessionSettings(BaseModel):
    """How sessions start, stop and are addressed."""

    start_timeout: Duration = Field(timedelta(seconds=60), description="A session not ready by then has failed.")
    stop_grace: Duration = Field(timedelta(seconds=10), description="Time to end by itself before it is killed.")
    origin: Literal["auto", "own", "shared"] = Field(
        "auto",
        description="`own`: each session has an origin of its own (`<id>.<domain>`). `shared`: sessions run under "
        "/s/{id}/ of the platform's origin, for one trusted team. `auto`: own where the names can be reached.",
    )
    max_running_per_person: int = Field(20, ge=1, description="Running sessions that one person may have.")
    max_running: int = Field(1000, ge=1, description="Running sessions in all.")
    start_method: Literal["auto", "fork", "spawn"] = Field(
        "auto",
        description="`fork` from the fork server, `spawn` a fresh process, or fork on Linux and spawn elsewhere.",
    )
    entry_lifetime: Duration = Field(timedelta(seconds=30), description="Life of the single-use code that enters.")
    spares: int = Field(
        2, ge=0, le=50, description="Started servers kept ready, so that a launch only has to claim one; 0: none."
    )
    idle_stop: Duration = Field(
        timedelta(hours=24),
        description="A session in which nothing runs and that nobody uses is stopped after this time; 0: never.",
    )
    idle_warning: Duration = Field(timedelta(minutes=15), description="How long before that its people are warned.")
    max_processes: int = Field(4096, ge=16, description="Processes and threads that one session may have.")
