"""What a bare model takes of memory for its cache."""

from gadfly.bare_model import cache_pages
from gadfly.model.cost import Cost
from gadfly.testing import tiny_specs


def test_a_cache_has_room_for_one_context_at_least_and_for_more_where_memory_has() -> None:
    spec = next(iter(tiny_specs().values()))
    context, page_bytes = 100, 2 * 16 * Cost.of(spec, tied=False).kv_values_per_token
    assert cache_pages(spec, context, 16, room=0) == 7  # of 16 positions
    assert cache_pages(spec, context, 1, room=2**40) == 7
    assert cache_pages(spec, context, 16, room=2**40) == 16 * 7
    assert cache_pages(spec, context, 16, room=20 * page_bytes + 1) == 20
