"""What a scraper reads of models: also what reading their experts from disk costs, where they have any there."""

from types import SimpleNamespace

from gadfly.completion import Reads
from gadfly.engine import Counts
from gadfly.server.metrics import Metrics


def test_experts_on_disk_are_counted_and_others_are_not():
    reads = Reads(found=3, missing=1, bytes=4096, reading=0.5, waiting=0.25)
    models = [
        SimpleNamespace(name="large", llm=SimpleNamespace(counts=lambda: Counts(steps=2), reads=lambda: reads)),
        SimpleNamespace(name="small", llm=SimpleNamespace(counts=lambda: Counts(steps=7), reads=lambda: None)),
    ]
    metrics = Metrics()
    metrics.watch(lambda: models)
    lines = metrics.text().decode().splitlines()
    assert 'gadfly_steps_total{model="small"} 7.0' in lines
    assert 'gadfly_experts_found_total{model="large"} 3.0' in lines
    assert 'gadfly_experts_read_bytes_total{model="large"} 4096.0' in lines
    assert 'gadfly_experts_waiting_seconds_total{model="large"} 0.25' in lines
    assert not any("experts" in line and "small" in line for line in lines)
