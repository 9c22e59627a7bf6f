"""What a session holds in memory at its worst moment, worked out from the model's architecture and the config.

The worst moment is the largest of: loading, answering a round, the warm-up's step, GRPO's step. docs/preflight.md has
the formulas in words; `python -m benchmarks.run preflight_memory` compares them with what is measured on a CPU. The
formulas for a GPU are the same without our own loop and without what a CPU's allocator keeps, and were not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.architecture import Architecture
from training.engine.loading import cpu_flags
from training.fallbacks import SERVED
from training.schema import SessionConfig

# Python with torch, transformers, TRL, PEFT and Django, before a model is loaded, and what the allocator keeps of
# what was freed; measured on a CPU.
RUNTIME = 640e6
RUNTIME_GPU = 0.6e9
FLOAT = 4
# head_logps of engine/logprobs.py works on this many rows of the vocabulary at a time.
HEAD_ROWS = 1024
# Copies of such a piece while its gradient is made: of the normaliser, its exponentials, their product with the
# gradient, the chosen scores and their sum, one of them in the weights' own type.
PIECES = 4.4
# Of the activations, and of a copy of the weights in the type of their file: what a CPU's allocator was given back
# and still holds when a step is at its largest. Fitted to the first eight rows of the benchmark.
KEPT_OF_ACTIVATIONS, KEPT_OF_FILE = 0.35, 1.0
# Copies of the scores that TRL's own pass holds in its backward pass, fitted to one row on a CPU; 3 by its code.
TRL_COPIES, TRL_COPIES_GPU = 8, 3
# Copies of the scores of one token that sampling holds at once.
SAMPLING_COPIES = 5


@dataclass(frozen=True)
class Situation:
    """`prompt_tokens` of the longest prompts. `half`: weights in 2 bytes. `sft_tokens`: of the longest warm-up row."""

    prompt_tokens: float
    on_gpu: bool = False
    half: bool = False
    sft_tokens: float | None = None


@dataclass(frozen=True)
class Line:
    label: str
    bytes: float


@dataclass(frozen=True)
class Estimate:
    """`lines` add up to `total`: what is held at the moment that `at` names."""

    at: str
    lines: list[Line]
    measured: bool

    @property
    def total(self) -> float:
        return sum(line.bytes for line in self.lines)


def estimate(model: Architecture, config: SessionConfig, where: Situation) -> Estimate:
    parts = Parts(model, config, where)
    moments = {
        "loading": parts.loading(),
        "answering": parts.answering(),
        "a step": parts.step(),
    }
    if config.pre_training.enabled:
        moments["the warm-up"] = parts.warm_up()
    at, lines = max(moments.items(), key=lambda moment: sum(moment[1].values()))
    held = {**parts.always(), **lines}
    return Estimate(at, [Line(label, size) for label, size in held.items() if size], measured=not where.on_gpu)


def half_here(config: SessionConfig, on_gpu: bool) -> bool:
    """As loading.half_precision finds with torch; a GPU is taken for one that computes in bfloat16."""
    if config.training.precision != "auto":
        return config.training.precision in ("bf16", "fp16") and (on_gpu or config.training.precision == "bf16")
    return on_gpu or bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


class Parts:
    """Bytes of each thing, and which of them are held together."""

    def __init__(self, model: Architecture, config: SessionConfig, where: Situation) -> None:
        self.model, self.config, self.where = model, config, where
        self.element = 2 if where.half else FLOAT
        self.adapter = model.adapter_parameters(config.model)
        self.own_loop = not where.on_gpu and model.model_type in SERVED
        self.shares = self.own_loop and not config.training.gradient_checkpointing and not self.needs_entropies
        self.rows = config.training.batch_size
        self.round = config.completions_per_generation
        self.new = config.training.max_new_tokens

    @property
    def needs_entropies(self) -> bool:
        return self.config.grpo.entropy_coef != 0.0 or self.config.grpo.top_entropy_quantile < 1.0

    def always(self) -> dict[str, float]:
        return {
            "Python and its libraries": RUNTIME_GPU if self.where.on_gpu else RUNTIME,
            "Weights": self.weights,
            "Adapter": FLOAT * self.adapter * (2 if self.config.grpo.kl_penalty else 1),
        }

    @property
    def weights(self) -> float:
        training = self.config.training
        if training.load_in_4bit or training.load_in_8bit:
            linear = self.model.linear_parameters
            each = 0.55 if training.load_in_4bit else 1.05
            return linear * each + (self.model.parameters - linear) * self.element
        return self.model.parameters * self.element

    def loading(self) -> dict[str, float]:
        """The file is read in place and converted: its pages count until they are dropped."""
        converts = self.model.file_bytes != self.model.parameters * self.element
        return {"The model's file": self.model.file_bytes if converts else 0}

    # Answering

    @property
    def merged(self) -> float:
        """Our loop's fused copy: layers that are joined are always copied, the others where an adapter is added."""
        if not self.own_loop:
            return 0
        names = {layer.name for layer in self.model.adapted(self.config.model)} | {
            "q_proj", "k_proj", "v_proj", "gate_proj", "up_proj",
        }  # fmt: skip
        return sum(layer.size for layer in self.model.linears if layer.name in names) * self.element

    def cache(self, rows: int) -> float:
        columns = self.where.prompt_tokens + self.new
        return 2 * self.model.layers * rows * columns * self.model.kv_heads * self.model.head_size * self.element

    def answering(self) -> dict[str, float]:
        """The fused copy is made anew before the old one goes. Finished rows are dropped by copying the others."""
        scores = SAMPLING_COPIES * self.round * self.model.vocabulary * FLOAT
        refreshed = {"Fused weights for answering": 2 * self.merged}
        running = {
            "Fused weights for answering": self.merged,
            "Keys and values": 1.75 * self.cache(self.round),
            "Scores of the next token": scores,
        }
        return max(refreshed, running, key=lambda held: sum(held.values()))

    # Learning

    def step(self) -> dict[str, float]:
        prompts = max(self.rows // self.config.grpo.num_generations, 1) if self.shares else self.rows
        tokens = self.rows * self.new + prompts * self.where.prompt_tokens
        columns = self.rows * (self.where.prompt_tokens + self.new)
        columns += prompts * self.where.prompt_tokens if self.shares else 0
        held = self.activations(tokens, columns)
        logits = self.logits(self.rows * self.new)
        if not self.shares:
            # TRL's pass divides by the temperature in a copy, and its gradient is a third.
            copies = TRL_COPIES_GPU if self.where.on_gpu else TRL_COPIES
            logits = copies * self.rows * (self.new + 1) * self.model.vocabulary * FLOAT
        return {
            "Fused weights for answering": self.merged,
            "Optimiser": 2 * FLOAT * self.adapter,
            "Gradients": FLOAT * self.adapter,
            "Activations": held,
            "Scores over the vocabulary": logits,
            "Given back, but kept by the allocator": self.kept_of(held),
        }

    def kept_of(self, activations: float) -> float:
        if self.where.on_gpu:
            return 0
        return KEPT_OF_ACTIVATIONS * activations + KEPT_OF_FILE * self.model.file_bytes

    def logits(self, tokens: float) -> float:
        """Kept of each token for the gradient, and the piece that is worked on."""
        return (tokens + PIECES * min(tokens, HEAD_ROWS)) * self.model.vocabulary * FLOAT

    def activations(self, tokens: float, columns: float) -> float:
        """What autograd keeps of a Llama's layers. `columns`: keys and values that the rows look at, expanded to all
        heads."""
        model = self.model
        attention = model.heads * model.head_size
        kept = (2 * attention + 3 * model.inner) * self.element + self.adapted_inputs + self.norms
        layer = tokens * kept + 2 * columns * attention * self.element
        if self.config.training.gradient_checkpointing:
            return model.layers * tokens * model.hidden * self.element + layer
        return model.layers * layer

    @property
    def norms(self) -> float:
        """Bytes a token and layer: the two norms work in 4 bytes, whatever the weights have."""
        return 2 * self.model.hidden * FLOAT

    @property
    def adapted_inputs(self) -> float:
        """Bytes a token and layer. Layers that read the same share it, but where each casts it for itself."""
        adapted = {layer.name: layer for layer in self.model.adapted(self.config.model)}
        rank = self.config.model.lora_rank * len(adapted) * self.element
        if self.where.half:
            return rank + sum(layer.inputs for layer in adapted.values()) * self.element
        same = {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}
        once = {same.get(name, name): layer.inputs for name, layer in adapted.items()}
        return rank + sum(once.values()) * self.element

    def warm_up(self) -> dict[str, float]:
        """All rows in one piece; scores of the answers only, a piece at a time."""
        section, length = self.config.pre_training, self.where.sft_tokens or self.where.prompt_tokens + self.new
        tokens = section.batch_size * length
        learned = section.batch_size * max(length - self.where.prompt_tokens, 1)
        held = self.activations(tokens, tokens)
        scores = self.model.vocabulary * FLOAT * (learned if self.where.on_gpu else 4 * min(learned, 256))
        return {
            "Optimiser": 2 * FLOAT * self.adapter,
            "Gradients": FLOAT * self.adapter,
            "Activations": held,
            "Scores over the vocabulary": scores,
            "Given back, but kept by the allocator": self.kept_of(held),
        }
