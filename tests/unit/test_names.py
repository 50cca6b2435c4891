"""Every row of a table is found from both ends, and nothing else is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.arch import PAGES
from gadfly.arch.decoder import GGUF_NAMES
from gadfly.names import Entry, NameTable

TABLE = NameTable(
    {
        "embedding": "embed.weight",
        "blocks.{layer}.norm": "layers.{layer}.norm.weight",
        ("blocks.{layer}.gate", "blocks.{layer}.up"): "layers.{layer}.gate_up.weight",
        "blocks.{layer}.experts": "layers.{layer}.experts.{expert}.weight",
    },
    {"embedding": "table.weight"},
    aliases={"old.{layer}.norm": "layers.{layer}.norm.weight"},
    alternatives={("blocks.{layer}.q", "blocks.{layer}.k"): "layers.{layer}.qk"},
)
layers = st.integers(0, 10**6)


@given(layers, layers)
def test_rows_are_found_from_both_ends(layer: int, expert: int) -> None:
    norm = Entry((f"blocks.{layer}.norm",), f"layers.{layer}.norm.weight")
    fused = Entry((f"blocks.{layer}.gate", f"blocks.{layer}.up"), f"layers.{layer}.gate_up.weight")
    experts = Entry((f"blocks.{layer}.experts",), f"layers.{layer}.experts.{{expert}}.weight")
    assert TABLE.entry(norm.paths[0]) == TABLE.find(norm.name) == TABLE.find(f"old.{layer}.norm") == norm
    assert TABLE.entry(fused.paths[0]) == TABLE.entry(fused.paths[1]) == TABLE.find(fused.name) == fused
    assert TABLE.entry(experts.paths[0]) == TABLE.find(f"layers.{layer}.experts.{expert}.weight") == experts


def test_later_rows_replace_earlier_ones_and_alternatives_are_read_only() -> None:
    assert TABLE.entry("embedding") == TABLE.find("table.weight") == Entry(("embedding",), "table.weight")
    assert TABLE.find("embed.weight") is None
    assert TABLE.find("layers.3.qk") == Entry(("blocks.3.q", "blocks.3.k"), "layers.3.qk")
    assert TABLE.entry("blocks.3.q") is None


def test_experts_have_a_name_each() -> None:
    entry = TABLE.entry("blocks.7.experts")
    assert entry is not None and entry.per_expert
    assert entry.names(2) == ["layers.7.experts.0.weight", "layers.7.experts.1.weight"]
    norm = TABLE.entry("blocks.7.norm")
    assert norm is not None and not norm.per_expert
    assert norm.names(2) == ["layers.7.norm.weight"]


@pytest.mark.parametrize(
    "name",
    [
        "layers.07.norm.weight",
        "layers.-1.norm.weight",
        "layers.x.norm.weight",
        "layers.{layer}.norm.weight",
        "layers.³.norm.weight",
        "layers.٣.norm.weight",
        "layers.1.norm.weight\n",
        " layers.1.norm.weight",
        "layersX1Xnorm.weight",
        "layers.1.experts.01.weight",
        "layers.1.experts..weight",
        "",
    ],
)
def test_what_is_not_quite_a_name_is_none(name: str) -> None:
    assert TABLE.find(name) is None


@given(st.text())
def test_other_text_is_no_name(text: str) -> None:
    found = TABLE.find(text)
    assert found is None or re.sub("[0-9]+", "", text).startswith(("table.", "layers.", "old."))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_read_what_they_write(page) -> None:
    for dialect in (page.gguf, page.hf):
        paths = [path.format(layer=11) for path in GGUF_NAMES]
        entries = [entry for path in paths if (entry := dialect.names.entry(path))]
        assert len(entries) > 8
        for entry in entries:
            for name in entry.names(3):
                assert dialect.names.find(name) == entry
