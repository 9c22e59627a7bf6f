"""Sessions compared in a real browser: charts over each other, steps or time, removing and adding one."""

import csv

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.app import App
from tests.e2e.conftest import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.no_worker]

SEED = """
from accounts.models import Team
from tests.training.factories import History, make_dataset_version, make_events, make_session
from training.choices import Status
team = Team.objects.get()
version = make_dataset_version(team)
made = []
for name, status, steps in (("Slow", "completed", 20), ("Long", "completed", 40), ("Running", "training", 10)):
    fields = {"dataset_version": version, "dataset_fingerprint": version.fingerprint}
    session = make_session(team, status, name=name, **fields)
    made.append(make_events(session, steps, of=40, rollouts_every=0, warm_up=0, seed=steps))
print("sessions", *(session.pk for session in made))
"""
MORE = """
from tests.training.factories import History
from training.models import Session
session = Session.objects.get(name="Running")
history = History(session)
history.step(11, 40, reward=0.777)
history.save(step=11)
"""

MORE_OF_ZOOMED = """
from tests.training.factories import History
from training.models import Session
session = Session.objects.get(name="Running")
history = History(session)
history.step(31, 50, reward=0.333)
history.step(50, 50, reward=0.555)
history.save(step=50)
"""


def chart(page: Page, name: str) -> Locator:
    return page.locator(f'[data-chart="{name}"]')


def legend(page: Page, name: str) -> Locator:
    return chart(page, name).locator(".legend-item")


def test_charts_time_removing_adding_and_a_running_session(app: App, page: Page) -> None:
    problems = list[str]()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    slow, long, _ = app.manage("shell", "-c", SEED).split("sessions ")[-1].split()
    sign_in(app, page)
    page.goto(f"{app.url}/sessions/{slow}/")
    page.get_by_role("link", name="Compare with…").click()
    page.get_by_label("Search by name").fill("long")
    expect(page.locator(".picker-choice")).to_have_count(1)
    page.get_by_label("Search by name").press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/sessions/compare/?session={slow}&session={long}")

    for name in ("reward", "part-1", "kl", "learning_rate"):
        expect(chart(page, name).locator("canvas")).to_be_visible()
    expect(chart(page, "reward").locator(".legend-label")).to_have_text(["1 Slow", "2 Long"])
    expect(chart(page, "reward").locator(".legend-step")).to_have_text("step 40")
    reads_values_of_all(page)
    shows_time(page)
    zooms(page)
    saves_all_rows(page)
    removes_and_adds(page)
    follows_the_running_one(app, page)
    assert not problems


def reads_values_of_all(page: Page) -> None:
    """At the cursor; of a session that had ended, none."""
    plot = chart(page, "kl").locator("[data-plot]")
    plot.focus()
    plot.press("Home")
    expect(chart(page, "reward").locator(".legend-step")).to_have_text("step 1")
    assert "–" not in "".join(legend(page, "kl").all_inner_texts())
    plot.press("End")
    expect(legend(page, "kl").first).to_contain_text("–")
    plot.blur()


def shows_time(page: Page) -> None:
    page.get_by_role("radiogroup", name="Horizontal axis").get_by_text("Time").click()
    expect(chart(page, "reward").locator(".legend-step")).to_contain_text("min")
    expect(chart(page, "reward").locator("canvas")).to_be_visible()


def zooms(page: Page) -> None:
    page.get_by_role("button", name="Zoom in").click()
    state = page.locator("[data-zoom-state]")
    expect(state).to_contain_text("After")
    page.get_by_role("button", name="Whole run").click()
    expect(state).to_contain_text("Drag to zoom")
    page.get_by_role("radiogroup", name="Horizontal axis").get_by_text("Steps").click()
    expect(chart(page, "reward").locator(".legend-step")).to_have_text("step 40")


def saves_all_rows(page: Page) -> None:
    with page.expect_download() as download:
        chart(page, "kl").get_by_role("button", name="KL divergence as CSV").click()
    with download.value.path().open() as file:
        head, *rows = csv.reader(file)
    assert (download.value.suggested_filename, head[-1], len(rows)) == ("compare-kl.csv", "kl", 60)
    with page.expect_download() as download:
        chart(page, "kl").get_by_role("button", name="KL divergence as PNG").click()
    assert download.value.suggested_filename == "compare-kl.png"


def removes_and_adds(page: Page) -> None:
    page.get_by_role("link", name="Remove Slow").click()
    expect(page.get_by_role("heading", name="One more to compare with")).to_be_visible()
    page.locator(".picker-choice").filter(has_text="Slow").click()
    expect(chart(page, "reward").locator(".legend-label")).to_have_text(["1 Long", "2 Slow"])
    page.get_by_role("button", name="Add a session").click()
    page.get_by_role("dialog").locator(".picker-choice").filter(has_text="Running").click()
    expect(chart(page, "reward").locator(".legend-label")).to_have_text(["1 Long", "2 Slow", "3 Running"])


def follows_the_running_one(app: App, page: Page) -> None:
    expect(chart(page, "reward").locator("canvas")).to_be_visible()
    app.manage("shell", "-c", MORE)
    expect(legend(page, "reward").nth(2)).to_contain_text("0.777")
    follows_behind_a_zoom(app, page)


def follows_behind_a_zoom(app: App, page: Page) -> None:
    """Steps within what is shown come, those behind its end can be moved to, and what is shown stays where it is."""
    page.get_by_role("button", name="Zoom in").click()
    state = page.locator("[data-zoom-state]")
    expect(state).to_contain_text("10 to 31")
    app.manage("shell", "-c", MORE_OF_ZOOMED)
    expect(legend(page, "reward").nth(2)).to_contain_text("0.333")
    expect(state).to_contain_text("10 to 31")
    for _ in range(4):
        page.get_by_role("button", name="Later").click()
    expect(state).to_contain_text("to 50")
    expect(legend(page, "reward").nth(2)).to_contain_text("0.555")
    page.get_by_role("button", name="Whole run").click()
    expect(chart(page, "reward").locator(".legend-step")).to_have_text("step 50")
