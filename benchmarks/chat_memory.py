"""Peak memory of a chat of ten turns within 2,048 tokens: what a person's first conversation costs.

    python benchmarks/chat_memory.py [MODEL]

Prints JSON: bytes of the file, peak resident bytes of the process (mapped files included), tokens, and the difference.
"""

import json
import sys

import gadfly
from gadfly.hub.memory import peak_memory

QUESTIONS = [
    "Why is the sky blue?",
    "And at sunset?",
    "What is a gadfly?",
    "Who was Socrates?",
    "Name three planets.",
    "What is 12 times 12?",
    "Tell me about whales.",
    "How do vaccines work?",
    "What rhymes with orange?",
    "Say goodbye.",
]


def main() -> None:
    llm = gadfly.load(sys.argv[1] if len(sys.argv) > 1 else "smollm2", context=2048)
    chat = llm.chat(seed=1, max_tokens=120)
    prompt = 0
    for question in QUESTIONS:
        usage = chat.send(question).completion.usage
        prompt = usage.prompt_tokens + usage.completion_tokens
    size = llm.path.stat().st_size
    print(
        json.dumps(
            {"file": size, "peak": peak_memory(), "tokens": prompt, "beyond_file_mb": (peak_memory() - size) / 1e6}
        )
    )


if __name__ == "__main__":
    main()
