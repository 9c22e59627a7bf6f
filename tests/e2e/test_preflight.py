"""A preflight in a real browser with a real worker: cancelled, done, and the last word before a session starts."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.app import App, jsonl
from tests.e2e.conftest import sign_in

pytestmark = pytest.mark.e2e
# Milliseconds: a child loads the model, answers, and takes a step.
A_PREFLIGHT = 240_000
MAKE = """
from accounts.models import Team
from training import lifecycle
print("session", lifecycle.create_draft(Team.objects.get(), None, "Tried", {config!r}).pk)
"""


def draft_of(app: App, model: Path, folder: Path) -> str:
    rows = [{"question": f"what is {a} plus {b}?", "answer": str(a + b)} for a in range(8) for b in range(8)]
    file = jsonl(folder / "sums.jsonl", rows)
    dataset = app.manage("import_dataset", str(file), "--team", "Default team").split()[-1]
    config = {
        "model": {"name": str(model), "lora_rank": 4},
        "dataset": {"source": dataset},
        "reward": {"preset_name": "math-short-answer"},
        "training": {
            "max_steps": 2, "batch_size": 4, "gradient_accumulation_steps": 1, "max_new_tokens": 6,
            "max_sequence_length": 256,
        },
        "grpo": {"num_generations": 4},
        "pre_training": {"enabled": False},
        "evaluation": {"max_samples": 2},
    }  # fmt: skip
    return app.manage("shell", "-c", MAKE.format(config=config)).split("session ")[-1].strip()


def test_a_draft_is_tried_out_and_stays_one_where_something_speaks_against_it(
    app: App, page: Page, tiny_model: Path, tmp_path: Path
) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    session = draft_of(app, tiny_model, tmp_path)
    sign_in(app, page, f"/sessions/{session}/setup/review/")
    card = page.locator("#preflight")
    expect(card).to_contain_text("Not tried yet.")
    card.get_by_role("button", name="Try it out").click()
    card.get_by_role("button", name="Cancel").click()
    expect(card).to_contain_text("The last preflight was cancelled.", timeout=A_PREFLIGHT)

    card.get_by_role("button", name="Try it out").click()
    expect(card.get_by_role("progressbar").first).to_be_visible()
    expect(card).to_contain_text("How often the base model is right", timeout=A_PREFLIGHT)
    expect(card).to_contain_text(re.compile(r"Memory, peak\s*\d+(\.\d+)? [MG]B"))
    card.get_by_text("Where time and memory go, and some answers").click()
    expect(card.get_by_text("Memory, worked out")).to_be_visible()

    page.get_by_text("Try it out first, and start only if nothing speaks against it").click()
    page.get_by_role("button", name="Start training").click()
    expect(card.get_by_text("The session starts by itself afterwards")).to_be_visible()
    expect(card.get_by_role("button", name="Try again")).to_be_visible(timeout=A_PREFLIGHT)
    # A model of random weights is never right.
    expect(card.get_by_role("alert")).to_contain_text(re.compile("It was not started: .* of the groups"))
    assert app.session_row()["status"] == "draft"
    assert not problems
