"""The names, meanings, labels and buckets of the gateway's metrics.

Counted in plain numbers and turned into the library's samples when somebody asks: its own counters
take a lock for each of the dozen steps per request, and all of these are on one event loop.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

_OWN_S = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_UPSTREAM_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_WIN_PROBABILITIES = tuple(step / 20 for step in range(1, 21))


class Counts:
    """Counters of one name."""

    def __init__(self, name: str, meaning: str, labels: Sequence[str]) -> None:
        """Begin without any; ``_total`` is added to the name."""
        self._head = (name, meaning, labels)
        self._values: dict[tuple[object, ...], float] = {}

    def add(self, *labels: object, amount: float = 1.0) -> None:
        """Add to the counter with these labels, as ``str`` writes them; it begins at zero."""
        values = self._values
        values[labels] = values.get(labels, 0.0) + amount

    def collect(self) -> Metric:
        """Return the counters as they stand."""
        name, meaning, labels = self._head
        family = CounterMetricFamily(name, meaning, labels=labels)
        for series, count in self._values.items():
            family.add_metric([str(label) for label in series], count)
        return family


class Spreads:
    """Histograms of one name, by one label."""

    def __init__(self, name: str, meaning: str, label: str, buckets: Sequence[float]) -> None:
        """Begin without any.

        Args:
            name: Of the metric.
            meaning: In a sentence.
            label: Its name.
            buckets: The highest value in each but the last, ascending.
        """
        self._head = (name, meaning, [label])
        self._buckets = buckets
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def add(self, label: str, value: float) -> None:
        """Count one value."""
        counts = self._counts.get(label)
        if counts is None:
            counts = self._counts[label] = [0] * (len(self._buckets) + 1)
            self._sums[label] = 0.0
        counts[bisect_left(self._buckets, value)] += 1
        self._sums[label] += value

    def collect(self) -> Metric:
        """Return the histograms as they stand."""
        name, meaning, labels = self._head
        family = HistogramMetricFamily(name, meaning, labels=labels)
        bounds = [*(str(float(bucket)) for bucket in self._buckets), "+Inf"]
        for label, counts in self._counts.items():
            below = 0
            cumulative: list[tuple[str, float]] = []
            for bound, count in zip(bounds, counts, strict=True):
                below += count
                cumulative.append((bound, below))
            family.add_metric([str(label)], buckets=cumulative, sum_value=self._sums[label])
        return family


class Families:
    """All of the gateway's metrics; a collector of the Prometheus library."""

    def __init__(self, breaker_numbers: Mapping[str, Callable[[], float]]) -> None:
        """Begin at nothing.

        Args:
            breaker_numbers: By model, what its circuit breaker's state is now, as a number.
        """
        self._breaker_numbers = breaker_numbers
        self.requests = Counts(
            "routecast_requests",
            "Requests on the API's paths, by who answered and how it ended; an empty label is "
            "nobody, or no route.",
            ("api", "route", "model", "status", "ended"),
        )
        self.decisions = Counts(
            "routecast_decisions",
            "Decisions of routes: the chosen model's place in its pair, and why it was chosen.",
            ("route", "choice", "reason"),
        )
        self.win_probabilities = Spreads(
            "routecast_win_probability", "What the router gave.", "route", _WIN_PROBABILITIES
        )
        self.own_s = Spreads(
            "routecast_own_seconds",
            "Time inside the gateway before the first upstream try.",
            "api",
            _OWN_S,
        )
        self.attempts = Counts(
            "routecast_upstream_attempts",
            "Upstream tries by what came of them; circuit_open was not sent at all.",
            ("model", "outcome"),
        )
        self.retries = Counts(
            "routecast_retries", "Tries of a model that had just failed.", ("model",)
        )
        self.fallbacks = Counts(
            "routecast_fallbacks",
            "Answers by another model than the decision's.",
            ("decision", "model"),
        )
        self.tokens = Counts(
            "routecast_tokens",
            "Tokens as the upstreams counted them; cached_input is a part of input.",
            ("model", "kind"),
        )
        self.costs_usd = Counts(
            "routecast_cost_usd", "US dollars, for models with a price.", ("model",)
        )
        self.first_byte_s = Spreads(
            "routecast_upstream_first_byte_seconds",
            "Time until an upstream's answer began.",
            "model",
            _UPSTREAM_S,
        )
        self.total_s = Spreads(
            "routecast_upstream_seconds", "Time of one upstream try in all.", "model", _UPSTREAM_S
        )

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it stands."""
        for family in vars(self).values():
            if isinstance(family, Counts | Spreads):
                yield family.collect()
        breakers = GaugeMetricFamily(
            "routecast_breaker_state",
            "The model's circuit breaker: 0 closed, 1 half open, 2 open.",
            labels=["model"],
        )
        for model, number in self._breaker_numbers.items():
            breakers.add_metric([model], number())
        yield breakers
