"""Counts for Prometheus, in a registry of their own: two servers in one process do not add up.

Requests are counted as they end; what engines do is asked of them when somebody reads. Labels are few: routes, and the
names of models that are here.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gadfly.server.loaded import Loaded
from gadfly.server.record import Record

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)

# name, what it says, the field of gadfly.engine.Counts
_NOW = (
    ("gadfly_requests_running", "Requests in the steps of a model", "running"),
    ("gadfly_requests_waiting", "Requests that wait for a place", "waiting"),
    ("gadfly_cache_pages", "Pages of the cache", "pages"),
    ("gadfly_cache_pages_held", "Pages that running requests hold", "pages_held"),
    ("gadfly_cache_pages_kept", "Pages of prefixes that nobody holds, but may ask for again", "pages_kept"),
)
_EVER = (
    ("gadfly_steps", "Steps of a model", "steps"),
    ("gadfly_step_seconds", "Seconds in steps", "step_seconds"),
    ("gadfly_prompt_tokens", "Tokens of prompts that were computed", "prompt_tokens"),
    ("gadfly_cached_tokens", "Tokens of prompts that did not have to be", "cached_tokens"),
    ("gadfly_generated_tokens", "Tokens of answers", "generated_tokens"),
)


# The same of gadfly.completion.Reads, where experts are on disk.
_READS = (
    ("gadfly_experts_found", "Matrices of experts that were in memory", "found"),
    ("gadfly_experts_missing", "Matrices of experts that had to be read from disk", "missing"),
    ("gadfly_experts_read_bytes", "Bytes of experts read from disk", "bytes"),
    ("gadfly_experts_reading_seconds", "Seconds in which experts were being read", "reading"),
    ("gadfly_experts_waiting_seconds", "Seconds that computing waited for them", "waiting"),
)


class Metrics:
    """`observe` takes every request at its end; `text` is what a scraper reads."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter("gadfly_requests", "Requests", labels, registry=self._registry)
        self._seconds = Histogram(
            "gadfly_request_seconds", "Seconds to the end", ["route"], registry=self._registry, buckets=_SECONDS
        )
        self._first = Histogram(
            "gadfly_first_byte_seconds", "Seconds to a first byte", ["route"], registry=self._registry, buckets=_SECONDS
        )

    def watch(self, loaded: Callable[[], Sequence[Loaded]]) -> None:
        """Report the engines of these models, too."""
        self._registry.register(_Engines(loaded))

    def observe(self, record: Record, method: str) -> None:
        self._requests.labels(method, record.route, str(record.status or "gone")).inc()
        self._seconds.labels(record.route).observe(record.seconds)
        if record.first_byte is not None:
            self._first.labels(record.route).observe(record.first_byte)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _Engines(Collector):
    def __init__(self, loaded: Callable[[], Sequence[Loaded]]) -> None:
        self._loaded = loaded

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        counts: list[tuple[str, Any]] = [(found.name, found.llm.counts()) for found in self._loaded()]
        for name, text, key in _NOW:
            gauge = GaugeMetricFamily(name, text, labels=["model"])
            for model, each in counts:
                gauge.add_metric([model], getattr(each, key))
            yield gauge
        for name, text, key in _EVER:
            counter = CounterMetricFamily(name, text, labels=["model"])
            for model, each in counts:
                counter.add_metric([model], getattr(each, key))
            yield counter
        reads = [(found.name, found.llm.reads()) for found in self._loaded()]
        for name, text, key in _READS:
            counter = CounterMetricFamily(name, text, labels=["model"])
            for model, read in reads:
                if read is not None:
                    counter.add_metric([model], getattr(read, key))
            yield counter
