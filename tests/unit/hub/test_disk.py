"""Locks of files: nobody waits for one without knowing why, and not for ever."""

import pytest

import gadfly.hub.disk as disk
from gadfly.errors import BusyError


def test_who_does_not_say_that_it_waits_is_told_after_a_while_that_it_cannot_have_a_lock(tmp_path, monkeypatch):
    path = tmp_path / "a.lock"
    with disk.lock(path):
        monkeypatch.setattr(disk, "PATIENCE", 0.1)
        with pytest.raises(BusyError, match=r"a\.lock has been locked for 0\.1 seconds"), disk.lock(path):
            pass
    with disk.lock(path):
        assert path.exists()
