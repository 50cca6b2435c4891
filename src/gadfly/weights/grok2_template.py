r"""How Grok-2 writes a conversation. Its release has no chat template; the servers that run it have this one in code.

    System: …<|separator|>\n\nHuman: …<|separator|>\n\nAssistant: …<|separator|>\n\nAssistant:

Other roles are dropped, and what the assistant said keeps its white space.
Source: sgl-project/sglang, srt/tokenizer/tiktoken_tokenizer.py; vllm-project/vllm, tokenizers/grok2.py.
"""

__all__ = ["GROK_2_TEMPLATE"]

GROK_2_TEMPLATE = r"""
{%- for message in messages %}
    {%- if message["role"] == "system" %}
        {{- "System: " ~ message["content"] | trim ~ "<|separator|>\n\n" }}
    {%- elif message["role"] == "user" %}
        {{- "Human: " ~ message["content"] | trim ~ "<|separator|>\n\n" }}
    {%- elif message["role"] == "assistant" %}
        {{- "Assistant: " ~ message["content"] ~ "<|separator|>\n\n" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "Assistant:" }}
{%- endif %}"""
