"""Kernels for 64-bit ARM, which no machine of ours has: cross-compiled, and run under an emulator.

What they are compared with, and what with what, is in native/tests. It takes minutes to build.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EMULATOR = "qemu-aarch64-static"
TOOLS = ("make", "cmake", "aarch64-linux-gnu-g++", EMULATOR)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
]


@pytest.fixture(scope="module")
def report() -> str:
    made = subprocess.run(["make", "test-arm"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


@pytest.mark.parametrize("subject", ["attention", "encoding", "products", "rows"])
def test_results_are_those_of_portable_kernels_to_the_bit(report: str, subject: str) -> None:
    lines = [line for line in report.splitlines() if f"{subject}: " in line]
    assert len(lines) == 1
    same, of = (int(word) for word in lines[0].split() if word.isdigit())
    assert same == of > 0
    assert lines[0].endswith(" results of neon are those of portable")


@pytest.mark.usefixtures("report")
def test_a_processor_without_dot_products_has_portable_kernels() -> None:
    command = [EMULATOR, "-cpu", "cortex-a57", ROOT / "build" / "arm" / "rows_test"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.stdout == "rows: this processor executes portable kernels alone\n"
