"""gadfly inspect: what is inside a model's files, whether Gadfly runs them or not."""

import json
import os
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gadfly.hub.progress import size_text

if TYPE_CHECKING:
    from gadfly.weights.contents import Contents
    from gadfly.weights.model_file import ModelFile

__all__ = ["command"]

MANY = 8  # files: more are counted instead of listed


@click.command("inspect")
@click.argument("model")
@click.option("--tensors", is_flag=True, help="List every tensor.")
@click.option("--template", is_flag=True, help="Print the chat template and nothing else.")
@click.option("--no-digest", is_flag=True, help="Do not read the files as a whole for their checksums.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(model: str, tensors: bool, template: bool, no_digest: bool, as_json: bool) -> None:
    """Show the spec, tensors, licence, template and digest of a model: a name that is here, a .gguf file or a folder.

    \b
    gadfly inspect smollm2
    gadfly inspect ./some-model.gguf --tensors
    gadfly inspect ./grok-1 --no-digest
    gadfly inspect smollm2 --json --no-digest
    """
    from gadfly.errors import GadflyError, NotFoundError
    from gadfly.hub.library import Library
    from gadfly.settings import home
    from gadfly.weights.contents import read_contents
    from gadfly.weights.load import open_model

    path = Library(home()).resolve(model)
    if path is None:
        raise NotFoundError(f"there is no model {model!r} here; see `gadfly list`, or give a path")
    contents = read_contents(path)
    opened: ModelFile | str
    try:
        opened = open_model(path)
        contents = replace(contents, metadata=opened.metadata, tokenizer=opened.tokenizer or contents.tokenizer)
    except GadflyError as error:
        opened = str(error)
    if template:
        click.echo(contents.metadata.get("tokenizer.chat_template", ""))
        return
    facts = describe(contents, opened, digest=not no_digest)
    if not tensors:
        del facts["tensors"]
    click.echo(json.dumps(facts, indent=2) if as_json else "\n".join(lines(facts)))


def describe(contents: "Contents", opened: "ModelFile | str", digest: bool) -> dict[str, Any]:
    """Everything, as JSON can hold it. "runs" is true, or says why not, as `opened` does."""
    formats = Counter(tensor.format for tensor in contents.tensors.values())
    sizes: Counter[str] = Counter()
    for tensor in contents.tensors.values():
        sizes[tensor.format] += tensor.size
    tokenizer, problem = tokenizer_facts(contents)
    return {
        "files": [str(file) for file in contents.files],
        "size": sum(file.stat().st_size for file in contents.files),
        "sha256": [sha256(file) for file in contents.files] if digest else None,
        "name": contents.metadata.get("general.name"),
        "architecture": contents.architecture,
        "licence": contents.metadata.get("general.license"),
        **spec_facts(opened, problem),
        "formats": {name: {"tensors": count, "size": sizes[name]} for name, count in formats.most_common()},
        "tokenizer": tokenizer,
        "chat_template": "tokenizer.chat_template" in contents.metadata,
        "tensors": {name: [tensor.format, list(tensor.shape)] for name, tensor in contents.tensors.items()},
    }


def spec_facts(opened: "ModelFile | str", problem: str | None) -> dict[str, Any]:
    """`problem`: what else there is that keeps it from running."""
    from gadfly.model.cost import Cost

    if isinstance(opened, str):
        return {"runs": opened, "spec": None}
    cost = Cost.of(opened.spec, tied=opened.weights["output"] is opened.weights["embedding"])
    spec = asdict(opened.spec)
    blocks = spec.pop("blocks")
    kinds = [block for i, block in enumerate(blocks) if block not in blocks[:i]]
    return {
        "runs": problem or True,
        "spec": {**spec, "layers": len(blocks), "blocks": kinds},
        "cost": asdict(cost),
    }


def tokenizer_facts(contents: "Contents") -> tuple[dict[str, Any] | None, str | None]:
    """And what is wrong with it. In a GGUF file "kind" is what it calls the tokenizer, else the name of its file."""
    from gadfly.errors import GadflyError
    from gadfly.text import Tokenizer

    kind = contents.metadata.get("tokenizer.ggml.model")
    if isinstance(kind, str):
        tokens = contents.metadata.get("tokenizer.ggml.tokens")
        count = len(tokens) if isinstance(tokens, list) else 0
        return {"kind": kind, "pre": contents.metadata.get("tokenizer.ggml.pre"), "tokens": count}, None
    if contents.tokenizer is None:
        return None, None
    facts = {"kind": contents.tokenizer.name, "pre": None, "tokens": 0}
    try:
        return {**facts, "tokens": Tokenizer.from_file(contents.tokenizer).vocab_size}, None
    except GadflyError as error:
        return facts, str(error)


def sha256(path: Path) -> str:
    from hashlib import file_digest

    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def lines(facts: dict[str, Any]) -> list[str]:
    """What a person reads."""
    files, digests = facts["files"], facts["sha256"] or ()
    many = len(files) > MANY
    if many:
        shown = [f"{'files':<14}{len(files)} in {os.path.commonpath(files)}"]
    else:
        shown = [f"{'file':<14}{file}" for file in files]
        shown += [f"{'sha256':<14}{digest}" for digest in digests]
    shown.append(f"{'size':<14}{size_text(facts['size'])}")
    for key in ("name", "architecture", "licence"):
        shown.append(f"{key:<14}{facts[key] if facts[key] is not None else 'not stated'}")
    shown.append(f"{'runs':<14}{'yes' if facts['runs'] is True else 'no: ' + facts['runs']}")
    if facts["spec"]:
        shown += spec_lines(facts["spec"], facts["cost"])
    for name, row in facts["formats"].items():
        shown.append(f"{'tensors':<14}{row['tensors']} in {name}, {size_text(row['size'])}")
    if tokenizer := facts["tokenizer"]:
        kind = " ".join(filter(None, (tokenizer["kind"], tokenizer["pre"])))
        shown.append(f"{'tokenizer':<14}{kind}, {tokenizer['tokens']:,} tokens")
    shown.append(f"{'template':<14}{'yes; see --template' if facts['chat_template'] else 'none: it continues text'}")
    if many:
        shown += [f"{digest}  {file}" for digest, file in zip(digests, files, strict=False)]
    tensors = facts.get("tensors", {})
    width = max(map(len, tensors), default=0)
    return shown + [f"  {name:<{width}} {kind:<7} {shape}" for name, (kind, shape) in tensors.items()]


def spec_lines(spec: dict[str, Any], cost: dict[str, int]) -> list[str]:
    mixer, ffn = spec["blocks"][0]["mixer"], spec["blocks"][0]["ffn"]
    parts = [ffn["dense"], ffn["moe"]] if "moe" in ffn else [ffn]
    mixed = any("experts" in part for part in parts)
    active = f", of which a token meets {cost['active_parameters']:,}" if mixed else ""
    return [
        f"{'parameters':<14}{cost['parameters']:,}{active}",
        f"{'layers':<14}{spec['layers']} of width {spec['dim']}, {' and '.join(map(feed_text, parts))}",
        f"{'attention':<14}{mixer['heads']} heads of {mixer['head_dim']}, {mixer['kv_heads']} for keys and values",
        f"{'context':<14}{spec['context']:,} tokens, {2 * cost['kv_values_per_token']:,} bytes of cache each",
    ]


def feed_text(ffn: dict[str, Any]) -> str:
    if "experts" in ffn:
        return f"{ffn['experts']} experts of {ffn['hidden']}, {ffn['selected']} for each token"
    return f"feed-forward {ffn['hidden']}"
