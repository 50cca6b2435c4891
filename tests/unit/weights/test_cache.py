"""The folder of packed weights: whose they are, what has to go, and that nothing in it is believed."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from gadfly.weights import cache as cache_module
from gadfly.weights.cache import HEADER, Cache, header


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "home")


def model(folder: Path, name: str) -> Path:
    path = folder / f"{name}.gguf"
    path.write_bytes(b"a model")
    return path


def keep(cache: Cache, path: Path, size: int, used: int) -> Path:
    file = cache.file(path)
    file.parent.mkdir(parents=True)
    file.write_bytes(header(bytes(32), path).ljust(size, b"x"))
    os.utime(file, (used, used))
    return file


def names(cache: Cache) -> list[str]:
    return [entry.model.stem for entry in cache.entries() if entry.model]


def test_an_empty_cache(cache: Cache) -> None:
    assert cache.entries() == [] and cache.size() == 0
    cache.clear()
    cache.sweep()
    cache.remove(Path("nowhere.gguf"))
    assert not cache.folder.exists()


def test_each_path_has_a_place_of_its_own(cache: Cache, tmp_path: Path) -> None:
    one, other = model(tmp_path, "one"), tmp_path / "link.gguf"
    other.symlink_to(one)
    assert cache.file(one) == cache.file(other)  # which is where it leads
    assert cache.file(one) != cache.file(tmp_path / "folder" / "one.gguf")


def test_what_is_here_and_whose_it_is(cache: Cache, tmp_path: Path) -> None:
    one, two = model(tmp_path, "one"), model(tmp_path, "two")
    keep(cache, one, 10_000, used=1000)
    (keep(cache, two, 20_000, used=2000).with_name(".packed.left")).write_bytes(bytes(5))
    assert names(cache) == ["two", "one"]
    assert [cache.size(one), cache.size(two), cache.size()] == [10_000, 20_005, 30_005]
    cache.remove(two)
    assert names(cache) == ["one"]
    cache.clear()
    assert cache.entries() == []


@pytest.mark.parametrize("damage", [b"", b"gadfly", bytes(HEADER), b"gadfly packed weights 1\n", None])
def test_nobody_knows_whose_a_damaged_file_is(cache: Cache, tmp_path: Path, damage: bytes | None) -> None:
    file = keep(cache, model(tmp_path, "one"), 10_000, used=1000)
    if damage is None:
        file.write_bytes(file.read_bytes().replace(b"one.gguf", b"one\0gguf"))
    else:
        file.write_bytes(damage)
    (entry,) = cache.entries()
    assert entry.model is None
    cache.sweep()
    assert cache.entries() == []


def test_what_belongs_to_a_model_that_is_gone_is_swept(cache: Cache, tmp_path: Path) -> None:
    one, two = model(tmp_path, "one"), model(tmp_path, "two")
    keep(cache, one, 10_000, used=1000)
    keep(cache, two, 10_000, used=2000)
    two.unlink()
    cache.sweep()
    assert names(cache) == ["one"]


def test_room_is_made_by_who_was_not_used_for_longest(cache: Cache, tmp_path: Path, monkeypatch) -> None:
    paths = [model(tmp_path, name) for name in ("a", "b", "c", "d")]
    for i, path in enumerate(paths[:3]):
        keep(cache, path, 100_000, used=1000 + i)
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=900_000))
    assert not cache.make_room(paths[3], 300_001)  # a quarter of 900,000 + 300,000
    assert names(cache) == ["c", "b", "a"]
    assert cache.make_room(paths[3], 100_000)
    assert names(cache) == ["c", "b"]
    assert cache.make_room(paths[3], 250_000)
    assert names(cache) == []


def test_a_model_that_is_packed_anew_does_not_count_twice(cache: Cache, tmp_path: Path, monkeypatch) -> None:
    path = model(tmp_path, "a")
    keep(cache, path, 100_000, used=1000)
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=300_000))
    assert cache.make_room(path, 100_000)
    assert names(cache) == ["a"]
