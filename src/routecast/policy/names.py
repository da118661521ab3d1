"""Model names of the form ``router-NAME-THRESHOLD``, as clients of ``routellm`` send them."""

from dataclasses import dataclass

_PREFIX = "router-"


@dataclass(frozen=True, slots=True)
class RouterName:
    """A router and a threshold that a client chose.

    Attributes:
        router: The router's name as routes write it; it may hold hyphens.
        threshold: In [0, 1].
    """

    router: str
    threshold: float


def parse_router_name(model: str) -> RouterName | None:
    """Read ``router-NAME-THRESHOLD``, split at the last hyphen.

    Returns:
        None when ``model`` is not of that form, or its threshold is not a number in [0, 1].
    """
    if not model.startswith(_PREFIX):
        return None
    router, hyphen, written = model.removeprefix(_PREFIX).rpartition("-")
    if not (router and hyphen) or not written.isascii() or "_" in written or " " in written:
        return None
    try:
        threshold = float(written)
    except ValueError:
        return None
    return RouterName(router, threshold) if 0 <= threshold <= 1 else None
