"""What the session page draws: its tiles and charts. The template and the script both read this."""

import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from training.choices import Status
from training.schema import SessionConfig

PART_COLOURS = 8
# A reward may have more parts; more lines than this tell nothing, and series.MAX_KEYS is not far.
MOST_PART_LINES = 30


@dataclass(frozen=True)
class Tile:
    key: str
    title: str
    term: str
    meaning: str
    style: str = "number"
    # Which direction is good: "up", "down" or "" where neither is.
    good: str = ""


@dataclass(frozen=True)
class Line:
    key: str
    label: str
    colour: str = "accent"
    # A line whose `spread` column is drawn as a band of one standard deviation on each side.
    spread: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    id: str
    title: str
    meaning: str
    lines: list[Line]
    phase: str = Status.TRAINING
    style: str = "number"
    size: str = ""
    log: bool = False
    can_log: bool = False
    floor: float | None = None
    # Shown in place of a line that can't come, or under one that is flat by construction.
    note: str = ""
    keys: list[str] = field(init=False)

    def __post_init__(self) -> None:
        keys = [key for line in self.lines for key in (line.key, line.spread) if key]
        object.__setattr__(self, "keys", keys)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


TILES = [
    Tile("reward", "Reward", "reward", "Mean score of the step's answers.", good="up"),
    Tile("kl", "KL divergence", "kl", "Distance from the base model."),
    Tile("completions/mean_length", "Answer length", "token", "Mean tokens of an answer.", "tokens"),
    Tile("completions/clipped_ratio", "Cut off", "cut_off", "Answers that hit the token limit.", "percent", "down"),
    Tile("clip", "Clip reason", "clip_ratio", "Bound that held updates back.", "clip"),
    Tile("grad_norm", "Grad norm", "grad_norm", "Length of the update."),
    Tile("learning_rate", "Learning rate", "learning_rate", "Size of an update."),
    Tile("step_time", "Time per step", "step", "Answering, scoring and learning.", "seconds"),
]
CLIP_KEYS = ["clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean"]

ON_POLICY = "Flat at 0 with these settings: every batch of answers is trained on once, so nothing can drift far enough."
NO_SCORE = "Not measured: this session does not score while it trains."
NO_KL = "Not measured: the KL penalty of this session is 0."
UNCHECKED = "Not measured: this session does not check the format."
LOSS_NOTE = "GRPO's loss starts near 0 and need not fall. Whether the model learns shows in the reward."


def part_colours(names: Iterable[str]) -> dict[str, int]:
    """A colour from 1 to PART_COLOURS for each reward part, by its name: the same on every page and in every session.

    Two names that want the same colour get different ones as long as there are some left.
    """
    chosen: dict[str, int] = {}
    for name in sorted(set(names), key=lambda name: (zlib.crc32(name.encode()), name)):
        wanted = zlib.crc32(name.encode()) % PART_COLOURS
        free = [(wanted + shift) % PART_COLOURS + 1 for shift in range(PART_COLOURS)]
        chosen[name] = next((colour for colour in free if colour not in chosen.values()), free[0])
    return chosen


def reward_chart(parts: dict[str, int]) -> Chart:
    lines = [Line("reward", "Reward, mean ± std", spread="reward_std")]
    lines += [Line(f"rewards/{name}/mean", name, f"part-{colour}", dashed=True) for name, colour in parts.items()]
    lines = lines[: MOST_PART_LINES + 1]
    return Chart("reward", "Reward", "What the answers of each step scored, and each part of it.", lines, size="hero")


def charts(config: SessionConfig | None, parts: dict[str, int]) -> list[Chart]:
    """In the order of the page. `config` is None for a draft that is not valid yet."""
    once = config is not None and not config.reuses_answers
    no_kl = config is not None and config.grpo.kl_penalty == 0
    warm_up = config is None or config.pre_training.enabled
    found = [
        reward_chart(parts),
        Chart("validation", "Validation score", "Mean reward, and share of right answers, on questions that are never"
              " trained on.", [Line("eval_reward", "reward"), Line("eval_accuracy", "right", "quiet-2", dashed=True)],
              note=NO_SCORE if config is not None and config.evaluation.eval_steps is None else ""),
        Chart("kl", "KL divergence", "How far the model has moved from its base.", [Line("kl", "KL")],
              floor=0, note=NO_KL if no_kl else ""),
        Chart("length", "Answer length", "Tokens per answer: shortest, mean, longest.", style="tokens", floor=0, lines=[
            Line("completions/mean_length", "mean"),
            Line("completions/min_length", "min", "quiet-1", dashed=True),
            Line("completions/max_length", "max", "quiet-2", dashed=True),
        ]),
        Chart("loss", "Loss, GRPO", "What the optimiser lowers.", [Line("loss", "loss")], note=LOSS_NOTE),
        Chart("grad_norm", "Grad norm", "Length of each update before it is shortened.", [Line("grad_norm", "norm")],
              can_log=True),
        Chart("learning_rate", "Learning rate", "Size of an update: the schedule at work.",
              [Line("learning_rate", "rate")], can_log=True, style="exponent"),
        Chart("clip", "Policy clip ratio", "Share of tokens whose update was held back.", style="percent", floor=0,
              note=ON_POLICY if once else "", lines=[
            Line("clip_ratio/region_mean", "either bound"),
            Line("clip_ratio/low_mean", "low bound", "quiet-1", dashed=True),
            Line("clip_ratio/high_mean", "high bound", "quiet-2", dashed=True),
        ]),
        Chart("health", "Cut off and without signal", "Answers that hit the token limit; groups that all scored alike.",
              style="percent", floor=0, lines=[
            Line("completions/clipped_ratio", "answers cut off"),
            Line("frac_reward_zero_std", "groups without signal", "quiet-2", dashed=True),
        ]),
    ]  # fmt: skip
    return [*found, *(warm_up_charts(config) if warm_up else [])]


def warm_up_charts(config: SessionConfig | None) -> list[Chart]:
    checked = config is None or config.pre_training.validate_format
    return [
        Chart("sft_loss", "Loss, SFT warm-up", "Falls as the model picks up the answer format.",
              [Line("loss", "loss")], phase=Status.PRETRAINING),
        Chart("sft_format", "Right format, SFT warm-up", "Sampled answers with the right markers in the right order.",
              [Line("format_rate", "answers")], phase=Status.PRETRAINING, style="percent", floor=0,
              note="" if checked else UNCHECKED),
        Chart("sft_accuracy", "Right tokens, SFT warm-up", "Tokens of the expected answers that the model thought"
              " likeliest.", [Line("mean_token_accuracy", "tokens")], phase=Status.PRETRAINING, style="percent",
              floor=0),
    ]  # fmt: skip


SYSTEM_CHARTS = [
    Chart("cpu", "CPU", "All cores together.", [Line("cpu_percent", "CPU")], style="of100", floor=0),
    Chart("ram", "Memory", "Used by everything on the machine.", style="bytes", floor=0, lines=[
        Line("ram_used", "used"), Line("ram_total", "installed", "quiet-2", dashed=True)]),
    Chart("gpu", "GPU", "Share of time the GPU was busy.", [Line("gpu_utilization", "GPU")], style="of100", floor=0,
          note="No GPU on the machine that trains."),
    Chart("gpu_memory", "GPU memory", "Used on the card.", style="bytes", floor=0,
          note="No GPU on the machine that trains.", lines=[
        Line("gpu_memory", "used"), Line("gpu_memory_total", "installed", "quiet-2", dashed=True)]),
]  # fmt: skip
