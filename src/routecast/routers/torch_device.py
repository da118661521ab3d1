"""Where a neural network runs: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``."""

import re
from typing import TYPE_CHECKING, Final

from routecast.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import torch

DEVICE_FORMS: Final = ("cpu", "cuda", "cuda:N", "mps")
"""How users write devices."""


def check_device_name(name: str | None) -> None:
    """Refuse what is no device's name, without loading torch.

    Raises:
        ConfigError: If ``name`` is none of `DEVICE_FORMS`; None is fine.
    """
    if name is not None and not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise ConfigError(f"unknown device {name!r}; choose one of {list(DEVICE_FORMS)!r}")


def pick_device(name: str | None, *, feature: str) -> "torch.device":
    """Return the device to run on.

    Args:
        name: As users write it; None takes CUDA where there is a GPU for it, else MPS, else the
            CPU.
        feature: What needs torch, for the message where it is missing: ``the router 'bert'``.

    Raises:
        ConfigError: If the name is none, or this machine has no such device.
        MissingExtraError: If torch is not installed.
    """
    check_device_name(name)
    try:
        import torch
    except ModuleNotFoundError:
        raise MissingExtraError(feature, "torch") from None
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    has_mps = torch.backends.mps.is_available()
    if name is None:
        return torch.device("cuda" if n_gpus else "mps" if has_mps else "cpu")
    device = torch.device(name)
    is_there = {"cpu": True, "mps": has_mps, "cuda": (device.index or 0) < n_gpus}[device.type]
    if not is_there:
        here = ["cpu", *(f"cuda:{number}" for number in range(n_gpus)), *(["mps"] * has_mps)]
        raise ConfigError(f"this machine has no device {name!r}; choose one of {here!r}")
    return device
