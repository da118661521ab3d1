"""The names, meanings, labels and buckets of the gateway's metrics."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_OWN_S = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_UPSTREAM_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_WIN_PROBABILITIES = tuple(step / 20 for step in range(1, 21))


class Counts:
    """Counters of one name.

    Series are kept by their labels: the library's own look-up takes a lock and most of the time.
    """

    def __init__(
        self, registry: CollectorRegistry, name: str, meaning: str, labels: Sequence[str]
    ) -> None:
        """Register the counters; the library adds ``_total`` to the name."""
        self._family = Counter(name, meaning, labels, registry=registry)
        self._series: dict[tuple[str, ...], Counter] = {}

    def at(self, *labels: str) -> Counter:
        """Return the counter with these labels; it begins at zero."""
        found = self._series.get(labels)
        if found is None:
            found = self._series[labels] = self._family.labels(*labels)
        return found


class Spreads:
    """Histograms of one name, kept by their label as in ``Counts``."""

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        meaning: str,
        label: str,
        buckets: Sequence[float],
    ) -> None:
        """Register the histograms."""
        self._family = Histogram(name, meaning, [label], buckets=buckets, registry=registry)
        self._series: dict[str, Histogram] = {}

    def at(self, label: str) -> Histogram:
        """Return the histogram with this label; it begins empty."""
        found = self._series.get(label)
        if found is None:
            found = self._series[label] = self._family.labels(label)
        return found


class RequestFamilies:
    """What clients asked, and what the routes decided."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register all of them."""
        self.requests = Counts(
            registry,
            "routecast_requests",
            "Requests on the API's paths, by who answered and how it ended; an empty label is "
            "nobody, or no route.",
            ("api", "route", "model", "status", "ended"),
        )
        self.decisions = Counts(
            registry,
            "routecast_decisions",
            "Decisions of routes: the chosen model's place in its pair, and why it was chosen.",
            ("route", "choice", "reason"),
        )
        self.win_probabilities = Spreads(
            registry,
            "routecast_win_probability",
            "What the route's router gave.",
            "route",
            _WIN_PROBABILITIES,
        )
        self.own_s = Spreads(
            registry,
            "routecast_own_seconds",
            "Time inside the gateway before the first upstream try.",
            "api",
            _OWN_S,
        )


class UpstreamFamilies:
    """What the upstreams did, and what it cost."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register all of them."""
        self.attempts = Counts(
            registry,
            "routecast_upstream_attempts",
            "Upstream tries by what came of them; circuit_open was not sent at all.",
            ("model", "outcome"),
        )
        self.retries = Counts(
            registry, "routecast_retries", "Tries of a model that had just failed.", ("model",)
        )
        self.fallbacks = Counts(
            registry,
            "routecast_fallbacks",
            "Answers by another model than the decision's.",
            ("decision", "model"),
        )
        self.tokens = Counts(
            registry,
            "routecast_tokens",
            "Tokens as the upstreams counted them; cached_input is a part of input.",
            ("model", "kind"),
        )
        self.costs_usd = Counts(
            registry, "routecast_cost_usd", "US dollars, for models with a price.", ("model",)
        )
        self.first_byte_s = Spreads(
            registry,
            "routecast_upstream_first_byte_seconds",
            "Time until the head of an upstream's answer.",
            "model",
            _UPSTREAM_S,
        )
        self.total_s = Spreads(
            registry,
            "routecast_upstream_seconds",
            "Time of one upstream try in all.",
            "model",
            _UPSTREAM_S,
        )
        self.breakers = Gauge(
            "routecast_breaker_state",
            "The model's circuit breaker: 0 closed, 1 half open, 2 open.",
            ("model",),
            registry=registry,
        )
