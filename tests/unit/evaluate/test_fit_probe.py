"""The probe runs the real kernels; how fast they are is nobody's business here."""

import pytest

from gadfly.evaluate.fit import INT8
from gadfly.evaluate.fit_probe import analyse, frame, held_formats, probe
from gadfly.evaluate.fit_speed import attention_operations, layer_elements, step_seconds
from gadfly.quant import FORMATS


def test_every_format_is_held_somehow_and_never_in_less_than_its_bits():
    held = held_formats()
    assert set(held) == {*FORMATS, INT8}
    for name, known in FORMATS.items():
        assert held[name].bytes_per_weight >= known.block_bytes / known.block_size
        assert held[held[name].kernel] == held[name]
    assert held["Q8_0"].kernel == "Q8_0" and held[INT8].kernel == INT8


def test_a_probe_measures_everything_a_prediction_needs():
    held = held_formats()
    found = probe(1, {"Q4_0", "int8"}, held, 2**24, seconds=0)
    assert set(found.kernels) == {"Q4_0", "Q8_0", "int8"} and found.threads == 1
    assert all(kernel.reads > 0 and kernel.computes > 0 for kernel in found.kernels.values())
    assert found.read_bandwidth > 0 and min(found.layer, found.element, found.attention_alone) >= 0


def test_what_was_put_into_times_is_found_in_them():
    """Steps timed by a machine that is exactly as the prediction believes give that machine back."""
    from machines import OWN, speeds

    true, narrow, wide = speeds(10e9, 300e9), frame(256, 24), frame(512, 8)
    times = {
        "layers": step_seconds(narrow, OWN, true, 1, 0),
        "one": step_seconds(wide, OWN, true, 1, 0),
        "one far": step_seconds(wide, OWN, true, 1, 1024),
        "many": step_seconds(wide, OWN, true, 256, 0),
        "many far": step_seconds(wide, OWN, true, 256, 1024),
    }
    found = analyse(times, true.kernels, OWN, narrow, wide, true.threads, true.read_bandwidth)
    assert found.attention_alone == pytest.approx(true.attention_alone)
    assert found.attention_together == pytest.approx(true.attention_together)
    little = layer_elements(narrow.spec) * true.element + attention_operations(narrow.spec, 1, 0) * true.attention_alone
    assert found.layer == pytest.approx(true.layer + little / 24)
    assert found.element == pytest.approx(true.element, rel=0.05)
