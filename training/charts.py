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
    # The tooltip is this entry of the glossary.
    term: str
    style: str = "number"
    # Which direction is good: "up", "down" or "" where neither is.
    good: str = ""


NOTHING_YET = "Nothing measured yet."


@dataclass(frozen=True)
class Line:
    key: str
    label: str
    colour: str = "accent"
    # A line whose `spread` column is drawn as a band of one standard deviation on each side.
    spread: str = ""
    # Columns that are the lower and the upper edge of a band.
    edges: tuple[str, str] | None = None
    dashed: bool = False
    # Taken only now and then: every value gets a point, and smoothing leaves it alone.
    sparse: bool = False


@dataclass(frozen=True)
class Chart:
    id: str
    title: str
    meaning: str
    lines: list[Line]
    phase: str = Status.TRAINING
    style: str = "number"
    size: str = ""
    # No logarithmic scale for what is a share or has values below 0 by its nature.
    can_log: bool = True
    floor: float | None = None
    # Shown in place of a line that can't come, or under one that is flat by construction.
    note: str = ""
    # Shown where nothing has come.
    empty: str = NOTHING_YET
    # The one that it is on.
    tab: str = "overview"
    keys: list[str] = field(init=False)

    def __post_init__(self) -> None:
        keys = [key for line in self.lines for key in (line.key, line.spread, *(line.edges or ())) if key]
        object.__setattr__(self, "keys", keys)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


TILES = [
    Tile("reward", "Reward", "reward_mean", good="up"),
    Tile("kl", "KL divergence", "kl"),
    Tile("completions/mean_length", "Completion length", "completion_length", "tokens"),
    Tile("completions/clipped_ratio", "Truncated", "truncated", "percent", "down"),
    Tile("clip_ratio/region_mean", "Policy clipping", "clip_ratio", "clip"),
    Tile("grad_norm", "Grad norm", "grad_norm"),
    Tile("learning_rate", "Learning rate", "learning_rate"),
    Tile("step_time", "Time per step", "step_time", "seconds"),
]
# Which bound held updates back: shown with the policy's clip ratio.
CLIP_REASON_KEYS = ["clip_ratio/low_mean", "clip_ratio/high_mean"]

ON_POLICY = "Flat at 0 with these settings: every batch of answers is trained on once, so nothing can drift far enough."
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
    grpo = [reward_chart(parts), HELD_OUT_CHART, kl_chart(config), LENGTH_CHART, LOSS_CHART]
    grpo += [clip_chart(config), HEALTH_CHART, GRAD_NORM_CHART, LEARNING_RATE_CHART, SIGNAL_CHART]
    return grpo + (warm_up_charts(config) if config is None or config.pre_training.enabled else [])


def warm_up_charts(config: SessionConfig | None) -> list[Chart]:
    checked = config is None or config.pre_training.validate_format
    return [
        Chart("sft_loss", "Loss, SFT warm-up", "Falls as the model picks up the answer format.",
              [Line("loss", "training"), VALIDATION], phase=Status.PRETRAINING),
        Chart("sft_format", "Right format, SFT warm-up", "Sampled answers with the right markers in the right order.",
              [Line("format_rate", "right markers", sparse=True)], phase=Status.PRETRAINING, style="percent", floor=0,
              can_log=False, empty=NOTHING_YET if checked else UNCHECKED),
        Chart("sft_accuracy", "Right tokens, SFT warm-up", "Tokens of the expected answers that the model thought"
              " likeliest.", [Line("mean_token_accuracy", "tokens")], phase=Status.PRETRAINING, style="percent",
              floor=0, can_log=False),
        learning_rate_chart("sft_learning_rate", Status.PRETRAINING),
    ]  # fmt: skip


def kl_chart(config: SessionConfig | None) -> Chart:
    note = NO_KL if config is not None and config.grpo.kl_penalty == 0 else ""
    return Chart("kl", "KL divergence", "How far the model has moved from its base.", [Line("kl", "KL")], floor=0,
                 note=note)  # fmt: skip


