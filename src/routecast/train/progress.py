"""How far a training run has come."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a training run is doing.

    Attributes:
        stage: In a word or two: ``embedding``, ``fitting``.
        n_done: Prompts or steps done in this stage.
        n_total: How many there are, None where that is not known.
        training_loss: Of the latest step, nats per comparison; None outside of fitting.
        validation_loss: Likewise; None without validation comparisons.
    """

    stage: str
    n_done: int = 0
    n_total: int | None = None
    training_loss: float | None = None
    validation_loss: float | None = None


Watch = Callable[[Progress], None]
"""Called as the work goes on, often."""


def tell(watch: Watch | None, stage: str, *, n_done: int = 0, n_total: int | None = None) -> None:
    """Say what is being done, to a watch if there is one."""
    if watch is not None:
        watch(Progress(stage=stage, n_done=n_done, n_total=n_total))
