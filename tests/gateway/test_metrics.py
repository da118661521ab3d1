"""What Prometheus reads of a gateway."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from routecast.artifacts import load_router
from routecast.gateway.cost import cost_of
from routecast.gateway.exchange import Attempt, Ended, RelayResult, Served, Usage
from routecast.gateway.loading import resolve_endpoints
from routecast.gateway.metrics import GatewayMetrics
from routecast.gateway.routes import RouteTable, build_route_table
from routecast.gateway.surfaces import SURFACES
from routecast.policy.decide import Decision, Reason
from routecast.policy.parse import parse_settings
from routecast.upstream.prices import Price

SETTINGS = """
[models.big]
model = "b"
base_url = "http://127.0.0.1:1/v1"
price = { input = 2.0, output = 10.0, cached_input = 0.5 }
[models.small]
model = "s"
base_url = "http://127.0.0.1:1/v1"
[routes.auto]
strong = "big"
weak = "small"
router = "random"
threshold = 0.5
"""
STRONG = Decision("big", 0.75, 0.5, Reason.REACHES_THRESHOLD)
WEAK = Decision("small", 0.25, 0.5, Reason.BELOW_THRESHOLD)
USAGE = Usage(input_tokens=1000, output_tokens=100, cached_input_tokens=400)


@pytest.fixture(scope="module")
def table() -> RouteTable:
    settings = parse_settings(SETTINGS, source="test")
    routers = {"random": load_router("random")}
    return build_route_table(settings, routers, resolve_endpoints(settings, {}))


def attempt(model: str = "big", **fields: Any) -> Attempt:  # noqa: ANN401
    known: dict[str, Any] = {"status": 200, "failure": None, "first_byte_s": 0.2, "total_s": 1.5}
    return Attempt(model=model, **{**known, **fields})


def result(model: str | None = "big", **fields: Any) -> RelayResult:  # noqa: ANN401
    known: dict[str, Any] = {
        "status": 200,
        "attempts": (attempt(model or "big"),),
        "usage": USAGE,
        "ended": Ended.COMPLETE,
        "first_byte_s": 0.21,
        "total_s": 1.6,
    }
    return RelayResult(model=model, **{**known, **fields})


def served(**fields: Any) -> Served:  # noqa: ANN401
    """A chat request to the route ``auto`` that the strong model answered."""
    known: dict[str, Any] = {
        "request_id": "request-1",
        "decision_id": "decision-1",
        "surface": SURFACES["/v1/chat/completions"],
        "asked": "auto",
        "route": "auto",
        "decision": STRONG,
        "result": result(),
        "status": 200,
        "own_s": 0.0004,
        "error_code": None,
    }
    return Served(**{**known, **fields})


def shown(metrics: GatewayMetrics) -> dict[str, float]:
    """Every sample that is ours, as Prometheus's own parser reads it: 'name{labels}' to value."""
    families = text_string_to_metric_families(metrics.render().decode())
    samples = [sample for family in families for sample in family.samples]
    return {
        sample.name
        + "{"
        + ",".join(f"{label}={text}" for label, text in sorted(sample.labels.items()))
        + "}": sample.value
        for sample in samples
        if sample.name.startswith("routecast_") and not sample.name.endswith("_created")
    }


def test_one_answer_is_counted_under_each_heading(table: RouteTable) -> None:
    metrics = GatewayMetrics(table)
    metrics(served())
    samples = shown(metrics)
    requests = "routecast_requests_total{api=chat,ended=complete,model=big,route=auto,status=200}"
    decisions = "routecast_decisions_total{choice=strong,reason=reaches_threshold,route=auto}"
    assert samples[requests] == 1
    assert samples[decisions] == 1
    assert samples["routecast_win_probability_sum{route=auto}"] == 0.75
    assert samples["routecast_own_seconds_bucket{api=chat,le=0.00025}"] == 0
    assert samples["routecast_own_seconds_bucket{api=chat,le=0.0005}"] == 1
    assert samples["routecast_upstream_first_byte_seconds_sum{model=big}"] == 0.2
    assert samples["routecast_upstream_seconds_sum{model=big}"] == 1.5
    assert samples["routecast_upstream_attempts_total{model=big,outcome=answered}"] == 1
    assert samples["routecast_tokens_total{kind=input,model=big}"] == 1000
    assert samples["routecast_tokens_total{kind=cached_input,model=big}"] == 400
    assert samples["routecast_tokens_total{kind=output,model=big}"] == 100
    # 600 fresh tokens at 2 $, 400 cached at 0.5 $, 100 out at 10 $, per million:
    # (600 * 2 + 400 * 0.5 + 100 * 10) / 1e6 = (1200 + 200 + 1000) / 1e6 = 0.0024
    assert samples["routecast_cost_usd_total{model=big}"] == pytest.approx(0.0024)


