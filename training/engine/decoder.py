"""A decoding loop for CPUs over merged, fused weights: two to three times as fast as `model.generate`.

It serves the common shape of decoder (Llama, SmolLM2, Qwen2, Qwen3, Mistral without sliding window): RMS norms, rotary
positions, grouped-query attention, a gated SiLU block. `Decoder.of` answers None for anything else, and also where its
logits on a probe differ from the model's own, so that an unknown detail of a model costs speed and never correctness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.fallbacks import SERVED

STATIC_ROPE = {"default", "linear", "llama3", "yarn"}


@dataclass
class Layer:
    norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    query_norm: Tensor | None
    key_norm: Tensor | None
    out: Tensor
    out_bias: Tensor | None
    mlp_norm: Tensor
    gate_up: Tensor
    down: Tensor


@dataclass
class Sequences:
    """Rows being decoded. `keys` and `values` are (layers, rows, heads, columns, head size); `visible` is (rows,
    columns), False where a column is padding; `position` the next position of each row."""

    keys: Tensor
    values: Tensor
    visible: Tensor
    position: Tensor
    used: int

    def keep(self, rows: Tensor) -> Sequences:
        return Sequences(
            self.keys.index_select(1, rows),
            self.values.index_select(1, rows),
            self.visible.index_select(0, rows),
            self.position.index_select(0, rows),
            self.used,
        )


class Decoder:
    def __init__(self, model: nn.Module) -> None:
        inner = plain_model(model)
        config = inner.config
        self.backbone = inner.model
        self.heads: int = config.num_attention_heads
        self.kv_heads: int = config.num_key_value_heads
        self.head_size: int = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.epsilon: float = config.rms_norm_eps
        self.vocabulary: int = config.vocab_size
        self.embedding = self.backbone.embed_tokens.weight
        self.dtype = self.embedding.dtype
        self.refresh(model)

    @classmethod
    def of(cls, model: nn.Module) -> Decoder | None:
        if not served(model):
            return None
        decoder = cls(model)
        return decoder if decoder.agrees_with(model) else None

    @torch.no_grad()
    def refresh(self, model: nn.Module) -> None:
        """Takes the weights, with the active adapter added in float32, as they are now."""
        inner = plain_model(model)
        self.layers = [fuse(layer) for layer in inner.model.layers]
        self.final_norm = inner.model.norm.weight.detach()
        self.head = merged(inner.get_output_embeddings())

    @torch.no_grad()
    def agrees_with(self, model: nn.Module) -> bool:
        """Compares the logits of the last of 24 tokens, eight of which go through the decoding step."""
        ids = (torch.arange(24)[None] * 37 + 5) % self.vocabulary
        was_training = model.training
        model.eval()
        expected = model(input_ids=ids, use_cache=False).logits[0, -1].float()
        model.train(was_training)
        state, logits = self.prefill([ids[0, :16].tolist()], [0], 8)
        for column in range(16, 24):
            logits = self.step(state, ids[:, column])
        difference = (logits[0].float() - expected).norm() / expected.norm()
        return bool(difference < (0.1 if self.dtype == torch.bfloat16 else 1e-3))

    @torch.no_grad()
    def prefill(self, prompts: list[list[int]], owner: list[int], room: int) -> tuple[Sequences, Tensor]:
        """Reads each of `prompts` once and returns the state and next-token logits of len(owner) rows, row i of which
        goes on from prompts[owner[i]], with `room` free columns. What all prompts begin with is read only once."""
        shared = common_prefix(prompts)
        width = max(len(prompt) for prompt in prompts) - shared
        columns = shared + width
        keys = self.embedding.new_zeros(len(self.layers), len(prompts), self.kv_heads, columns, self.head_size)
        values = torch.zeros_like(keys)
        if shared:
            head = torch.tensor([prompts[0][:shared]])
            self.forward(head, torch.arange(shared)[None], keys[:, :1], values[:, :1], 0, None)
            keys[:, 1:, :, :shared] = keys[:, :1, :, :shared]
            values[:, 1:, :, :shared] = values[:, :1, :, :shared]
        ids, visible = padded([prompt[shared:] for prompt in prompts], width)
        position = shared + (visible.cumsum(1) - 1).clamp(min=0)
        visible = torch.cat([torch.ones(len(prompts), shared, dtype=torch.bool), visible], dim=1)
        hidden = self.forward(ids, position, keys, values, shared, causal(visible, shared))
        logits = F.linear(hidden[:, -1], self.head)
        rows = torch.tensor(owner)
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        state = Sequences(
            grown(keys.index_select(1, rows), room),
            grown(values.index_select(1, rows), room),
            F.pad(visible.index_select(0, rows), (0, room), value=True),
            lengths.index_select(0, rows),
            columns,
        )
        return state, logits.index_select(0, rows)

    @torch.no_grad()
    def step(self, state: Sequences, tokens: Tensor) -> Tensor:
        """Appends one token to each row; returns the logits (rows, vocabulary) of the next."""
        mask = state.visible[:, None, None, : state.used + 1]
        hidden = self.forward(tokens[:, None], state.position[:, None], state.keys, state.values, state.used, mask)
        state.used += 1
        state.position = state.position + 1
        return F.linear(hidden[:, -1], self.head)

    def forward(
        self, ids: Tensor, position: Tensor, keys: Tensor, values: Tensor, start: int, mask: Tensor | None
    ) -> Tensor:
        hidden = F.embedding(ids, self.embedding)
        cos, sin = (part.unsqueeze(1) for part in self.backbone.rotary_emb(hidden, position_ids=position))
        for index, layer in enumerate(self.layers):
            attended = self.attention(
                layer, self.norm(hidden, layer.norm), cos, sin, keys[index], values[index], start, mask
            )
            hidden = hidden + F.linear(attended, layer.out, layer.out_bias)
            gate, up = F.linear(self.norm(hidden, layer.mlp_norm), layer.gate_up).chunk(2, dim=-1)
            hidden = hidden + F.linear(F.silu(gate) * up, layer.down)
        return self.norm(hidden, self.final_norm)

    def attention(
        self,
        layer: Layer,
        hidden: Tensor,
        cos: Tensor,
        sin: Tensor,
        keys: Tensor,
        values: Tensor,
        start: int,
        mask: Tensor | None,
    ) -> Tensor:
        rows, length, _ = hidden.shape
        parts = F.linear(hidden, layer.qkv, layer.qkv_bias).view(rows, length, -1, self.head_size)
        query, key, value = parts.split([self.heads, self.kv_heads, self.kv_heads], dim=2)
        if layer.query_norm is not None and layer.key_norm is not None:
            query, key = self.norm(query, layer.query_norm), self.norm(key, layer.key_norm)
        query, key = rotated(query.transpose(1, 2), cos, sin), rotated(key.transpose(1, 2), cos, sin)
        end = start + length
        keys[:, :, start:end] = key
        values[:, :, start:end] = value.transpose(1, 2)
        seen = keys[:, :, :end], values[:, :, :end]
        if length == 1:
            # The heads of a group share their keys: as the group's "sequence" they need no copies of them.
            grouped = query.reshape(rows, self.kv_heads, -1, self.head_size)
            answer = F.scaled_dot_product_attention(grouped, *seen, attn_mask=mask)
            return answer.reshape(rows, 1, -1)
        answer = F.scaled_dot_product_attention(query, *seen, attn_mask=mask, is_causal=mask is None, enable_gqa=True)
        return answer.transpose(1, 2).reshape(rows, length, -1)

    def norm(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(hidden, weight.shape, weight, self.epsilon)


def plain_model(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def served(model: nn.Module) -> bool:
    config = plain_model(model).config
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        config.model_type in SERVED
        and getattr(config, "hidden_act", "") == "silu"
        and not getattr(config, "mlp_bias", False)
        and not getattr(config, "use_sliding_window", False)
        and (config.model_type != "mistral" or getattr(config, "sliding_window", None) is None)
        and rope.get("rope_type", "default") in STATIC_ROPE
        and all(parameter.device.type == "cpu" for parameter in model.parameters())
        and not getattr(model, "is_loaded_in_4bit", False)
    )


def fuse(layer: Any) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    projections = [attention.q_proj, attention.k_proj, attention.v_proj]
    biases = [plain_layer(projection).bias for projection in projections]
    return Layer(
        norm=layer.input_layernorm.weight.detach(),
        qkv=torch.cat([merged(projection) for projection in projections]),
        qkv_bias=None if biases[0] is None else torch.cat([bias.detach() for bias in biases]),
        query_norm=weight_of(attention, "q_norm"),
        key_norm=weight_of(attention, "k_norm"),
        out=merged(attention.o_proj),
        out_bias=plain_layer(attention.o_proj).bias,
        mlp_norm=layer.post_attention_layernorm.weight.detach(),
        gate_up=torch.cat([merged(mlp.gate_proj), merged(mlp.up_proj)]),
        down=merged(mlp.down_proj),
    )


def plain_layer(module: Any) -> Any:
    return module.get_base_layer() if hasattr(module, "get_base_layer") else module


def weight_of(module: Any, name: str) -> Tensor | None:
    part = getattr(module, name, None)
    return None if part is None else part.weight.detach()


def merged(module: Any) -> Tensor:
    """The weight with the active adapters' updates added in float32: in bfloat16 small updates would vanish."""
    base = plain_layer(module).weight.detach()
    if base is getattr(module, "weight", None) or not hasattr(module, "active_adapters") or module.disable_adapters:
        return base
    names = [name for name in module.active_adapters if name in module.lora_A]
    if module.merged or not names:
        return base
    total = base.float()
    for name in names:
        total = total + module.get_delta_weight(name).detach().float()
        if module.use_dora.get(name):
            total = with_length(total, module.lora_magnitude_vector[name].weight.detach().float())
    return total.to(base.dtype)


