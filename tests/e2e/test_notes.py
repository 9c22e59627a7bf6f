"""Notes in a real browser: previewed, saved, and not lost when somebody else was quicker."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.app import App
from tests.e2e.conftest import sign_in

pytestmark = pytest.mark.e2e
MAKE = """
from accounts.models import Team
from tests.training.factories import make_session
print("SESSION", make_session(Team.objects.get(), "completed").pk)
"""
MEANWHILE = """
from training import keeping
from training.models import Session
session = Session.objects.get(pk="{pk}")
keeping.write_notes(session, None, "Somebody *else* wrote this", session.notes_version)
"""


def test_notes_are_previewed_saved_and_never_overwritten_unseen(app: App, page: Page) -> None:
    pk = app.manage("shell", "-c", MAKE).split("SESSION ")[1].split()[0]
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    sign_in(app, page, f"/sessions/{pk}/")
    page.get_by_role("tab", name="Notes").click()
    page.get_by_role("link", name="Write notes").click()
    text = page.get_by_label("Text, in Markdown")
    text.fill("# Tried\n\nA **higher** rate")
    expect(page.locator("#notes-preview strong")).to_have_text("higher")
    page.get_by_role("button", name="Save notes").click()
    expect(page.locator("#notes h3")).to_have_text("Tried")

    page.get_by_role("link", name="Edit", exact=True).click()
    text.fill("Mine")
    app.manage("shell", "-c", MEANWHILE.format(pk=pk))
    page.get_by_role("button", name="Save notes").click()
    expect(page.get_by_role("alert")).to_contain_text("Somebody saved another text")
    expect(page.get_by_role("alert").locator("em")).to_have_text("else")
    expect(text).to_have_value("Mine")

    # Another tab and back: what is typed is still there.
    page.get_by_role("tab", name="Log").click()
    page.get_by_role("tab", name="Notes").click()
    expect(text).to_have_value("Mine")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("link", name="Cancel").click()
    expect(text).to_have_value("Mine")
    page.get_by_role("button", name="Save notes").click()
    expect(page.locator("#notes > .card-body > .markdown")).to_have_text("Mine")
    assert not problems
