"""Where weights go: what memory, disk and the user have to say about it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import gadfly
from gadfly.convert.convert import Wanted, convert
from gadfly.errors import CapacityError, ModelFileError, RequestError
from gadfly.hub.progress import Silent
from gadfly.ops.native import Native
from gadfly.ops.reference import Reference
from gadfly.weight import Weights, is_stack
from gadfly.weights import cache as cache_module
from gadfly.weights import packed, placement
from gadfly.weights.cache import Cache
from gadfly.weights.load import open_model
from gadfly.weights.placement import Mapped, Placement, Resident, Unpacked, choose_placement
from gadfly.weights.streamed import Streamed

GROK = Path(__file__).parents[2] / "data" / "tiny-grok-1"
PLENTY = 10**9
IDS = list(range(3, 40))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


@pytest.fixture
def dense() -> Iterator[gadfly.weights.load.ModelFile]:
    file = open_model(GROK)
    weights = {path: file.weights[path] for path in file.weights if not is_stack(file.weights[path])}
    yield replace(file, weights=Weights(weights))


def test_experts_are_streamed_where_memory_has_no_room(cache: Cache) -> None:
    file = open_model(GROK)
    for backend, other in ((Native(1), Streamed), (Reference(), Unpacked)):
        assert isinstance(choose_placement(file, backend, None, False, PLENTY, cache), Resident)
        assert isinstance(choose_placement(file, backend, None, False, 10**5, cache), other)
        assert isinstance(choose_placement(file, backend, "resident", False, 10**5, cache), Resident)
    assert isinstance(choose_placement(file, Native(1), "mapped", False, PLENTY, cache), Mapped)
    with pytest.raises(RequestError, match="no place 'moon' for experts; choose resident, streamed, mapped"):
        choose_placement(file, Native(1), "moon", None, PLENTY, cache)


def test_much_disk_for_experts_is_taken_when_somebody_allows_it(cache: Cache, monkeypatch) -> None:
    file, asked = open_model(GROK), []
    monkeypatch.setattr(placement, "UNASKED", 10**5)

    def ask(answer: bool, experts: str | None = None, keep: bool | None = None) -> Placement:
        def allow(*facts: object) -> bool:
            asked.append(facts)
            return answer

        return choose_placement(file, Native(1), experts, keep, 10**5, cache, allow=allow)

    with pytest.raises(RequestError, match=r"nobody has allowed the 0\.0 GB of disk at .* \(--experts streamed"):
        choose_placement(file, Native(1), None, None, 10**5, cache)
    with pytest.raises(RequestError, match="nobody has allowed"):
        ask(False)
    assert not cache.folder.exists()
    (folder, size, free) = asked.pop()
    for allowed in (lambda: ask(False, "streamed"), lambda: ask(False, keep=True), lambda: ask(True)):
        assert isinstance(allowed(), Streamed)
        assert folder == cache.file(file.path).parent and cache.size(file.path) == size < free
        assert isinstance(ask(False), Streamed)  # what is there needs nobody's word
        cache.clear()
    assert len(asked) == 1
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    with pytest.raises(CapacityError, match="packed weights take"):
        ask(True)
    assert len(asked) == 1  # nobody is asked for what is not there


def test_without_experts_nothing_is_mapped_for_want_of_memory(cache: Cache, dense) -> None:
    assert isinstance(choose_placement(dense, Native(1), "mapped", False, 0, cache), Resident)


def chosen(dense, cache: Cache, keep: bool | None) -> Placement:
    return choose_placement(dense, Native(1), None, keep, PLENTY, cache)


def test_small_models_are_not_kept_unless_it_is_asked_for(cache: Cache, dense, monkeypatch) -> None:
    assert isinstance(chosen(dense, cache, None), Resident)
    assert not cache.folder.exists()
    assert isinstance(chosen(dense, cache, True), Mapped)
    cache.clear()
    monkeypatch.setattr(placement, "SMALL", 0)
    assert isinstance(chosen(dense, cache, False), Resident)
    assert isinstance(chosen(dense, cache, None), Mapped)
    assert cache.size(dense.path) > 0


def test_a_disk_without_plenty_of_room_is_left_alone(cache: Cache, dense, monkeypatch) -> None:
    monkeypatch.setattr(placement, "SMALL", 0)
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    found = chosen(dense, cache, None)
    assert isinstance(found, Resident) and found.note is None
    with pytest.raises(CapacityError, match="packed weights take"):
        chosen(dense, cache, True)


def test_what_cannot_be_kept_is_no_obstacle_unless_it_has_to_be(cache: Cache, dense, monkeypatch) -> None:
    monkeypatch.setattr(placement, "SMALL", 0)
    cache.folder.parent.write_text("a file where a folder should be")
    found = chosen(dense, cache, None)
    assert isinstance(found, Resident)
    assert found.note is not None and "packed at every start, as" in found.note and "--no-cache" in found.note
    with pytest.raises(ModelFileError, match="cannot be written"):
        chosen(dense, cache, True)


def test_experts_of_the_reference_are_decoded_as_they_are_used(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path))
    expected = gadfly.load(GROK, backend="reference", experts="resident").logits(IDS)
    llm = gadfly.load(GROK, backend="reference", experts="mapped")
    np.testing.assert_array_equal(llm.logits(IDS), expected)
    assert "decoded anew" in llm.notes[0]


def test_packed_weights_are_not_read_again(cache: Cache, dense, monkeypatch) -> None:
    chosen(dense, cache, True)
    monkeypatch.setattr(packed.PackedFile, "make", lambda *_: pytest.fail("packed again"))
    assert isinstance(chosen(dense, cache, True), Mapped)


@pytest.fixture
def gguf(tmp_path: Path) -> gadfly.weights.load.ModelFile:
    convert(GROK, tmp_path / "grok.gguf", Wanted("q8_0"), 1, Silent())
    return open_model(tmp_path / "grok.gguf")


def test_without_leave_or_room_experts_are_read_from_the_models_own_file(cache: Cache, gguf, monkeypatch) -> None:
    def note(experts: str | None, keep: bool | None) -> str:
        found = choose_placement(gguf, Native(1), experts, keep, 10**5, cache)
        assert isinstance(found, Streamed)
        return found._source.note

    assert note("streamed", None).startswith("The file")
    cache.clear()
    assert "--no-cache keeps no packed copy" in note("streamed", False)
    assert "--no-cache keeps no packed copy" in note(None, False)
    monkeypatch.setattr(placement, "UNASKED", 10**5)
    assert "nobody has allowed the 0.0 GB of disk" in note(None, None)
    assert cache.size() == 0
    monkeypatch.setattr(packed.shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    assert "GB free and packed weights take" in note("streamed", None)
    with pytest.raises(CapacityError, match="packed weights take"):
        choose_placement(gguf, Native(1), "streamed", True, 10**5, cache)  # who insists is not given something else
    with pytest.raises(CapacityError, match="packed weights take"):
        choose_placement(gguf, Native(1), "mapped", None, 10**5, cache)


def test_layers_are_streamed_where_memory_has_no_room(cache: Cache, dense) -> None:
    for keep in (None, True):
        assert isinstance(choose_placement(dense, Native(1), None, keep, 10**4, cache), Streamed)
        cache.clear()
    assert isinstance(choose_placement(dense, Native(1), "streamed", None, PLENTY, cache), Streamed)
    assert isinstance(choose_placement(dense, Native(1), "resident", None, 10**4, cache), Resident)
    assert isinstance(choose_placement(dense, Reference(), "streamed", None, 10**4, cache), Resident)