def clip_chart(config: SessionConfig | None) -> Chart:
    once = config is not None and not config.reuses_answers
    return Chart("clip", "Policy clip ratio", "Share of tokens whose update was held back by a bound.", style="percent",
                 floor=0, note=ON_POLICY if once else "", lines=[
        Line("clip_ratio/region_mean", "either bound"),
        Line("clip_ratio/low_mean", "min bound", "quiet-1", dashed=True),
        Line("clip_ratio/high_mean", "max bound", "quiet-2", dashed=True),
    ])  # fmt: skip


def learning_rate_chart(name: str, phase: str) -> Chart:
    return Chart(name, "Learning rate", "Size of an update: the schedule at work.", [Line("learning_rate", "rate")],
                 phase=phase, style="exponent")  # fmt: skip


VALIDATION = Line("eval_loss", "validation", "quiet-1", sparse=True)
HELD_OUT_CHART = Chart(
    "held_out", "Held-out score", "Score on questions that are not trained on, with its 95 % interval.",
    can_log=False, empty="No held-out question was answered yet.", lines=[
        Line("held_out/score", "during training", edges=("held_out/low", "held_out/high"), sparse=True),
        Line("test/score", "before and after", "quiet-2", edges=("test/low", "test/high"), dashed=True, sparse=True),
    ])  # fmt: skip
LENGTH_CHART = Chart(
    "length", "Completion length", "Tokens per answer: shortest, mean, longest.", style="tokens", floor=0, lines=[
        Line("completions/mean_length", "mean"),
        Line("completions/min_length", "min", "quiet-1", dashed=True),
        Line("completions/max_length", "max", "quiet-2", dashed=True),
    ])  # fmt: skip
LOSS_CHART = Chart("loss", "Loss, GRPO", "What the optimiser lowers; on validation rows, if there are some.",
                   [Line("loss", "training"), VALIDATION], note=LOSS_NOTE)  # fmt: skip
GRAD_NORM_CHART = Chart(
    "grad_norm", "Grad norm", "Length of each update before it is shortened.", [Line("grad_norm", "norm")]
)
LEARNING_RATE_CHART = learning_rate_chart("learning_rate", Status.TRAINING)
HEALTH_CHART = Chart(
    "health", "Truncated and without signal", "Answers that hit the token limit; groups that all scored alike.",
    style="percent", floor=0, lines=[
        Line("completions/clipped_ratio", "truncated answers"),
        Line("frac_reward_zero_std", "groups without signal", "quiet-2", dashed=True),
    ])  # fmt: skip

SIGNAL_CHART = Chart(
    "signal", "Groups of each step", "What the groups of answers to one question were good for.", style="number",
    floor=0, can_log=False, tab="signal", size="hero", empty="No step has counted its groups.", lines=[
        Line("signal/mixed", "taught something"),
        Line("signal/right", "all right", "part-3"),
        Line("signal/wrong", "all wrong", "part-6"),
        Line("signal/truncated", "all cut off", "part-1", dashed=True),
        Line("signal/errored", "not scored", "part-8", dashed=True),
    ])  # fmt: skip


NO_GPU = "No GPU on the machine that trains."
SYSTEM_CHARTS = [
    Chart("gpu", "GPU", "Share of time the GPU was busy.", [Line("gpu_utilization", "GPU")], style="of100", floor=0,
          can_log=False, empty=NO_GPU),
    Chart("gpu_memory", "GPU memory", "Used on the card, by everything that runs there.", style="bytes", floor=0,
          can_log=False, empty=NO_GPU, lines=[
        Line("gpu_memory", "used"), Line("gpu_memory_total", "installed", "quiet-2", dashed=True)]),
    Chart("cpu", "CPU", "All cores together.", [Line("cpu_percent", "CPU")], style="of100", floor=0, can_log=False),
    Chart("ram", "Memory", "Used by everything on the machine.", style="bytes", floor=0, can_log=False, lines=[
        Line("ram_used", "used"), Line("ram_total", "installed", "quiet-2", dashed=True)]),
    Chart("disk", "Disk", "Of the drive that holds the data folder.", style="bytes", floor=0, can_log=False, lines=[
        Line("disk_used", "used"), Line("disk_total", "size", "quiet-2", dashed=True)]),
]  # fmt: skip