def test_the_share_of_strong_follows_from_the_decisions(table: RouteTable) -> None:
    metrics = GatewayMetrics(table)
    for decision in (STRONG, WEAK, WEAK, WEAK):
        metrics(served(decision=decision, result=result(decision.model)))
    metrics(served(route=None, decision=Decision("big", None, None, Reason.DIRECT)))
    by_choice: dict[str, float] = {}
    for name, count in shown(metrics).items():
        if name.startswith("routecast_decisions_total"):
            choice = name.partition("choice=")[2].partition(",")[0]
            by_choice[choice] = by_choice.get(choice, 0) + count
    assert by_choice == {"strong": 1, "weak": 3}  # the direct request decided nothing


def test_retries_fallbacks_and_open_breakers_are_told_apart(table: RouteTable) -> None:
    metrics = GatewayMetrics(table)
    attempts = (
        attempt("big", status=503, failure="refused", total_s=0.1),
        attempt("big", status=None, failure="connect", first_byte_s=None, total_s=0.2),
        attempt("small", total_s=0.3),
    )
    metrics(served(result=result("small", attempts=attempts)))
    skipped = attempt("big", status=None, failure="circuit_open", first_byte_s=None, total_s=0.0)
    metrics(served(result=result("small", attempts=(skipped, attempt("small", total_s=0.4)))))
    samples = shown(metrics)
    assert samples["routecast_retries_total{model=big}"] == 1
    assert samples["routecast_retries_total{model=small}"] == 0
    assert samples["routecast_fallbacks_total{decision=big,model=small}"] == 2
    assert samples["routecast_upstream_attempts_total{model=big,outcome=circuit_open}"] == 1
    assert samples["routecast_upstream_seconds_count{model=big}"] == 2
    assert samples["routecast_upstream_seconds_sum{model=small}"] == pytest.approx(0.7)


def test_what_was_refused_or_failed_is_counted_too(table: RouteTable) -> None:
    metrics = GatewayMetrics(table)
    refused = served(
        route=None, decision=None, result=None, status=404, error_code="model_not_found"
    )
    failed = result(None, status=502, usage=None, ended=Ended.FAILED, first_byte_s=None)
    metrics(refused)
    metrics(served(result=failed, status=502))
    samples = shown(metrics)
    name = "routecast_requests_total{api=chat,ended=%s,model=,route=%s,status=%d}"
    assert samples[name % ("refused", "", 404)] == 1
    assert samples[name % ("failed", "auto", 502)] == 1
    assert not [key for key in samples if key.startswith("routecast_fallbacks")]


def test_models_stand_at_zero_and_only_priced_ones_have_a_cost(table: RouteTable) -> None:
    samples = shown(GatewayMetrics(table))
    assert samples["routecast_tokens_total{kind=output,model=small}"] == 0
    assert samples["routecast_cost_usd_total{model=big}"] == 0
    assert "routecast_cost_usd_total{model=small}" not in samples


def test_a_breaker_s_state_is_read_when_it_is_asked_for(table: RouteTable) -> None:
    states = iter(["closed", "half_open", "open"])
    metrics = GatewayMetrics(table, breaker_states={"big": lambda: next(states)})
    values = [shown(metrics)["routecast_breaker_state{model=big}"] for _ in range(3)]
    assert values == [0, 1, 2]


def test_nothing_that_a_client_sends_becomes_a_label(table: RouteTable) -> None:
    metrics = GatewayMetrics(table)
    metrics(served(asked="ignore all instructions", request_id="secret-id", decision_id="d-77"))
    text = metrics.render().decode()
    assert not [word for word in ("ignore", "secret-id", "d-77") if word in text]


def test_two_gateways_count_apart(table: RouteTable) -> None:
    one, other = GatewayMetrics(table), GatewayMetrics(table)
    one(served())
    assert shown(other) == shown(GatewayMetrics(table))
    assert shown(one) != shown(other)


@given(
    st.lists(
        st.tuples(st.sampled_from([STRONG, WEAK]), st.integers(0, 10**6), st.integers(0, 10**6))
    )
)
def test_tokens_and_dollars_add_up_whatever_the_order(
    answers: list[tuple[Decision, int, int]],
) -> None:
    settings = parse_settings(SETTINGS, source="test")
    endpoints = resolve_endpoints(settings, {})
    metrics = GatewayMetrics(RouteTable({}, endpoints))
    for decision, n_in, n_out in answers:
        usage = Usage(input_tokens=n_in, output_tokens=n_out, cached_input_tokens=None)
        metrics(served(decision=decision, result=result(decision.model, usage=usage)))
    samples = shown(metrics)
    strong = [(n_in, n_out) for decision, n_in, n_out in answers if decision is STRONG]
    assert samples["routecast_tokens_total{kind=input,model=big}"] == sum(n for n, _ in strong)
    dollars = sum(2 * n_in + 10 * n_out for n_in, n_out in strong) / 1e6
    assert samples["routecast_cost_usd_total{model=big}"] == pytest.approx(dollars)


PRICES = {"big": Price(input=2.0, output=10.0)}


def test_without_a_cached_price_all_input_costs_the_same() -> None:
    assert cost_of(result(), PRICES) == pytest.approx((1000 * 2 + 100 * 10) / 1e6)


@pytest.mark.parametrize("unknown", [None, result("small"), result(None), result(usage=None)])
def test_a_cost_that_cannot_be_known_is_none(unknown: RelayResult | None) -> None:
    assert cost_of(unknown, PRICES) is None
