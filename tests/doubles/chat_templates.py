"""Chat templates that write what those of well-known families write, with their control tokens."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Family:
    """What a model's tokenizer has to have for a template."""

    template: str
    """Chat template of the tokenizer."""
    special: list[str]
    """Control tokens; the last is the tokenizer's `eos_token`."""
    ends: list[str]
    """Tokens that end an answer: the template's, then `eos_token` where that is another."""
    added: list[str] = field(default_factory=list)
    """Tokens that are merely added, such as those of a think block."""
    begin: str | None = None
    """Token that the template writes as `bos_token`."""


# The model opens its think block itself, unless thinking is switched off.
_QWEN3 = """\
{%- for m in messages %}
{{- '<|im_start|>' + m.role + '\\n' }}
{%- if m.role == 'assistant' and m.reasoning_content is string %}
{{- '<think>\\n' + m.reasoning_content.strip('\\n') + '\\n</think>\\n\\n' }}
{%- endif %}
{{- m.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- endif %}
{%- endif %}"""
# A system message with a date, and trimmed messages after headers.
_LLAMA3 = """\
{{- bos_token }}
{%- if not date_string is defined %}
{%- set date_string = strftime_now('%d %b %Y') if strftime_now is defined else '26 Jul 2024' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\n' }}
{{- 'Today Date: ' + date_string + '\\n\\n<|eot_id|>' }}
{%- for m in messages %}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}"""
# A system message of the template's own.
_SMOLLM2 = """\
{%- for m in messages %}
{%- if loop.first and m.role != 'system' %}
{{- '<|im_start|>system\\nYou are a helpful AI assistant named SmolLM<|im_end|>\\n' }}
{%- endif %}
{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
# Another role than "assistant", roles that alternate, no system message.
_GEMMA = """\
{{- bos_token }}
{%- if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{%- endif %}
{%- for m in messages %}
{%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate') }}
{%- endif %}
{{- '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' }}
{{- m.content | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}"""
# Thinks always: the template opens the block, and leaves earlier thoughts out.
_R1 = """\
{{- bos_token }}
{%- for m in messages %}
{%- if m.role == 'user' %}{{- '<|User|>' + m.content }}{%- endif %}
{%- if m.role == 'assistant' %}
{{- '<|Assistant|>' + m.content.split('</think>')[-1] + '<|end_of_sentence|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|Assistant|><think>\\n' }}{%- endif %}"""
# Thinks in a channel, without a switch.
_CHANNELS = """\
{%- for m in messages %}
{%- if m.thinking %}
{{- '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking + '<|end|>' }}
{%- endif %}
{%- if m.role == 'assistant' %}
{{- '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|return|>' }}
{%- else %}
{{- '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}"""

FAMILIES = {
    "qwen3": Family(
        _QWEN3,
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        ["<|im_end|>"],
        ["<think>", "</think>"],
    ),
    "llama3": Family(
        _LLAMA3,
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        ["<|eot_id|>"],
        begin="<|begin_of_text|>",
    ),
    "smollm2": Family(_SMOLLM2, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["<|im_end|>"]),
    "gemma": Family(
        _GEMMA,
        ["<bos>", "<start_of_turn>", "<end_of_turn>", "<eos>"],
        ["<end_of_turn>", "<eos>"],
        begin="<bos>",
    ),
    "r1": Family(
        _R1,
        ["<|begin_of_sentence|>", "<|User|>", "<|Assistant|>", "<|end_of_sentence|>"],
        ["<|end_of_sentence|>"],
        ["<think>", "</think>"],
        begin="<|begin_of_sentence|>",
    ),
    "channels": Family(
        _CHANNELS,
        ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"],
        ["<|return|>"],
    ),
}
