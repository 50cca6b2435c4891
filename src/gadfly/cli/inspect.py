"""gadfly inspect: what is inside a model file, whether Gadfly runs it or not."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gadfly.hub.progress import size_text

if TYPE_CHECKING:
    from gadfly.weights.gguf import GGUF

__all__ = ["command"]


@click.command("inspect")
@click.argument("model")
@click.option("--tensors", is_flag=True, help="List every tensor.")
@click.option("--template", is_flag=True, help="Print the chat template and nothing else.")
@click.option("--no-digest", is_flag=True, help="Do not read the whole file for its checksum.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(model: str, tensors: bool, template: bool, no_digest: bool, as_json: bool) -> None:
    """Show the spec, tensors, licence, template and digest of a model: a name that is here, or a .gguf file.

    \b
    gadfly inspect smollm2
    gadfly inspect ./some-model.gguf --tensors
    gadfly inspect smollm2 --json --no-digest
    """
    from gadfly.errors import NotFoundError
    from gadfly.hub.library import Library
    from gadfly.settings import home
    from gadfly.weights.gguf import GGUF

    path = Library(home()).resolve(model)
    if path is None:
        raise NotFoundError(f"there is no model {model!r} here; see `gadfly list`, or give the path of a .gguf file")
    with GGUF.open(path) as gguf:
        if template:
            click.echo(gguf.metadata.get("tokenizer.chat_template", ""))
            return
        facts = describe(gguf, path, digest=not no_digest)
        if not tensors:
            del facts["tensors"]
    click.echo(json.dumps(facts, indent=2) if as_json else "\n".join(lines(facts)))


def describe(gguf: "GGUF", path: Path, digest: bool) -> dict[str, Any]:
    """Everything, as JSON can hold it. "runs" is true, or says why not."""
    formats = Counter(tensor.format for tensor in gguf.tensors.values())
    sizes: Counter[str] = Counter()
    for tensor in gguf.tensors.values():
        sizes[tensor.format] += tensor.size
    return {
        "files": [str(part) for part in gguf.paths],
        "size": sum(part.stat().st_size for part in gguf.paths),
        "sha256": [sha256(part) for part in gguf.paths] if digest else None,
        "name": gguf.metadata.get("general.name"),
        "architecture": gguf.metadata.get("general.architecture"),
        "licence": gguf.metadata.get("general.license"),
        **spec_facts(path),
        "formats": {name: {"tensors": count, "size": sizes[name]} for name, count in formats.most_common()},
        "tokenizer": tokenizer_facts(gguf),
        "chat_template": "tokenizer.chat_template" in gguf.metadata,
        "tensors": {name: [tensor.format, list(tensor.shape)] for name, tensor in gguf.tensors.items()},
    }


def spec_facts(path: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from gadfly.errors import GadflyError
    from gadfly.model.cost import Cost
    from gadfly.weights.load import open_model

    try:
        file = open_model(path)
    except GadflyError as error:
        return {"runs": str(error), "spec": None}
    tied = file.weights["output"] is file.weights["embedding"]
    spec = asdict(file.spec)
    blocks = spec.pop("blocks")
    kinds = [block for i, block in enumerate(blocks) if block not in blocks[:i]]
    return {
        "runs": True,
        "spec": {**spec, "layers": len(blocks), "blocks": kinds},
        "cost": asdict(Cost.of(file.spec, tied)),
    }


def tokenizer_facts(gguf: "GGUF") -> dict[str, Any] | None:
    kind = gguf.metadata.get("tokenizer.ggml.model")
    if not isinstance(kind, str):
        return None
    tokens = gguf.metadata.get("tokenizer.ggml.tokens")
    return {
        "kind": kind,
        "pre": gguf.metadata.get("tokenizer.ggml.pre"),
        "tokens": len(tokens) if isinstance(tokens, list) else 0,
    }


def sha256(path: Path) -> str:
    from hashlib import file_digest

    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def lines(facts: dict[str, Any]) -> list[str]:
    """What a person reads."""
    shown = [f"{'file':<14}{file}" for file in facts["files"]]
    shown += [f"{'sha256':<14}{digest}" for digest in facts["sha256"] or ()]
    shown.append(f"{'size':<14}{size_text(facts['size'])}")
    for key in ("name", "architecture", "licence"):
        shown.append(f"{key:<14}{facts[key] if facts[key] is not None else 'not stated'}")
    shown.append(f"{'runs':<14}{'yes' if facts['runs'] is True else 'no: ' + facts['runs']}")
    if facts["spec"]:
        shown += spec_lines(facts["spec"], facts["cost"])
    for name, row in facts["formats"].items():
        shown.append(f"{'tensors':<14}{row['tensors']} in {name}, {size_text(row['size'])}")
    if tokenizer := facts["tokenizer"]:
        shown.append(f"{'tokenizer':<14}{tokenizer['kind']} {tokenizer['pre'] or ''}, {tokenizer['tokens']:,} tokens")
    shown.append(f"{'template':<14}{'yes; see --template' if facts['chat_template'] else 'none: it continues text'}")
    shown += [f"  {name:<40} {kind:<7} {shape}" for name, (kind, shape) in facts.get("tensors", {}).items()]
    return shown


def spec_lines(spec: dict[str, Any], cost: dict[str, int]) -> list[str]:
    mixer, ffn = spec["blocks"][0]["mixer"], spec["blocks"][0]["ffn"]
    return [
        f"{'parameters':<14}{cost['parameters']:,}",
        f"{'layers':<14}{spec['layers']} of width {spec['dim']}, feed-forward {ffn['hidden']}",
        f"{'attention':<14}{mixer['heads']} heads of {mixer['head_dim']}, {mixer['kv_heads']} for keys and values",
        f"{'context':<14}{spec['context']:,} tokens, {2 * cost['kv_values_per_token']:,} bytes of cache each",
    ]
