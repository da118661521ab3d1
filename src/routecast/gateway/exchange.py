"""What became of one request: the record that metrics, logs and conversations read.

Every request makes these, so they are msgspec's: a tenth of the time of frozen dataclasses.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from routecast.gateway.surfaces import Surface
from routecast.policy.decide import Decision


class Ended(StrEnum):
    """How the relay of an answer ended."""

    COMPLETE = "complete"
    """The client has the whole answer, whatever its status."""

    CLIENT_LEFT = "client_left"
    """The client closed its connection first; the upstream call was cancelled."""

    BROKE_OFF = "broke_off"
    """The upstream failed in the middle of its answer."""

    STOPPED = "stopped"
    """The gateway was ended in the middle of it."""

    FAILED = "failed"
    """No upstream began an answer; the client has an error of ours."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One try of one upstream.

    Attributes:
        model: Its name in the settings.
        status: What it answered; None where it did not.
        failure: Why it gave no answer that could be used, in one word; None where it did.
        first_byte_s: Until the head of its answer was there; None where it never was.
        total_s: Until this try was over.
    """

    model: str
    status: int | None
    failure: str | None
    first_byte_s: float | None
    total_s: float


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens as the upstream counted them.

    Attributes:
        input_tokens: Of the prompt, cached ones included, whichever way the API counts.
        output_tokens: Of the answer.
        cached_input_tokens: How many of the prompt's were read from the upstream's cache; None
            where it does not say.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int | None


class RelayResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the relay of one request came to.

    Attributes:
        model: Who answered; None where nobody did.
        status: The status that the client was sent; None where nothing was sent.
        error_code: The code of our own error where no model answered; None where one did.
        attempts: Every try in order, fallbacks included.
        usage: None where it was not read.
        ended: How it ended.
        first_byte_s: From the first try until the first byte went to the client, or None.
        total_s: From the first try to the end.
    """

    model: str | None
    status: int | None
    error_code: str | None = None
    attempts: tuple[Attempt, ...]
    usage: Usage | None
    ended: Ended
    first_byte_s: float | None
    total_s: float


class Served(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request on one of the surfaces, from its first byte to its end; never a prompt.

    Attributes:
        request_id: The client's own ``x-request-id``, or ours.
        decision_id: Ours, as the answer's headers say it.
        surface: What was called.
        asked: The model that the client named, "" where it was not read.
        route: The route that decided; None for a model that was named directly.
        decision: None where the request was refused before.
        result: None where no upstream was tried.
        status: What the client was sent; 499 where it left before anything was sent.
        own_s: Seconds inside the gateway before the first upstream try.
        error_code: The code of our own error, None where there was none.
    """

    request_id: str
    decision_id: str
    surface: Surface
    asked: str
    route: str | None
    decision: Decision | None
    result: RelayResult | None
    status: int
    own_s: float
    error_code: str | None


Observer = Callable[[Served], None]
"""Called once per request on a surface, whatever happened to it, from the event loop: it must take
microseconds and must not raise."""
