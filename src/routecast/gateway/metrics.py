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
from routecast.gateway.metric_families import Families
from routecast.gateway.routes import RouteTable
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
        self._choices = {
            name: {route.strong: "strong", route.weak: "weak"}
            for name, route in table.routes.items()
        }
        self._prices = {
            name: endpoint.price
            for name, endpoint in table.endpoints.items()
            if endpoint.price is not None
        }
        states = (breaker_states or {}).items()
        self._families = Families({model: partial(_breaker_number, s) for model, s in states})
        self._registry = CollectorRegistry()
        self._registry.register(self._families)
        ProcessCollector(registry=self._registry)
        for model in table.endpoints:
            self._families.retries.add(model, amount=0)
            for kind in ("input", "output", "cached_input"):
                self._families.tokens.add(model, kind, amount=0)
        for model in self._prices:
            self._families.costs_usd.add(model, amount=0)

    def __call__(self, served: Served) -> None:
        """Count one request."""
        families, result, decision = self._families, served.result, served.decision
        api, route = served.surface.api, served.route or ""
        families.own_s.add(api, served.own_s)
        if decision is not None and route:
            self._count_decision(route, decision)
        if result is None:
            families.requests.add(api, route, "", served.status, "refused")
            return
        model = result.model or ""
        families.requests.add(api, route, model, served.status, result.ended)
        self._count_attempts(result.attempts)
        if model and decision is not None and model != decision.model:
            families.fallbacks.add(decision.model, model)
        self._count_usage(result)

    def _count_decision(self, route: str, decision: Decision) -> None:
        choice = self._choices.get(route, {}).get(decision.model, "other")
        self._families.decisions.add(route, choice, decision.reason)
        if decision.win_probability is not None:
            self._families.win_probabilities.add(route, decision.win_probability)

    def _count_attempts(self, attempts: tuple[Attempt, ...]) -> None:
        families = self._families
        before = None
        for attempt in attempts:
            model = attempt.model
            families.attempts.add(model, attempt.failure or "answered")
            if attempt.failure == _NOT_SENT:
                continue
            if model == before:
                families.retries.add(model)
            before = model
            if attempt.first_byte_s is not None:
                families.first_byte_s.add(model, attempt.first_byte_s)
            families.total_s.add(model, attempt.total_s)

    def _count_usage(self, result: RelayResult) -> None:
        usage, model, families = result.usage, result.model, self._families
        if usage is None or model is None:
            return
        families.tokens.add(model, "input", amount=usage.input_tokens)
        families.tokens.add(model, "output", amount=usage.output_tokens)
        if usage.cached_input_tokens:
            families.tokens.add(model, "cached_input", amount=usage.cached_input_tokens)
        cost_usd = cost_of(result, self._prices)
        if cost_usd:
            families.costs_usd.add(model, amount=cost_usd)

    def render(self) -> bytes:
        """Return everything as Prometheus reads it; its type is ``CONTENT_TYPE``."""
        return generate_latest(self._registry)


def _breaker_number(state: Callable[[], str]) -> float:
    return float(_BREAKER_STATES.index(str(state())))
