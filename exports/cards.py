"""The model card beside an exported adapter or model."""

from __future__ import annotations

import json
from typing import Any

from evaluation.report import Report, before_after, percent
from training.models import CatalogueModel, Session


def card(session: Session, *, merged: bool) -> str:
    config = session.parsed_config
    base = config.model.name
    return "\n".join(
        [
            "---",
            f"base_model: {json.dumps(base)}",
            f"library_name: {'transformers' if merged else 'peft'}",
            *_licence(base),
            "tags: [grpo, lora, trl]",
            "---",
            "",
            f"# {_one_line(session.name)}",
            "",
            "Trained with LoRA Craft: GRPO with a LoRA adapter"
            + (", merged into its base model." if merged else ". Load it on top of its base model."),
            "",
            "| | |",
            "|---|---|",
            *[f"| {name} | {_one_line(str(value))} |" for name, value in _facts(session).items()],
            "",
            "All it takes to do the run again is in run-manifest.json: `manage.py reproduce run-manifest.json`.",
            "",
            "## Before and after",
            "",
            *_scores(before_after(session)),
            "",
            "## Settings",
            "",
            "```json",
            config.model_dump_json(indent=2),
            "```",
            "",
        ]
    )


def _licence(base: str) -> list[str]:
    row = CatalogueModel.objects.filter(hub_id=base).first()
    return [f"license: {json.dumps(row.licence)}"] if row else []


def _dataset(session: Session) -> str:
    if was := session.dataset_fingerprint:
        return f"{was['dataset']} v{was['version']}, sha256 {was['sha256'][:16]}"
    return str(session.dataset_version or session.parsed_config.dataset.source)


def _facts(session: Session) -> dict[str, Any]:
    config = session.parsed_config
    return {
        "Base model": config.model.name,
        "Dataset": _dataset(session),
        "Reward": ", ".join(f"{part['weight']:g} × {part['name']}" for part in session.reward.get("parts", [])),
        "LoRA": f"rank {config.model.lora_rank}, alpha {config.model.lora_alpha}",
        "Steps": session.step,
    }


def _scores(report: Report | None) -> list[str]:
    if report is None:
        return ["Not evaluated."]
    rows = [
        f"| {side.title} | {side.correct} of {len(side.judged)} | {percent(side.accuracy)}"
        f" | {percent(side.low)} to {percent(side.high)} |"
        for side in report.sides.values()
        if side.accuracy is not None
    ]
    table = ["| Model | Right | Share | 95 % interval |", "|---|---|---|---|", *rows, ""] if rows else []
    return [*table, report.verdict]


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
