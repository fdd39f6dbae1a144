"""The life of an application: starting, ready, draining, stopping."""

from dataclasses import dataclass


@dataclass(slots=True)
class Lifecycle:
    """Whether the application can be sent requests.

    Attributes:
        started: it can.
        draining: it should be sent no more, and says so in /readyz; what comes is still served.
        stopping: what comes is refused; what came before is finished.
    """

    started: bool = False
    draining: bool = False
    stopping: bool = False

    @property
    def status(self) -> str:
        """ok, starting or draining."""
        if self.draining or self.stopping:
            return "draining"
        return "ok" if self.started else "starting"
