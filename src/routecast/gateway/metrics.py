"""What ``/metrics`` shows, in Prometheus's text format.

Counts and times by names from the settings alone: nothing that a client sends becomes a label.
"""

from collections.abc import Callable, Mapping
from functools import partial

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)

from routecast.gateway.cost import cost_of
from routecast.gateway.exchange import Attempt, RelayResult, Served
from routecast.gateway.metric_families import RequestFamilies, UpstreamFamilies
from routecast.gateway.routes import Route, RouteTable
from routecast.policy.decide import Decision

CONTENT_TYPE = CONTENT_TYPE_LATEST

_BREAKER_STATES = ("closed", "half_open", "open")
_NOT_SENT = "circuit_open"


class GatewayMetrics:
    """The metrics of one gateway; an ``Observer``."""

    def __init__(
        self,
        table: RouteTable,
        *,
        breaker_states: Mapping[str, Callable[[], str]] | None = None,
    ) -> None:
        """Set up the metrics, each model at zero.

        Args:
            table: The routes, and the models with their prices.
            breaker_states: By model, what its circuit breaker's state is now: ``closed``,
                ``half_open`` or ``open``.
        """
        self._routes: Mapping[str, Route] = table.routes
        self._prices = {
            name: endpoint.price
            for name, endpoint in table.endpoints.items()
            if endpoint.price is not None
        }
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._asked = RequestFamilies(self._registry)
        self._upstream = UpstreamFamilies(self._registry)
        for model in table.endpoints:
            self._upstream.retries.at(model)
            for kind in ("input", "output", "cached_input"):
                self._upstream.tokens.at(model, kind)
        for model in self._prices:
            self._upstream.costs_usd.at(model)
        for model, state in (breaker_states or {}).items():
            breaker = self._upstream.breakers.labels(model)
            breaker.set_function(partial(_breaker_number, state))

    def __call__(self, served: Served) -> None:
        """Count one request."""
        result, decision = served.result, served.decision
        api = str(served.surface.api)
        self._asked.requests.at(
            api,
            served.route or "",
            (result.model if result else None) or "",
            str(served.status),
            str(result.ended) if result else "refused",
        ).inc()
        self._asked.own_s.at(api).observe(served.own_s)
        if decision is not None and served.route is not None:
            self._count_decision(served.route, decision)
        if result is not None:
            self._count_attempts(result.attempts)
            if decision is not None and result.model not in {None, decision.model}:
                self._upstream.fallbacks.at(decision.model, result.model or "").inc()
            self._count_usage(result)

    def _count_decision(self, name: str, decision: Decision) -> None:
        route = self._routes.get(name)
        choice = "other"
        if route is not None and decision.model == route.strong:
            choice = "strong"
        elif route is not None and decision.model == route.weak:
            choice = "weak"
        self._asked.decisions.at(name, choice, str(decision.reason)).inc()
        if decision.win_probability is not None:
            self._asked.win_probabilities.at(name).observe(decision.win_probability)

    def _count_attempts(self, attempts: tuple[Attempt, ...]) -> None:
        before = None
        for attempt in attempts:
            model = attempt.model
            self._upstream.attempts.at(model, str(attempt.failure or "answered")).inc()
            if attempt.failure == _NOT_SENT:
                continue
            if model == before:
                self._upstream.retries.at(model).inc()
            before = model
            if attempt.first_byte_s is not None:
                self._upstream.first_byte_s.at(model).observe(attempt.first_byte_s)
            self._upstream.total_s.at(model).observe(attempt.total_s)

    def _count_usage(self, result: RelayResult) -> None:
        usage, model = result.usage, result.model
        if usage is None or model is None:
            return
        self._upstream.tokens.at(model, "input").inc(usage.input_tokens)
        self._upstream.tokens.at(model, "output").inc(usage.output_tokens)
        if usage.cached_input_tokens:
            self._upstream.tokens.at(model, "cached_input").inc(usage.cached_input_tokens)
        cost_usd = cost_of(result, self._prices)
        if cost_usd:
            self._upstream.costs_usd.at(model).inc(cost_usd)

    def render(self) -> bytes:
        """Return everything as Prometheus reads it; its type is ``CONTENT_TYPE``."""
        return generate_latest(self._registry)


def _breaker_number(state: Callable[[], str]) -> float:
    return float(_BREAKER_STATES.index(str(state())))
