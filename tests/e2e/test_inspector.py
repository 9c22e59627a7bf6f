"""The inspector in a real browser: keyboard, addresses that can be shared, search, differences."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.app import App
from tests.e2e.conftest import sign_in

pytestmark = pytest.mark.e2e

SEED = """
from accounts.models import Team
from tests.training.factories import History, make_session
from training.choices import Status
history = History(make_session(Team.objects.get(), Status.COMPLETED))
for step in [1, 2, 10, 20]:
    history.rollouts(step, 20, groups=3)
history.rollouts(30, 30, groups=2, text="a very special answer")
print("session", history.save().pk)
"""


@pytest.fixture(scope="module")
def session(app: App) -> str:
    return app.manage("shell", "-c", SEED).split("session ")[-1].strip()


def at(page: Page, step: int, prompt: int = 1) -> None:
    expect(page.locator(f'.step-view[data-step="{step}"][data-prompt="{prompt}"]')).to_be_visible()
    expect(page.locator("#step-output")).to_have_text(f"Step {step} of 30")


def open_groups(app: App, page: Page, session: str, place: str = "") -> None:
    sign_in(app, page, f"/sessions/{session}/")
    page.goto(f"{app.url}/sessions/{session}/?again=1#groups{place}")


def test_arrows_go_through_stored_steps_and_prompts_but_not_while_typing(app: App, page: Page, session: str) -> None:
    open_groups(app, page, session, "?step=10")
    at(page, 10)
    page.keyboard.press("ArrowRight")
    at(page, 20)
    page.keyboard.press("ArrowDown")
    at(page, 20, 2)
    page.keyboard.press("ArrowLeft")
    at(page, 10)
    page.locator("#step-number").fill("15")
    page.locator("#step-number").press("ArrowLeft")
    at(page, 10)
    page.locator("#step-number").press("Enter")
    at(page, 10)
    page.get_by_role("button", name="Newest").click()
    at(page, 30)


def test_an_address_leads_to_an_answer_and_survives_a_reload(app: App, page: Page, session: str) -> None:
    open_groups(app, page, session, "?step=20&prompt=3&answer=5")
    for _ in range(2):
        at(page, 20, 3)
        expect(page.locator("#answer-5.answer-marked")).to_be_in_viewport()
        assert page.url.endswith("#groups?step=20&prompt=3&answer=5")
        page.reload()


def test_a_search_leads_to_the_answer(app: App, page: Page, session: str) -> None:
    open_groups(app, page, session, "?step=1")
    at(page, 1)
    page.get_by_text("Search all answers").click()
    page.get_by_label("Words").fill("SPECIAL")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator(".found-answer mark").first).to_have_text("special")
    page.locator(".found-answer").filter(has_text="prompt 2, answer 4").click()
    at(page, 30, 2)
    expect(page.locator("#answer-4.answer-marked")).to_be_visible()


def test_two_answers_are_compared_and_one_goes_to_the_bench(app: App, page: Page, session: str) -> None:
    open_groups(app, page, session, "?step=1")
    at(page, 1)
    page.get_by_text("Best against worst").click()
    expect(page.locator(".difference ins, .difference del").first).to_be_visible()
    page.get_by_role("link", name="Test bench").first.click()
    expect(page.locator("[name=prompt]")).to_have_value("1")
    page.get_by_role("button", name="Score").click()
    expect(page.locator(".bench-item")).to_have_count(1)
