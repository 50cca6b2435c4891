"""Freed memory is given back; in a process of its own, as the limit of arenas holds for all of it."""

import gc
import subprocess
import sys

import pytest

from gadfly.allocator import give_back

FREED = """
import re, threading
from pathlib import Path
from gadfly.allocator import give_back, share_arenas

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024  # MiB

assert share_arenas()
kept = []
def fill():
    many = [bytearray(60_000) for _ in range(400)]  # too small for pages of their own
    kept.append(bytearray(60_000))  # above them, so that they do not go back by themselves
threads = [threading.Thread(target=fill) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
before = resident()
assert give_back()
print(before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own")
def test_what_threads_have_freed_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 5


def test_giving_back_leaves_nothing_behind() -> None:
    give_back()
    gc.collect()
    for _ in range(10):
        give_back()
    assert gc.collect() < 10
