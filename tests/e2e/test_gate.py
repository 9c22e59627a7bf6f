"""A reward that fails its check, in a real browser with a real worker: refused, overridden, and mended by a case."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.app import App, jsonl, wait_for
from tests.e2e.conftest import PASSWORD

pytestmark = pytest.mark.e2e
REASON = "I want to see how it is gamed"
# The right answer costs as much as it earns: wrong ones do better.
BAD = {
    "name": "Upside down",
    "definition": {
        "parts": [
            {"name": "form", "function": "solution_markers", "weight": 1.0},
            {"name": "same", "function": "exact_match", "weight": 0.0001},
            {"name": "against", "function": "math_answer", "weight": -1.0},
        ]
    },
}


def test_a_failing_reward_needs_a_reason_that_is_kept_and_an_answer_becomes_a_case(
    app: App, page: Page, tiny_model: Path, tmp_path: Path
) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    try:
        session = drafted(app, page, tiny_model, tmp_path)
        see_it_fail(app, page, session)
        be_refused_without_a_reason(app, page)
        give_a_reason(app, page, session)
        make_a_case(app, page, session)
    except BaseException:
        print(app.logs())  # noqa: T201 - shown by pytest when the test fails
        raise
    assert not problems


def drafted(app: App, page: Page, model: Path, folder: Path) -> str:
    """A draft whose reward is the bad one, chosen in the stepper."""
    page.goto(f"{app.url}/login/")
    page.get_by_label("Name").fill("charlie")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{app.url}/")
    rows = [{"question": f"what is {a} plus {b}?", "answer": str(a + b)} for a in range(8) for b in range(8)]
    page.goto(f"{app.url}/datasets/upload/")
    page.locator("input[type=file]").set_input_files(jsonl(folder / "sums.jsonl", rows))
    page.get_by_role("button", name="Upload and check").click()
    page.wait_for_url("**/datasets/*-*/")
    dataset = re.findall(r"[0-9a-f-]{36}", page.url)[0]
    app.manage("shell", "-c", make_draft(str(model), dataset))
    session = str(app.session_row()["id"])
    session = f"{session[:8]}-{session[8:12]}-{session[12:16]}-{session[16:20]}-{session[20:]}"
    page.goto(f"{app.url}/sessions/{session}/setup/reward/")
    expect(page.get_by_text("Quick start")).to_be_visible()
    page.locator('input[name="reward.choice"][value="upside-down"]').check(force=True)
    page.get_by_role("button", name="Continue").last.click()
    page.wait_for_url("**/setup/config/*")
    return session


def make_draft(model: str, dataset: str) -> str:
    """What other tests do by hand: model and numbers of a session that ends in a moment."""
    config = {
        "model": {"name": model},
        "dataset": {"source": dataset},
        "training": {
            "max_steps": 3, "batch_size": 4, "gradient_accumulation_steps": 1, "max_new_tokens": 8,
            "max_sequence_length": 256, "save_steps": 3,
        },
        "grpo": {"num_generations": 4},
        "pre_training": {"enabled": False},
        "evaluation": {"max_samples": 2},
    }  # fmt: skip
    return (
        "from django.contrib.auth.models import User; from accounts.access import current_team\n"
        "from rewards import presets; from training import lifecycle; import json\n"
        "user = User.objects.get(); team = current_team(user)\n"
        f"presets.create(team, user, **json.loads({json.dumps(BAD)!r}))\n"
        f"lifecycle.create_draft(team, user, 'Gamed', json.loads({json.dumps(config)!r}))"
    )


def see_it_fail(app: App, page: Page, session: str) -> None:
    page.goto(f"{app.url}/sessions/{session}/setup/review/")
    expect(page.get_by_text("The settings are complete.")).to_be_visible()
    expect(page.get_by_text("Examining…").or_(page.get_by_text("Waiting for a worker")).first).to_be_visible()
    expect(page.get_by_text("This reward failed its check")).to_be_visible(timeout=90_000)
    card = page.locator("#gate")
    expect(card).to_contain_text("wrong answers earn as much as the right one")
    row = card.get_by_role("link", name=re.compile(r"^Row \d+")).first
    expect(row).to_have_attribute("href", re.compile(r"tab=preview&version=1&row=\d+"))


def be_refused_without_a_reason(app: App, page: Page) -> None:
    press_start(page)
    expect(page).to_have_url(re.compile(r"/start/$"))
    expect(page.get_by_text("This reward failed its check")).to_be_visible()
    assert app.session_row()["status"] == "draft"
    page.get_by_label("Reason, kept with the session").fill(REASON)
    press_start(page)
    expect(page.get_by_label("Reason, kept with the session")).to_have_value(REASON)
    assert app.session_row()["status"] == "draft"


def press_start(page: Page) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name="Start training").click()


def give_a_reason(app: App, page: Page, session: str) -> None:
    page.get_by_label("Train with it all the same").check()
    press_start(page)
    expect(page).to_have_url(re.compile(rf"/sessions/{session}/$"))
    expect(page.get_by_text("It trains with a reward that failed its check")).to_be_visible()
    expect(page.get_by_text(REASON)).to_be_visible()
    stored = app.rows("select reward_override from training_session")[0][0]
    assert json.loads(stored)["reason"] == REASON and json.loads(stored)["by"] == "charlie"


def make_a_case(app: App, page: Page, session: str) -> None:
    wait_for(lambda: app.session_row()["status"] == "completed", 240, "the end of the session")
    page.goto(f"{app.url}/sessions/{session}/#groups")
    answer = page.locator("#groups-body .answer").first
    answer.get_by_role("button", name="Use as a case").click()
    form = answer.locator(".case-form")
    expect(form.locator("select option:checked")).to_have_text("Upside down")
    form.get_by_role("button", name="Low", exact=True).click()
    expect(answer.get_by_text("Added to the golden cases of Upside down, now version 2.")).to_be_visible()
    assert golden(app)[0]["answers"][0]["label"] == "low"
    answer.get_by_role("button", name="Undo").click()
    expect(answer.get_by_text("Taken back, as version 3.")).to_be_visible()
    assert golden(app) == []


def golden(app: App) -> list[dict[str, list[dict[str, str]]]]:
    found: list[dict[str, list[dict[str, str]]]] = json.loads(
        app.rows("select golden from rewards_rewardpreset where slug = 'upside-down'")[0][0]
    )
    return found