def with_length(weight: Tensor, length: Tensor) -> Tensor:
    """DoRA: each row of `weight` with the length that was learned for it."""
    return weight * (length / weight.norm(dim=1))[:, None]


def rotated(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = states.shape[-1] // 2
    turned = torch.cat((-states[..., half:], states[..., :half]), dim=-1)
    return states * cos + turned * sin


def common_prefix(prompts: list[list[int]]) -> int:
    """How many first tokens all prompts share, leaving each at least one of its own."""
    limit = min(len(prompt) for prompt in prompts) - 1
    for index in range(limit):
        if any(prompt[index] != prompts[0][index] for prompt in prompts):
            return index
    return max(limit, 0)


def padded(rows: list[list[int]], width: int) -> tuple[Tensor, Tensor]:
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    visible = torch.zeros(len(rows), width, dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, width - len(row) :] = torch.tensor(row)
        visible[index, width - len(row) :] = True
    return ids, visible


def causal(visible: Tensor, start: int) -> Tensor:
    """(rows, 1, new columns, all columns): what each new column may look at. A padding column looks at itself, because
    a row of nothing but -inf is NaN after the softmax."""
    columns = visible.shape[1]
    order = torch.arange(columns)
    before = order[None, :] <= order[start:, None]
    itself = order[None, :] == order[start:, None]
    return (before[None] & visible[:, None, :] | itself[None])[:, None]


def grown(cache: Tensor, room: int) -> Tensor:
    return F.pad(cache, (0, 0, 0, room))
