"""Made-up machines and the ways they hold formats, for the tests of `gadfly fit`."""

from gadfly.evaluate.fit import Held, Memory
from gadfly.evaluate.fit_report import Machine
from gadfly.evaluate.fit_speed import Kernel, Speeds
from gadfly.quant import FORMATS

GB = 10**9

# As if every format had a kernel that holds it as the file does, and as if only the old ones had.
OWN = {name: Held(name, known.block_bytes / known.block_size) for name, known in FORMATS.items()} | {
    "int8": Held("int8", 1.0625)
}
ROUNDED = {name: held if "K" not in name else OWN["Q8_0"] for name, held in OWN.items()}


def speeds(bandwidth: float, operations: float, disk: float | None = None) -> Speeds:
    kernels = {name: Kernel(bandwidth, operations) for name in OWN}
    return Speeds(8, bandwidth, kernels, 1e-5, 1e-10, 1e-12, 1e-12, disk)


LAPTOP = Machine(Memory(8 * GB, 6 * GB), 100 * GB, ROUNDED, speeds(20e9, 200e9, 2e9))
WORKSTATION = Machine(Memory(256 * GB, 250 * GB), 4000 * GB, OWN, speeds(60e9, 1000e9, 7e9))
