"""The Signal tab in a real browser: from the heat map to the answers, and a note that is put away."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.app import App
from tests.e2e.conftest import sign_in

pytestmark = pytest.mark.e2e

# Answers grow from 40 to 160 tokens, which is worth a note.
SEED = """
from accounts.models import Team
from tests.training.factories import History, make_session
from training.choices import Kind, Status
history = History(make_session(Team.objects.get(), Status.COMPLETED))
for step in range(1, 61):
    history.rollouts(step, 60, groups=2)
    history.add(Kind.METRICS, Status.TRAINING, step, **{"reward": 0.5, "completions/mean_length": 38 + 2 * step})
print("session", history.save(step=60, total_steps=60).pk)
"""


def test_a_cell_leads_to_its_answers_and_a_note_is_put_away_and_brought_back(app: App, page: Page) -> None:
    session = app.manage("shell", "-c", SEED).split("session ")[-1].strip()
    sign_in(app, page, f"/sessions/{session}/")
    page.get_by_role("tab", name="Signal").click()
    pane = page.locator("#pane-signal")

    note = pane.get_by_text("Answers got much longer", exact=True)
    expect(note).to_be_visible()
    pane.get_by_role("button", name="Dismiss").click()
    expect(note).to_be_hidden()
    expect(pane.get_by_text("dismissed by charlie")).to_be_visible()
    page.reload()
    pane.get_by_role("button", name="Bring back").click()
    expect(note).to_be_visible()

    expect(page.get_by_role("heading", name="Questions by epoch")).to_be_visible()
    cell = page.locator(".heat td a").first
    place = cell.get_attribute("href") or ""
    cell.press("Enter")
    page.wait_for_url(f"**{place}*")
    step, prompt = (part.split("=")[1] for part in place.split("?")[1].split("&"))
    expect(page.locator(f'.step-view[data-step="{step}"][data-prompt="{prompt}"]')).to_be_visible()
