"""The other side of `training.py`: learns the same with PEFT or TRL, in a process that has those and no Gadfly."""

import argparse
import json
import math
import resource
import time
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import AutoModelForCausalLM

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TOGETHER = 4  # chats in a forward pass of the loop, of neighbouring lengths


def padded(samples: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, attention mask and labels, (chats, longest)."""
    longest = max(len(one["ids"]) for one in samples)
    ids, mask, targets = torch.zeros(3, len(samples), longest, dtype=torch.long)
    for row, one in enumerate(samples):
        length = len(one["ids"])
        ids[row, :length], mask[row, :length] = torch.tensor(one["ids"]), 1
        targets[row] = -100
        targets[row, :length] = torch.tensor(labels(one))
    return ids, mask, targets


def labels(sample: dict[str, Any]) -> list[int]:
    return [token if learnt else -100 for token, learnt in zip(sample["ids"], sample["learnt"], strict=True)]


def summed(model: Any, samples: list[dict[str, Any]]) -> torch.Tensor:
    ids, mask, targets = padded(samples)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    return functional.cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=-100, reduction="sum")


def count(samples: list[dict[str, Any]]) -> int:
    return sum(sum(one["learnt"]) for one in samples)


def parts(samples: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    ordered = sorted(samples, key=lambda one: len(one["ids"]))
    return [ordered[first : first + TOGETHER] for first in range(0, len(ordered), TOGETHER)]


def judged(model: Any, samples: list[dict[str, Any]]) -> float:
    model.eval()
    with torch.no_grad():
        loss = sum(float(summed(model, part)) for part in parts(samples)) / count(samples)
    model.train()
    return loss


def loop(model: Any, data: dict[str, Any]) -> None:
    plan = data["plan"]
    steps = [
        order[first : first + plan["batch"]] for order in data["order"] for first in range(0, len(order), plan["batch"])
    ]
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=plan["rate"], betas=(0.9, 0.99), weight_decay=0.0)
    rising = max(1, round(0.05 * len(steps)))
    for number, step in enumerate(steps):
        samples = [data["train"][index] for index in step]
        optimiser.zero_grad()
        for part in parts(samples):
            torch.autograd.backward(summed(model, part) / count(samples))
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        done = max(0, number - rising) / max(1, len(steps) - rising)
        rate = plan["rate"] * ((number + 1) / rising if number < rising else 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()


def shipped(model: Any, data: dict[str, Any], folder: Path) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    plan = data["plan"]
    rows = [data["train"][index] for order in data["order"] for index in order]
    table = [{"input_ids": one["ids"], "labels": labels(one)} for one in rows]
    config = SFTConfig(
        output_dir=str(folder / "trl"),
        num_train_epochs=1,
        gradient_accumulation_steps=plan["batch"] // 8,  # of its 8 at a time
        learning_rate=plan["rate"],
        bf16=False,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    trainer = SFTTrainer(model, args=config, train_dataset=Dataset.from_list(table), processing_class=tokenizer)
    trainer.train()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("subject", choices=("peft", "trl"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--worker", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    data = json.loads((given.worker / "data.json").read_text())
    if given.subject == "trl":  # more would take too long: two steps tell its speed
        data["order"] = [order[: data["plan"]["batch"]] for order in data["order"][:2]]
    rank = data["plan"]["rank"]
    base = AutoModelForCausalLM.from_pretrained(given.worker / "base", dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=LINEAR, task_type="CAUSAL_LM"))
    before = judged(model, data["valid"])
    wall, processor = time.monotonic(), time.process_time()
    if given.subject == "peft":
        loop(model, data)
    else:
        shipped(model, data, given.worker)
    wall, processor = time.monotonic() - wall, time.process_time() - processor
    found = {
        "tokens": sum(len(data["train"][index]["ids"]) - 1 for order in data["order"] for index in order),
        "wall": wall,
        "processor": processor,
        "before": before,
        "after": judged(model, data["valid"]),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(found))


main()
