"""One request's decision. Whatever a router does, a decision comes out."""

import logging
import traceback

from routecast.gateway.batching import ScoreLateError
from routecast.gateway.routes import Route
from routecast.gateway.scorer import Scorer, cut_text
from routecast.policy.decide import Decision, Reason, decide

_LOGGER = logging.getLogger("routecast.gateway")


async def decide_route(
    route: Route, text: str | None, *, scorer: Scorer, timeout_s: float
) -> Decision:
    """Score a text and choose a model.

    Args:
        route: The route that the client asked for.
        text: What the route reads of the request; None where there is nothing.
        scorer: The route's router.
        timeout_s: How long a router beside the event loop may take.

    Returns:
        A decision; the route's ``on_router_error`` model with a reason where there is no text, or
        the router abstains, raises, breaks its contract, or is late. The log never holds the text.
    """
    if text is None:
        return Decision(route.fallback, None, route.threshold, Reason.NO_TEXT)
    text = cut_text(text)
    try:
        win_probability = await scorer.score(text, timeout_s=timeout_s)
    except ScoreLateError:
        _LOGGER.warning(
            "router %r took longer than %g ms; route %r falls back to %r",
            route.router_name, timeout_s * 1000, route.name, route.fallback,
        )  # fmt: skip
        return Decision(route.fallback, None, route.threshold, Reason.ROUTER_SLOW)
    except Exception as error:  # noqa: BLE001 (a router is foreign code and must not end a request)
        _log_failure(route, error)
        return Decision(route.fallback, None, route.threshold, Reason.ROUTER_FAILED)
    return decide(
        win_probability,
        route.cut,
        prompt=text,
        strong=route.strong,
        weak=route.weak,
        fallback=route.fallback,
    )


def _log_failure(route: Route, error: Exception) -> None:
    """Log where a router failed, without the message: that may quote the prompt."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    _LOGGER.error(
        "router %r raised %s at %s:%s; route %r falls back to %r",
        route.router_name,
        type(error).__name__,
        place.filename,
        place.lineno,
        route.name,
        route.fallback,
    )
