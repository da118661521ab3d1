"""Check that what a command needs is installed, before it does any work."""

from importlib.util import find_spec

from routecast.errors import MissingExtraError

LAB = ("matplotlib", "polars", "scipy", "threadpoolctl")


def require_lab(command: str) -> None:
    """Refuse a command if what the extra ``lab`` brings is not installed.

    Args:
        command: As users type it: ``data split``.

    Raises:
        MissingExtraError: Naming the command.
    """
    if any(find_spec(module) is None for module in LAB):
        raise MissingExtraError(f"`routecast {command}`", "lab")
