"""Memory in control groups of both versions, on made-up machines."""

import os

from gadfly.hub.memory import memory_available, memory_here

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
LIMIT = MACHINE // 4


def files(root, texts):
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_without_groups_it_is_the_machines(tmp_path):
    assert memory_here(tmp_path) == memory_available(tmp_path) == MACHINE
    files(tmp_path, {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   1000 kB\n"})
    assert (memory_here(tmp_path), memory_available(tmp_path)) == (MACHINE, 1000 * 1024)


def test_a_group_of_version_two_limits_what_is_inside_it(tmp_path):
    files(
        tmp_path,
        {
            "proc/self/cgroup": "0::/users/ann\n",
            "sys/fs/cgroup/users/memory.max": f"{LIMIT}\n",
            "sys/fs/cgroup/users/memory.current": "5000000\n",
            "sys/fs/cgroup/users/memory.stat": "anon 1\ninactive_file 2000000\n",
            "sys/fs/cgroup/users/ann/memory.max": "max\n",
        },
    )
    assert (memory_here(tmp_path), memory_available(tmp_path)) == (LIMIT, LIMIT - 3000000)


def test_a_group_of_version_one(tmp_path):
    files(
        tmp_path,
        {
            "proc/self/cgroup": "5:devices:/x\n4:memory:/a/b\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096),
            "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": str(LIMIT),
            "sys/fs/cgroup/memory/a/b/memory.usage_in_bytes": str(LIMIT + 1),
        },
    )
    assert (memory_here(tmp_path), memory_available(tmp_path)) == (LIMIT, 0)


def test_a_container_that_sees_its_own_group_as_the_root(tmp_path):
    files(tmp_path, {"proc/self/cgroup": "0::/docker/123\n", "sys/fs/cgroup/memory.max": str(LIMIT)})
    assert memory_here(tmp_path) == LIMIT


def test_this_machine_has_memory():
    assert 10_000_000 < memory_available() <= memory_here()
