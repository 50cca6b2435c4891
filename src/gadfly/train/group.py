"""Processes that train together, begun by torchrun: how they find each other, what they compute on, and who speaks.

One of them speaks for all. When one is gone, the others notice as soon as they need it, or after `PATIENCE` if its
whole machine is, and end; the first that has something to say about it says it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from gadfly.errors import CapacityError, GadflyError

__all__ = ["Group", "joined"]

PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True, eq=False)
class Group:
    """`rank` counts the processes from 0; each has a `device` of its own, or all compute on processors."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Until all are here."""
        dist.barrier()


@contextmanager
def joined() -> Iterator[Group | None]:
    """The processes that torchrun began, or None if this one was begun alone.

    Of errors inside, the first one of all processes is raised; the others end without a word.
    """
    if not dist.is_torchelastic_launched():
        yield None
        return
    store, rank, size = next(iter(rendezvous("env://", timeout=PATIENCE)))
    kind = torch.accelerator.current_accelerator()
    device = torch.device("cpu") if kind is None else torch.device(kind.type, int(os.environ["LOCAL_RANK"]))
    if kind is not None:
        torch.accelerator.set_device_index(device)
    dist.init_process_group(
        dist.get_default_backend_for_device(device), store=store, rank=rank, world_size=size, timeout=PATIENCE
    )
    try:
        yield Group(rank, size, device)
        dist.destroy_process_group()
    except (GadflyError, OSError, RuntimeError) as error:
        if not _speaks(store):
            raise SystemExit(2) from error
        if isinstance(error, RuntimeError):
            raise _explained(error) from error
        raise


def _speaks(store: Store) -> bool:
    """Whether nobody has spoken yet."""
    try:
        return bool(store.add("spoken", 1) == 1)
    except RuntimeError:  # it went away, too
        return True


def _explained(error: RuntimeError) -> Exception:
    """Gloo has no class of its own for a process that is gone."""
    if isinstance(error, dist.DistError) or "onnection" in str(error) or "imed out" in str(error):
        return CapacityError("another process of this run is gone; the same command goes on from the last checkpoint")
    return error
