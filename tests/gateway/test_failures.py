"""What went wrong with each model, in words."""

import pytest

from routecast.errors import UpstreamError, UpstreamTimeoutError, UpstreamUnavailableError
from routecast.gateway.exchange import Attempt
from routecast.gateway.failures import (
    Failure,
    broken_answer_error,
    describe_failure,
    no_answer_error,
)


def tried(model: str, failure: Failure) -> Attempt:
    return Attempt(model=model, status=None, failure=failure, first_byte_s=None, total_s=0.1)


def test_tries_alike_are_counted_and_others_follow_in_order() -> None:
    error = no_answer_error(
        [
            tried("big", Failure.CONNECT),
            tried("big", Failure.CONNECT),
            tried("big", Failure.HUNG_UP),
            tried("small", Failure.TLS),
        ],
        retry_after_s=0.0,
    )
    assert str(error) == (
        "model 'big' could not be reached in 2 tries; model 'big' hung up before it answered; "
        "model 'small' has no acceptable certificate; try again"
    )
    assert type(error) is UpstreamError


@pytest.mark.parametrize("failure", [Failure.CONNECT_TIMEOUT, Failure.FIRST_BYTE_TIMEOUT])
def test_the_last_try_decides_whether_it_was_a_timeout(failure: Failure) -> None:
    late, down = tried("big", failure), tried("small", Failure.CONNECT)
    left_alone = tried("small", Failure.CIRCUIT_OPEN)
    assert type(no_answer_error([down, late], retry_after_s=0)) is UpstreamTimeoutError
    assert type(no_answer_error([late, left_alone], retry_after_s=0)) is UpstreamTimeoutError
    assert type(no_answer_error([late, down], retry_after_s=0)) is UpstreamError


def test_when_nothing_was_sent_the_client_may_come_back() -> None:
    error = no_answer_error([tried("big", Failure.CIRCUIT_OPEN)], retry_after_s=12.4)
    assert isinstance(error, UpstreamUnavailableError)
    assert error.retry_after_s == 12.4
    assert str(error).endswith("is left alone for a while; try again in 12 s")


def test_a_broken_answer_is_described_too() -> None:
    error = broken_answer_error("big", Failure.SILENT)
    assert str(error) == "model 'big' fell silent in the middle of its answer; try again"


@pytest.mark.parametrize("failure", sorted(set(Failure) - {Failure.CLIENT_LEFT, Failure.STOPPED}))
def test_every_failure_has_words(failure: Failure) -> None:
    assert describe_failure("big", failure).startswith("model 'big' ")
