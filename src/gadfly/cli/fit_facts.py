"""What programs read of `gadfly fit`: bytes, and tokens per second. Keys are added, never renamed."""

from typing import Any

from gadfly.evaluate.fit import cache_bytes_per_token
from gadfly.evaluate.fit_report import Report, Row, verdict
from gadfly.evaluate.machine import processor
from gadfly.hub.catalogue import Model
from gadfly.model.cost import Cost

__all__ = ["cache_sizes", "report_facts"]


def report_facts(told: Report, instead: Model | None) -> dict[str, Any]:
    """`instead` is the model that would fit better, if any."""
    candidate, machine, speeds = told.candidate, told.machine, told.machine.speeds
    cost = Cost.of(candidate.spec, candidate.tied)
    per_token = cache_bytes_per_token(candidate.spec)
    return {
        "model": candidate.name,
        "verdict": verdict(told),
        "runs": told.runs,
        "obstacle": candidate.obstacle,
        "here": candidate.here,
        "parameters": cost.parameters,
        "active_parameters": cost.matrix_parameters,
        "context": told.context,
        "cache_bytes_per_token": per_token,
        "cache_bytes": {str(n): per_token * n for n in cache_sizes(candidate.spec.context)},
        "download_bytes": told.download,
        "disk_bytes": told.disk,
        "published": row_facts(told.given),
        "chosen": row_facts(told.chosen) if told.chosen else None,
        "best": told.best.version.name if told.best else None,
        "precisions": [row_facts(row) for row in told.rows],
        "streamed": told.streamed
        and {
            "implemented": True,
            "precision": told.on_disk.version.name,
            "resident_share_of_experts": told.streamed.resident,
            "share_found_of_what_a_token_wants": told.streamed.found,
            "bytes_read_per_token": told.streamed.read_per_token,
            "prefill_tokens_per_s": told.streamed.prefill,
            "decode_tokens_per_s": told.streamed.decode,
            "sequences_together": told.streamed.many,
            "decode_tokens_per_s_together": told.streamed.decode_many,
        },
        "instead": instead.name if instead else None,
        "machine": {
            "processor": processor(),
            "memory_bytes": machine.memory.total,
            "available_bytes": machine.memory.available,
            "disk_free_bytes": machine.disk_free,
            "threads": speeds.threads if speeds else None,
            "read_bandwidth_bytes_per_s": speeds.read_bandwidth if speeds else None,
            "disk_bytes_per_s": speeds.disk if speeds else None,
            "kernels": {
                name: {"bytes_per_s": kernel.reads, "operations_per_s": kernel.computes}
                for name, kernel in (speeds.kernels.items() if speeds else ())
            },
        },
    }


def row_facts(row: Row) -> dict[str, Any]:
    fast = row.prediction
    return {
        "precision": row.version.name,
        "held_as": row.kernel,
        "file_bytes": row.version.file,
        "memory_bytes": row.needs.total,
        "weights_bytes": row.needs.weights,
        "cache_bytes": row.needs.cache,
        "activation_bytes": row.needs.activations,
        "fits": row.comfort,
        "prefill_tokens_per_s": fast.prefill if fast else None,
        "decode_tokens_per_s": fast.decode if fast else None,
        "prompt_tokens": fast.prompt if fast else None,
        "bound_by": fast.bound if fast else None,
    }


def cache_sizes(most: int) -> list[int]:
    """Contexts to say the size of the cache for; the last is all that the model was made for."""
    return [n for n in (2048, 8192) if n < most] + [most]
