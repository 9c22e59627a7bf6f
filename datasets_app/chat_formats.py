"""How the families of models are spoken to: for models that are not on this machine, and to start a template from.

Each is the core of the family's own template (roles, no tools), without dates and other headers.
"""

from __future__ import annotations

from typing import NamedTuple


class Format(NamedTuple):
    title: str
    template: str
    specials: dict[str, str] = {}


CHATML = (
    "{% for message in messages %}\n"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}\n"
    "{%- endfor %}\n"
    "{% if add_generation_prompt %}\n"
    "{{ '<|im_start|>assistant\\n' }}\n"
    "{%- endif %}"
)
LLAMA3 = (
    "{{- bos_token }}\n"
    "{%- for message in messages %}\n"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}\n"
    "{{- message['content'] | trim + '<|eot_id|>' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n"
    "{%- endif %}"
)
PHI = (
    "{%- for message in messages %}\n"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "{{- '<|assistant|>' }}\n"
    "{%- endif %}"
)
PHI4 = (
    "{%- for message in messages %}\n"
    "{{- '<|im_start|>' + message['role'] + '<|im_sep|>' + message['content'] + '<|im_end|>' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "{{- '<|im_start|>assistant<|im_sep|>' }}\n"
    "{%- endif %}"
)
MISTRAL = (
    "{{- bos_token }}\n"
    "{%- set system = messages[0]['content'] + '\\n\\n' if messages[0]['role'] == 'system' else '' %}\n"
    "{%- for message in messages %}\n"
    "{%- if message['role'] == 'user' %}\n"
    "{{- '[INST] ' + (system if loop.last else '') + message['content'] + '[/INST]' }}\n"
    "{%- elif message['role'] == 'assistant' %}\n"
    "{{- ' ' + message['content'] + eos_token }}\n"
    "{%- endif %}\n"
    "{%- endfor %}"
)
GEMMA = (
    "{{- bos_token }}\n"
    "{%- if messages[0]['role'] == 'system' %}{{- raise_exception('System role not supported') }}{%- endif %}\n"
    "{%- for message in messages %}\n"
    "{%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}\n"
    "{{- '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "{{- '<start_of_turn>model\\n' }}\n"
    "{%- endif %}"
)

# The first one whose word is in a model's name.
FORMATS = {
    "phi-4-mini": Format("Phi", PHI),
    "phi-4": Format("Phi-4", PHI4),
    "phi": Format("Phi", PHI),
    "llama": Format("Llama 3", LLAMA3, {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}),
    "mistral": Format("Mistral", MISTRAL, {"bos_token": "<s>", "eos_token": "</s>"}),
    "gemma": Format("Gemma", GEMMA, {"bos_token": "<bos>", "eos_token": "<eos>"}),
    "qwen": Format("ChatML", CHATML, {"eos_token": "<|im_end|>"}),
    "smollm": Format("ChatML", CHATML, {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}),
}


def format_of(model: str) -> Format:
    """That of the model's family; ChatML, the commonest, where the name says nothing."""
    name = model.lower()
    return next((found for word, found in FORMATS.items() if word in name), FORMATS["qwen"])
