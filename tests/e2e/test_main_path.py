"""The main job, as somebody does it: real browser, real servers, a real (tiny) model."""

from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.app import App, jsonl, wait_for
from tests.e2e.conftest import PASSWORD

pytestmark = pytest.mark.e2e
# Enough that a fast machine is still at it when it is stopped, and again when its worker is killed.
STEPS = 300
# Keeps for each message of a session's socket when it was made, when it came and what the page shows a frame later.
RECORD_MESSAGES = """
window.received = [];
const Native = window.WebSocket;
window.WebSocket = class extends Native {
  constructor(...args) {
    super(...args);
    const opened = Date.now();
    this.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
      const entry = { type: message.type, made: Date.parse(message.at), came: Date.now(), opened };
      window.received.push(entry);
    });
  }
};
"""


def test_a_model_is_trained_watched_stopped_resumed_exported_and_tried(
    app: App, page: Page, tiny_model: Path, tmp_path: Path
) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.add_init_script(RECORD_MESSAGES)
    try:
        sign_in(app, page)
        upload_and_map(app, page, tmp_path)
        configure(app, page, tiny_model)
        watch_values_arrive(page)
        stop_and_resume(app, page)
        survive_a_killed_worker(app, page)
        export_gguf(app, page)
        try_it(app, page)
    except BaseException:
        print(app.logs())  # noqa: T201 - shown by pytest when the test fails
        raise
    assert not problems


def sign_in(app: App, page: Page) -> None:
    page.goto(app.url)
    page.get_by_label("Name").fill("charlie")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{app.url}/")


def upload_and_map(app: App, page: Page, folder: Path) -> None:
    rows = [{"riddle": f"what is {a} plus {b}?", "note": "x", "key": str(a + b)} for a in range(10) for b in range(8)]
    file = jsonl(folder / "sums.jsonl", rows)
    with file.open("a") as lines:
        lines.write('{"riddle": "broken\n')
    page.goto(f"{app.url}/datasets/upload/")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Upload and check").click()
    page.wait_for_url("**/datasets/*-*/")
    page.get_by_role("link", name="See the lines and why").click()
    expect(page.get_by_text("81").first).to_be_visible()
    page.get_by_role("button", name="Keep").first.click()
    page.get_by_role("link", name="Mapping").click()
    page.locator("#id_instruction").select_option("riddle")
    page.locator("#id_response").select_option("key")
    page.get_by_role("button", name="Save columns").click()
    expect(page.locator("#preview")).to_contain_text("what is")


def configure(app: App, page: Page, model: Path) -> None:
    page.goto(f"{app.url}/")
    page.get_by_role("button", name="New session").first.click()
    page.wait_for_url("**/setup/model/")
    page.locator("[data-own-model]").check(force=True)
    page.locator("#field-model-name").fill(str(model))
    onward(page, "dataset")
    page.locator('input[name="dataset.source"]').first.check(force=True)
    onward(page, "prompt")
    page.locator('[name="prompt.system_prompt"]').fill("Answer with a number.")
    onward(page, "reward")
    page.locator('input[name="reward.choice"][value="math-short-answer"]').check(force=True)
    onward(page, "config")
    page.locator("#level-advanced").check(force=True)
    fill_config(page)
    onward(page, "review")
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url("**/sessions/*-*-*-*-*/")


def onward(page: Page, step: str) -> None:
    page.get_by_role("button", name="Continue").last.click()
    page.wait_for_url(f"**/setup/{step}/*")


def fill_config(page: Page) -> None:
    numbers = {
        "training.max_steps": STEPS,
        "training.batch_size": 4,
        "training.gradient_accumulation_steps": 1,
        "training.max_new_tokens": 12,
        "training.max_sequence_length": 128,
        "training.save_steps": 10,
        "training.num_epochs": 50,
        "grpo.num_generations": 4,
        "evaluation.max_samples": 6,
    }
    for name, number in numbers.items():
        page.locator(f'[name="{name}"]').fill(str(number))
    # By its key: what is saved meanwhile may move the page under a click.
    warm_up = page.locator('[name="pre_training.enabled"]')
    warm_up.press("Space")
    expect(warm_up).not_to_be_checked()


def watch_values_arrive(page: Page) -> None:
    reward = page.locator('[data-tile="reward"] [data-value]')
    expect(reward).not_to_have_text("–", timeout=180_000)
    expect(page.locator("#connection")).to_contain_text("Live", ignore_case=True)
    delays = wait_for(lambda: found if len(found := live_delays(page)) >= 5 else None, 60, "five live values")
    assert quantiles(delays, n=10)[-1] < 1.5, delays
    expect(page.locator("canvas").first).to_be_visible()


def live_delays(page: Page) -> list[float]:
    """Seconds between the making of a metrics event and its coming, for those made after the socket was opened."""
    received: list[dict[str, Any]] = page.evaluate("() => window.received")
    live = [entry for entry in received if entry["type"] == "training_update" and entry["made"] > entry["opened"]]
    return [(entry["came"] - entry["made"]) / 1000 for entry in live]


def stop_and_resume(app: App, page: Page) -> None:
    page.get_by_role("button", name="Stop and save").click()
    page.locator("dialog[open] button[value=yes]").click()
    row = wait_for(lambda: ended(app), 15, "the stop")
    stopped_at = row["step"]
    assert row["status"] == "stopped" and 0 < stopped_at < STEPS, row
    page.get_by_role("button", name="Resume").click()
    wait_for(lambda: app.session_row()["step"] > stopped_at, 120, "a step after the stop")


def survive_a_killed_worker(app: App, page: Page) -> None:
    before = app.session_row()
    assert before["status"] == "training" and before["step"] < STEPS
    children = app.kill_worker()
    assert children, "a trainer was running"
    wait_for(lambda: not any(child.is_running() for child in children), 60, "the end of the orphaned trainer")
    app.start_worker()
    row = wait_for(lambda: ended(app), 300, "the end of the session")
    assert row["status"] == "completed", row
    assert row["attempt"] > before["attempt"]
    steps = app.steps()
    assert steps == list(range(1, STEPS + 1)), "each step once"
    expect(page.get_by_text("Completed").first).to_be_visible()


def ended(app: App) -> dict[str, Any] | None:
    row = app.session_row()
    return row if row["status"] in ("completed", "failed", "stopped", "cancelled") else None


def export_gguf(app: App, page: Page) -> None:
    page.reload()
    page.get_by_role("tab", name="Artefacts").click()
    line = page.locator("#export-gguf-q8_0")
    line.get_by_role("button", name="Export").click()
    link = line.locator("a[href$='.gguf']").first
    expect(link).to_be_visible(timeout=180_000)
    with page.expect_download() as download:
        link.click()
    file = Path(download.value.path())
    assert file.read_bytes()[:4] == b"GGUF"


def try_it(app: App, page: Page) -> None:
    page.get_by_role("link", name="Try it").first.click()
    page.locator("#id_prompt").fill("what is 2 plus 3?")
    page.get_by_role("button", name="Answer with both").click()
    answers = page.locator(".trial-answer .num")
    expect(answers.first).to_be_visible(timeout=120_000)
    assert page.locator(".trial-answer").count() == 2
