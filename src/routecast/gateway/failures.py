"""Why tries failed, as words for records and as one message for the client."""

from collections.abc import Sequence
from enum import StrEnum
from itertools import groupby

from routecast.errors import UpstreamError, UpstreamTimeoutError, UpstreamUnavailableError
from routecast.gateway.exchange import Attempt, RelayResult


class Failure(StrEnum):
    """Why a try gave nothing usable; these strings stand in metrics, logs and docs."""

    CONNECT = "connect"
    """The connection was refused or reset, or the host's name has no address."""

    CONNECT_TIMEOUT = "connect_timeout"
    """The connection did not stand within ``connect_timeout_s``."""

    TLS = "tls"
    """The upstream's certificate or its TLS is not acceptable."""

    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    """The request was sent, and no answer began within ``first_byte_timeout_s``."""

    HUNG_UP = "hung_up"
    """The connection ended before the first byte of an answer, or what came was no HTTP."""

    REFUSED = "refused"
    """The upstream answered with a status that a retry or another model may mend."""

    CIRCUIT_OPEN = "circuit_open"
    """Nothing was sent: the model has failed too often, and its pause is not over."""

    BROKE_OFF = "broke_off"
    """The answer began, and the connection ended before the answer did."""

    SILENT = "silent"
    """The answer began, and then nothing came for ``between_chunks_timeout_s``, or its end not
    within ``total_timeout_s``."""

    CLIENT_LEFT = "client_left"
    """The client closed its connection, so the call was cancelled."""

    STOPPED = "stopped"
    """The gateway was ended, so the call was cancelled."""


_WORDS = {
    Failure.CONNECT: "could not be reached",
    Failure.CONNECT_TIMEOUT: "did not connect in time",
    Failure.TLS: "has no acceptable certificate",
    Failure.FIRST_BYTE_TIMEOUT: "did not answer in time",
    Failure.HUNG_UP: "hung up before it answered",
    Failure.REFUSED: "refused",
    Failure.CIRCUIT_OPEN: "has failed too often and is left alone for a while",
    Failure.BROKE_OFF: "broke off in the middle of its answer",
    Failure.SILENT: "fell silent in the middle of its answer",
}
_TIMEOUTS = frozenset({Failure.CONNECT_TIMEOUT, Failure.FIRST_BYTE_TIMEOUT})


def no_answer_error(failed: Sequence[Attempt], *, retry_after_s: float) -> UpstreamError:
    """Return the error for a client whom no model answered.

    Args:
        failed: Every try, at least one; none was a refusal, since that would be the answer.
        retry_after_s: When the next model may be asked, if all are left alone.
    """
    tries = [(attempt.model, Failure(attempt.failure or "")) for attempt in failed]
    message = "; ".join(
        describe_failure(*key, n_tries=len(list(same))) for key, same in groupby(tries)
    )
    sent = [failure for _, failure in tries if failure is not Failure.CIRCUIT_OPEN]
    if not sent:
        return UpstreamUnavailableError(
            f"{message}; try again in {retry_after_s:.0f} s", retry_after_s=retry_after_s
        )
    kind = UpstreamTimeoutError if sent[-1] in _TIMEOUTS else UpstreamError
    return kind(f"{message}; try again")


def broken_answer_error(model: str, failure: Failure) -> UpstreamError:
    """Return the error for a client who has some of an answer and gets no more."""
    return UpstreamError(f"{describe_failure(model, failure)}; try again")


def describe_trouble(result: RelayResult) -> str:
    """Say which models failed a request and who answered instead, in words for the log."""
    tries = [
        (attempt.model, attempt.status, attempt.failure)
        for attempt in result.attempts
        if attempt.failure is not None or (attempt.status or 0) >= 400
    ]
    parts = [_describe_tries(*key, n_tries=len(list(same))) for key, same in groupby(tries)]
    asked = result.attempts[0].model
    if result.model not in (None, asked) and result.status is not None and result.status < 400:
        parts.append(f"model {result.model!r} answered instead")
    return "; ".join(parts)


def _describe_tries(model: str, status: int | None, failure: str | None, *, n_tries: int) -> str:
    if failure is not None and failure not in (Failure.REFUSED, Failure.CLIENT_LEFT):
        return describe_failure(model, Failure(failure), n_tries=n_tries)
    if failure == Failure.CLIENT_LEFT:
        return f"the client left model {model!r}"
    times = f" in {n_tries} tries" if n_tries > 1 else ""
    hint = ""
    if status in {401, 403}:
        hint = f": it refuses this gateway's key for it (models.{model}.api_key), not the client's"
    return f"model {model!r} refused with status {status}{times}{hint}"


def describe_failure(model: str, failure: Failure, *, n_tries: int = 1) -> str:
    """Say what a model did, in words for clients and logs."""
    times = f" in {n_tries} tries" if n_tries > 1 else ""
    return f"model {model!r} {_WORDS[failure]}{times}"
