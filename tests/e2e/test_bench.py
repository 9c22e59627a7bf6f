"""The test bench in a real browser: answers pasted, scored, ordered and compared, and a tiny model that answers."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.app import App, wait_for
from tests.e2e.conftest import sign_in

pytestmark = pytest.mark.e2e
ANSWERS = ["<SOLUTION>81</SOLUTION>", "I think 18", "<SOLUTION>18</SOLUTION>", "none"]
ANSWER_TIMEOUT = 240_000


@pytest.fixture
def bench(app: App, page: Page) -> Iterator[Page]:
    problems = list[str]()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    sign_in(app, page, "/rewards/bench/")
    yield page
    assert not problems


def paste(page: Page, *answers: str) -> None:
    page.get_by_label("Question", exact=True).first.fill("9 + 9?")
    page.get_by_label("Reference answer").first.fill("18")
    page.get_by_label("Answers", exact=True).fill("\n---\n".join(answers))


def score(page: Page, reward: str = "Math", other: str = "No other") -> None:
    page.get_by_label("Reward", exact=True).select_option(label=reward)
    page.get_by_label("Compare with").select_option(label=other)
    with page.expect_response("**/rewards/bench/"):
        page.get_by_role("button", name="Score", exact=True).click()


def texts(page: Page) -> list[str]:
    """Of the answers that are shown, in their order."""
    return [text.strip() for text in page.locator(".bench-item:visible .bench-text").all_inner_texts()]


def ranks(page: Page) -> list[str]:
    return page.locator(".bench-item:visible .bench-rank").all_inner_texts()


def test_pasted_answers_are_scored_ordered_and_filtered_without_scoring_again(bench: Page) -> None:
    page, scored = bench, list[str]()
    paste(page, *ANSWERS)
    score(page)
    expect(page.locator(".bench-item")).to_have_count(4)
    expect(page.get_by_text("Expected 18, found 81 in the solution block.")).to_be_visible()
    expect(page.get_by_role("columnheader", name="p95")).to_be_visible()
    assert texts(page) == ANSWERS
    page.on("request", lambda request: scored.append(request.url) if request.method == "POST" else None)

    order = page.get_by_label("Order", exact=True)
    order.select_option(label="Total")
    assert texts(page)[0] == ANSWERS[2] and ranks(page)[0] == "#1"
    page.get_by_label("Direction").select_option(label="Lowest first")
    assert texts(page)[-1] == ANSWERS[2]
    # By keyboard: the next entry of the list is the first part.
    order.focus()
    order.press("ArrowDown")
    expect(order).to_have_value("a answer")
    assert set(texts(page)[:2]) == {ANSWERS[1], ANSWERS[2]}
    order.select_option(label="As given")
    expect(page.get_by_label("Direction")).to_be_hidden()
    assert texts(page) == ANSWERS

    page.get_by_label("Show", exact=True).select_option(label="Total 0 (1)")
    assert texts(page) == ["none"]
    expect(page.locator("#bench-shown")).to_have_text("1 of 4 shown")
    page.get_by_label("Show", exact=True).select_option(label="Errors (0)")
    expect(page.get_by_text("No answer is like that.")).to_be_visible()
    assert not scored


def test_two_rewards_stand_side_by_side_where_they_disagree_first(bench: Page) -> None:
    page = bench
    paste(page, *ANSWERS)
    score(page, "Math", "Question answering")
    expect(page.locator(".bench-histogram")).to_have_count(2)
    expect(page.get_by_label("Order", exact=True)).to_have_value("moved")
    shown = page.locator(".bench-item")
    expect(shown.first.get_by_text("they disagree")).to_be_visible()
    expect(shown.first.locator(".bench-parts")).to_have_count(2)
    # Right for the one; the other wants the answer alone.
    assert texts(page)[0] == ANSWERS[1]
    score(page, "Math")
    expect(page.locator(".bench-histogram")).to_have_count(1)


def test_a_tiny_model_answers_and_its_answers_are_changed_scored_and_kept(
    app: App, bench: Page, tiny_model: Path
) -> None:
    page = bench
    shutil.copytree(tiny_model, app.data / "models" / "tiny")
    page.get_by_text("A model answers").click()
    page.get_by_role("button", name="Let it answer").click()
    expect(page.get_by_text("Choose a model of the list.")).to_be_visible()
    page.get_by_label(re.compile("^Model:")).fill("tin")
    page.get_by_role("radio", name="tiny base model").check()
    page.locator("#id_ask-question").fill("what is 3 plus 4?")
    page.locator("#id_ask-reference").fill("7")
    page.locator("#id_ask-answers").fill("3")
    page.locator("#id_ask-max_new_tokens").fill("12")
    page.get_by_role("button", name="Let it answer").click()
    answers = page.locator("[name=edited]")
    expect(answers).to_have_count(3, timeout=ANSWER_TIMEOUT)
    expect(page.locator("#id_ask-question")).to_have_value("what is 3 plus 4?")

    answers.nth(1).fill("<SOLUTION>7</SOLUTION>")
    score(page)
    expect(page.locator(".bench-item")).to_have_count(3)
    page.get_by_label("Order", exact=True).select_option(label="Total")
    assert texts(page)[0] == "<SOLUTION>7</SOLUTION>"
    page.get_by_role("button", name="Keep the changes").click()
    expect(page.get_by_text("1 of the answers differ")).to_be_visible()
    page.goto(f"{app.url}/rewards/bench/")
    page.get_by_text("A model answers").click()
    page.get_by_text("Earlier answers of models").click()
    page.get_by_role("link", name="tiny").first.click()
    expect(answers.nth(1)).to_have_value("<SOLUTION>7</SOLUTION>")
    page.locator("#bench-remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    expect(answers).to_have_count(3)
    page.locator("#bench-remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(answers).to_have_count(0)


def test_a_model_that_still_answers_is_cancelled(app: App, bench: Page, tiny_model: Path) -> None:
    page = bench
    # Nobody takes it: what waits for a worker can be cancelled, too.
    app.processes["worker"].terminate()
    wait_for(lambda: app.processes["worker"].poll() is not None, 90, "the worker's end")
    shutil.copytree(tiny_model, app.data / "models" / "tiny", dirs_exist_ok=True)
    page.reload()
    page.get_by_text("A model answers").click()
    page.get_by_role("radio", name="tiny base model").check()
    page.locator("#id_ask-question").fill("what is 3 plus 4?")
    page.get_by_role("button", name="Let it answer").click()
    expect(page.get_by_text("No worker is running: start one with make run.")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#bench-asked").get_by_text("Cancelled")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


def test_without_scripts_answers_are_scored_in_the_order_that_was_asked_for(app: App, bench: Page) -> None:
    assert bench.context.browser is not None
    context = bench.context.browser.new_context(java_script_enabled=False, storage_state=bench.context.storage_state())
    page = context.new_page()
    page.goto(f"{app.url}/rewards/bench/")
    paste(page, *ANSWERS)
    page.get_by_label("Reward", exact=True).select_option(label="Math")
    page.get_by_label("Order", exact=True).select_option(label="Best first")
    page.get_by_role("button", name="Score", exact=True).click()
    assert texts(page)[0] == ANSWERS[2]
    expect(page.get_by_label("Answers", exact=True)).to_have_value("\n---\n".join(ANSWERS))
    context.close()
