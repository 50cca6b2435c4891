"""This machine's disk: that reading it is bounded, and leaves nothing behind."""

from gadfly.evaluate import machine


def test_a_disk_is_read_past_the_cache_and_left_as_it_was(tmp_path):
    (tmp_path / "model.gguf").write_bytes(bytes(2**23))
    for folder in (tmp_path, tmp_path / "not" / "there"):
        found = machine.disk_bandwidth(folder, 2**24, seconds=0.2)
        assert found is None or found > 0  # None: a file system without direct reads
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]


def test_a_disk_that_refuses_is_not_guessed_at(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(machine.os, "open", refuse)
    (tmp_path / "model.gguf").write_bytes(bytes(2**22))
    assert machine.disk_bandwidth(tmp_path, 2**22) is None
