"""The queue as an operator uses it: order, priority, a pause made elsewhere, and a second click."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.app import App
from tests.e2e.conftest import PASSWORD, sign_in

pytestmark = pytest.mark.e2e

SEED = """
from django.utils import timezone
from accounts.models import Team
from training.models import Session
for rank, name in enumerate(["Sums", "Words", "Proofs"], 1):
    Session.objects.create(team=Team.objects.get(), name=name, status="queued", rank=rank, queued_at=timezone.now())
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Without a worker: what waits, waits."""
    running = App(tmp_path_factory.mktemp("app"), LORACRAFT_PASSWORD=PASSWORD)
    running.prepare()
    running.manage("shell", "-c", SEED)
    running.start_web()
    yield running
    running.end()


def order(page: Page) -> list[str]:
    return page.locator("#queue-waiting .queue-row > a").all_inner_texts()


def test_the_order_is_changed_in_place_and_a_pause_made_elsewhere_appears(app: App, page: Page) -> None:
    sign_in(app, page, "/queue/")
    assert order(page) == ["Sums", "Words", "Proofs"]
    expect(page.get_by_text("No worker is running: start one with make run.").first).to_be_visible()

    up = page.get_by_role("button", name="Move Proofs up")
    up.press("Enter")
    expect(page.locator("#queue-waiting .queue-row > a").nth(1)).to_have_text("Proofs")
    # Pressed again without a new Tab: the focus stays where it was.
    expect(up).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#queue-waiting .queue-row > a").first).to_have_text("Proofs")

    page.get_by_label("Priority of Words").select_option("High")
    expect(page.locator("#queue-waiting .queue-row > a").first).to_have_text("Words")

    why = page.get_by_label("Why Default team waits")
    why.fill("half a senten")
    app.manage("queue", "pause", "--reason", "a new disk")
    expect(page.get_by_text(": a new disk.").first).to_be_visible()
    expect(why).to_have_value("half a senten")

    page.get_by_role("button", name="Take Sums out of the queue").click()
    page.get_by_role("button", name="Take it out", exact=True).click()
    expect(page.get_by_text("2 sessions", exact=True)).to_be_visible()
    assert order(page) == ["Words", "Proofs"]


def test_a_second_click_while_the_first_is_under_way_sends_nothing(app: App, page: Page) -> None:
    sign_in(app, page, "/sessions/")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    # Into a frame: the page stays, as it does while a slow server has not answered.
    page.evaluate(
        """() => {
          document.body.append(Object.assign(document.createElement("iframe"), {name: "aside"}));
          for (const form of document.forms) form.target = "aside";
        }"""
    )
    button = page.get_by_role("button", name="New session").first
    button.click()
    expect(button).to_have_attribute("aria-disabled", "true")
    button.click(force=True)
    page.wait_for_timeout(300)
    assert len(sent) == 1
