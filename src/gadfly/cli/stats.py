"""What an answer cost, in one line."""

from gadfly.completion import Usage

__all__ = ["stats_text"]


def stats_text(usage: Usage) -> str:
    """ "42 tokens, 61.3 tokens/s; prompt 180 tokens, 150 of them cached, 0.21 s" """
    answer = f"{usage.completion_tokens} tokens"
    if usage.decode_seconds > 0:
        answer += f", {usage.completion_tokens / usage.decode_seconds:.1f} tokens/s"
    prompt = f"prompt {usage.prompt_tokens} tokens"
    if usage.cached_tokens:
        prompt += f", {usage.cached_tokens} of them cached"
    return f"{answer}; {prompt}, {usage.prefill_seconds:.2f} s"
