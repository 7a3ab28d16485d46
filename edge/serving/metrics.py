"""The metrics of a process, in the text format of Prometheus."""

from collections.abc import Callable, Iterator
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """The registry of one process; other layers add their gauges to it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        answers = Counter(
            "secaplane_http_requests",
            "HTTP answers by method and status",
            ["method", "status"],
            registry=self.registry,
        )
        durations = Histogram(
            "secaplane_http_request_duration_seconds",
            "Seconds from request to answer",
            ["method"],
            registry=self.registry,
            buckets=BUCKETS_S,
        )
        self.damaged = Counter(
            "secaplane_damaged_answers",
            "Answers for resources with an event that cannot be decoded or applied",
            registry=self.registry,
        )
        self._answers = lru_cache(maxsize=256)(lambda m, s: answers.labels(m, str(s)))
        self._durations = lru_cache(maxsize=16)(durations.labels)

    def answered(self, method: str, status: int, took_s: float) -> None:
        self._answers(method, status).inc()
        self._durations(method).observe(took_s)

    def gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(f"secaplane_{name}", help_text, registry=self.registry)

    def labelled_gauge(self, name: str, help_text: str, label: str) -> Gauge:
        return Gauge(f"secaplane_{name}", help_text, [label], registry=self.registry)

    def counter(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """`secaplane_<name>_total`, with a value that another object counts."""
        self.registry.register(_ReadCounter(f"secaplane_{name}", help_text, value))

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _ReadCounter(Collector):
    """A counter without a value of its own: it is read when the metrics are."""

    def __init__(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        self._name, self._help_text, self._value = name, help_text, value

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self._name, self._help_text, value=self._value())
