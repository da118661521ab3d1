"""One request's decision. Whatever a router does, a decision comes out."""

import logging
import traceback

import msgspec

from routecast.gateway.prompt import last_user_text
from routecast.gateway.routes import Route
from routecast.policy.decide import Decision, Reason, decide
from routecast.routers.protocol import Router

_LOGGER = logging.getLogger("routecast.gateway")


def decide_route(route: Route, messages: msgspec.Raw) -> Decision:
    """Score the last user message and choose a model.

    Args:
        route: The route that the client asked for.
        messages: The JSON of the request's ``messages``.

    Returns:
        A decision; the route's fallback model with a reason where there is no text, or the
        router abstains, raises, or breaks its contract. The log never holds the prompt.
    """
    prompt = last_user_text(messages)
    if prompt is None:
        return Decision(route.fallback, None, route.threshold, Reason.NO_TEXT)
    try:
        win_probability = _score(route.router, prompt)
    except Exception as error:  # noqa: BLE001 (a router is foreign code and must not end a request)
        _log_failure(route, error)
        return Decision(route.fallback, None, route.threshold, Reason.ROUTER_FAILED)
    return decide(
        win_probability,
        route.cut,
        prompt=prompt,
        strong=route.strong,
        weak=route.weak,
        fallback=route.fallback,
    )


def _score(router: Router, prompt: str) -> float:
    """Return one prompt's win probability; NaN is allowed, anything but a probability is not."""
    (win_probability,) = router.win_probabilities([prompt]).tolist()
    if win_probability < 0 or win_probability > 1:
        raise ValueError("a win probability must be in [0, 1]")
    return float(win_probability)


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
