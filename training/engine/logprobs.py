"""Log-probabilities of completions with each prompt read once, however many completions it has.

TRL reads the prompt again for every completion of its group, and runs the language head over padding. Here the prompt's
keys and values are computed once, with gradient, and shared by its rows: for 8 answers of 40 tokens to a prompt of 100
that is a third of the work. The numbers are TRL's (tests compare values and gradients).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

Logps = tuple[Tensor, Tensor | None]
HEAD_ROWS = 1024


def can_share_prompts(model: Any, gradient_checkpointing: bool) -> bool:
    """On a CPU, for a LoRA model with an ordinary growing cache and a plain language head."""
    if gradient_checkpointing or not hasattr(model, "get_base_model"):
        return False
    inner = model.get_base_model()
    layers = DynamicCache(config=inner.config).layers
    return (
        all(parameter.device.type == "cpu" for parameter in model.parameters())
        and all(type(layer) is DynamicLayer for layer in layers)
        and not isinstance(inner.get_output_embeddings(), BaseTunerLayer)
        and not any(getattr(inner.config, name, None) for name in ("final_logit_softcapping", "logit_scale"))
        and not hasattr(inner.config, "output_router_logits")
    )


def shared_prompt_logps(
    model: Any, temperature: float, prompt: Tensor, prompt_mask: Tensor, completion: Tensor, completion_mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies, each (rows, completion length), 0 where `completion_mask` is 0. Prompts are
    padded on the left, completions on the right."""
    inner = model.get_base_model()
    first, rest = hidden_states(inner, prompt, prompt_mask, completion, completion_mask)
    hidden = first[:, None] if rest is None else torch.cat([first[:, None], rest], dim=1)
    visible = completion_mask.bool()
    parts = [
        head_logps(inner, states, targets, temperature)
        for states, targets in zip(hidden[visible].split(HEAD_ROWS), completion[visible].split(HEAD_ROWS), strict=True)
    ]
    if not parts:
        nothing = hidden.sum(-1).float() * 0
        return nothing, nothing.detach()
    logps, entropies = (torch.cat(column) for column in zip(*parts, strict=True))
    empty = logps.new_zeros(visible.shape)
    return empty.masked_scatter(visible, logps), empty.masked_scatter(visible, entropies)


def hidden_states(
    inner: Any, prompt: Tensor, prompt_mask: Tensor, completion: Tensor, completion_mask: Tensor
) -> tuple[Tensor, Tensor | None]:
    """States that predict the first token of each completion (rows, size), and the further ones (rows, length - 1,
    size), or None if completions are one token long."""
    both, owner = torch.unique(torch.stack([prompt, prompt_mask], dim=1), dim=0, return_inverse=True)
    unique, unique_mask = both[:, 0], both[:, 1]
    start = int(unique_mask.any(0).int().argmax())
    unique, unique_mask = unique[:, start:], unique_mask[:, start:]
    cache = DynamicCache(config=inner.config)
    read = inner.base_model(
        input_ids=unique,
        attention_mask=unique_mask,
        position_ids=(unique_mask.cumsum(1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    if completion.shape[1] == 1:
        return read[owner, -1], None
    cache.batch_select_indices(owner)
    lengths = unique_mask.sum(1)[owner]
    tail = completion.shape[1] - 1
    rest = inner.base_model(
        input_ids=completion[:, :-1],
        attention_mask=torch.cat([unique_mask[owner], completion_mask[:, :-1]], dim=1),
        position_ids=lengths[:, None] + torch.arange(tail)[None],
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    return read[owner, -1], rest


def head_logps(inner: Any, hidden: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    head = inner.get_output_embeddings()
    logits = F.linear(hidden.to(head.weight.dtype), head.weight, head.bias).float() / temperature
    norm = logits.logsumexp(-1)
    logps = logits.gather(1, targets[:, None])[:, 0] - norm
    with torch.no_grad():
        probabilities = (logits - norm[:, None]).exp()
        entropies = norm - (probabilities * logits).sum(-1)
    return logps, entropies
