"""The model card beside an exported adapter or model."""

from __future__ import annotations

import json
from typing import Any

from evaluation.report import Report, before_after, percent
from exports.models import Check, Export, Format
from training.models import CatalogueModel, Session

LIBRARY = {Format.ADAPTER: "peft", Format.MERGED: "transformers", Format.GGUF: "gguf"}
USE = {
    Format.ADAPTER: ". Load it on top of its base model.",
    Format.MERGED: ", merged into its base model.",
    Format.GGUF: ", merged into its base model, as a GGUF file for llama.cpp, Ollama and LM Studio.",
}
NAME = "README.md"


def card(export: Export, check: Check | None = None) -> str:
    """`check`: its comparison with the adapter, once there is one."""
    session, format = export.session, Format(export.format)
    config = session.parsed_config
    base = config.model.name
    return "\n".join(
        [
            "---",
            f"base_model: {json.dumps(base)}",
            f"library_name: {LIBRARY[format]}",
            *_licence(base),
            "tags: [grpo, lora, trl]",
            "---",
            "",
            f"# {_one_line(session.name)}",
            "",
            f"Trained with LoRA Craft: GRPO with a LoRA adapter{USE[format]}",
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
            "## Compared with the trained adapter",
            "",
            *_parity(check),
            "",
            "## Settings",
            "",
            "```json",
            config.model_dump_json(indent=2),
            "```",
            "",
        ]
    )


def _parity(check: Check | None) -> list[str]:
    if check is None or not check.verdict:
        return ["Not checked yet."]
    told = f"{check.get_verdict_display()}: {check.reason}"
    found = check.result
    if not found:
        return [told]
    rows = [
        f"| {title} | {percent(side['share'])} | {percent(side['low'])} to {percent(side['high'])} |"
        for title, side in _parity_shares(found)
        if side
    ]
    table = ["", "| | Share | 95 % interval |", "|---|---|---|", *rows]
    difference = f"Log-probability of the adapter's answers: {found['log_probability_difference']:+.4f} nats a token."
    return [told, *table, "", difference]


def _parity_shares(found: dict[str, Any]) -> list[tuple[str, dict[str, Any] | None]]:
    return [
        ("Right, trained adapter", found["adapter"]["accuracy"]),
        ("Right, this export", found["export"]["accuracy"]),
        ("Identical greedy answers", found["identical"]),
    ]


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
