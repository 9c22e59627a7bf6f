"""The Config step in a real browser: what follows what while somebody types, and what is told without a reload."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.app import App
from tests.e2e.conftest import PASSWORD

pytestmark = [pytest.mark.e2e, pytest.mark.no_worker]


@pytest.fixture
def step(app: App, page: Page) -> Page:
    page.goto(f"{app.url}/login/?next=/sessions/")
    page.get_by_label("Name").fill("charlie")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="New session").first.click()
    page.wait_for_url("**/setup/model/")
    page.goto(page.url.replace("/setup/model/", "/setup/config/"))
    page.locator("#level-advanced").check(force=True)
    return page


def value(page: Page, name: str) -> str:
    return page.locator(f'[name="{name}"]').input_value()


def saved(page: Page) -> None:
    expect(page.locator("#saved-mark:not([data-state])")).to_contain_text("Saved")


def test_alpha_and_algorithm_follow_until_they_are_touched_and_the_page_keeps_it(step: Page) -> None:
    page = step
    page.locator('[name="model.lora_rank"]').fill("8")
    assert value(page, "model.lora_alpha") == "16"
    page.locator('[name="model.lora_alpha"]').fill("20")
    page.locator('[name="model.lora_rank"]').fill("64")
    assert value(page, "model.lora_alpha") == "20"

    page.locator('[name="grpo.algorithm"]').select_option("dr_grpo")
    assert (value(page, "grpo.loss_type"), value(page, "grpo.scale_rewards")) == ("dr_grpo", "none")
    page.locator('[name="grpo.loss_type"]').select_option("dapo")
    assert value(page, "grpo.algorithm") == "custom"
    page.locator('[name="grpo.loss_type"]').select_option("grpo")
    page.locator('[name="grpo.scale_rewards"]').select_option("group")
    page.locator('[name="grpo.importance_sampling_level"]').select_option("sequence")
    assert value(page, "grpo.algorithm") == "gspo"
    saved(page)
    page.reload()
    found = [value(page, name) for name in ("model.lora_rank", "model.lora_alpha", "grpo.algorithm")]
    assert found == ["64", "20", "gspo"]


def test_errors_notes_presets_and_the_batch_are_told_while_typing(step: Page) -> None:
    page = step
    expect(page.locator("#note-training-optim")).to_contain_text("adamw_torch takes its place")
    page.locator('[name="training.batch_size"]').fill("3")
    page.locator('[name="training.gradient_accumulation_steps"]').fill("1")
    expect(page.locator("#error-training-batch_size")).to_contain_text("must be a multiple of the answers per question")
    page.locator('[name="training.batch_size"]').fill("16")
    expect(page.locator("#error-training-batch_size")).to_be_empty()
    expect(page.locator("#preview")).to_contain_text("16 × 1 = 16 answers")
    expect(page.get_by_role("button", name=re.compile("^Recommended"))).to_have_attribute("aria-pressed", "false")
    with page.expect_navigation():
        page.get_by_role("button", name=re.compile("^Quality")).click()
    expect(page.get_by_role("button", name=re.compile("^Quality"))).to_have_attribute("aria-pressed", "true")
    assert (value(page, "training.batch_size"), value(page, "grpo.num_generations")) == ("2", "16")


def test_typing_on_while_it_saves_is_never_called_a_failure_and_a_server_that_is_away_is(step: Page) -> None:
    page = step
    page.evaluate(
        """() => { window.states = new Set(); new MutationObserver(() =>
            window.states.add(document.getElementById('saved-mark').dataset.state)).observe(
            document.body, {subtree: true, childList: true, attributes: true, attributeFilter: ['data-state']}); }"""
    )
    for number in range(1, 9):
        page.locator('[name="training.batch_size"]').fill(str(8 * number))
        # Longer than the form waits before it saves, shorter than a reply takes.
        page.wait_for_timeout(520)
    saved(page)
    assert "failed" not in page.evaluate("[...window.states]")
    assert "saving" in page.evaluate("[...window.states]")
    page.context.set_offline(True)
    page.locator('[name="training.batch_size"]').fill("16")
    expect(page.locator("#saved-mark")).to_contain_text("Not saved")
