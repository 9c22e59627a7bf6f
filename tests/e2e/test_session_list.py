"""The list of sessions in a real browser: boxes, a range with Shift, tags, the archive with undo, the keyboard."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.app import App
from tests.e2e.conftest import sign_in

pytestmark = pytest.mark.e2e

SEED = """
from accounts.models import Team
from training.models import Session
for name in ["Sums", "Words", "Proofs", "Rhymes"]:
    Session.objects.create(team=Team.objects.get(), name=name, status="completed")
"""


def box(page: Page, name: str) -> Locator:
    return page.get_by_label(f"Select {name}")


def listed(page: Page) -> list[str]:
    return page.locator(".session-table td.cell-name > a").all_inner_texts()


def test_several_are_tagged_archived_brought_back_and_compared(app: App, page: Page) -> None:
    app.manage("shell", "-c", SEED)
    sign_in(app, page, "/sessions/?sort=name")
    assert listed(page) == ["Proofs", "Rhymes", "Sums", "Words"]
    bar = page.locator("#several")
    expect(bar).to_be_hidden()

    box(page, "Proofs").check()
    expect(bar).to_contain_text("1 selected")
    expect(bar.get_by_role("button", name="Compare")).to_be_disabled()
    box(page, "Sums").click(modifiers=["Shift"])
    expect(bar).to_contain_text("3 selected")
    expect(bar.get_by_role("button", name="Compare")).to_be_enabled()

    # Enter adds the tag: the first button of the form would archive.
    bar.get_by_label("Tags, with commas between").fill("night run")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sessions/?sort=name")
    expect(page.get_by_title("Sessions with this tag")).to_have_count(3)

    page.keyboard.press("/")
    expect(page.get_by_placeholder("Name, model, dataset, tag or owner")).to_be_focused()
    page.keyboard.type("night rhy")
    expect(page.locator(".session-table td.cell-name > a")).to_have_text(["Rhymes"])
    page.wait_for_url("**q=night*")

    page.get_by_label("Select all on this page").check()
    bar.get_by_role("button", name="Archive").click()
    page.get_by_role("link", name="Show all sessions").click()
    expect(page.locator(".session-table td.cell-name > a")).to_have_count(3)
    page.go_back()
    page.get_by_role("link", name="Archived").click()
    expect(page.locator(".session-table td.cell-name > a")).to_have_text(["Rhymes"])
    page.get_by_role("button", name="Bring Rhymes back").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".session-table td.cell-name > a")).to_have_text(["Rhymes"])

    page.goto(f"{app.url}/sessions/?sort=name")
    for name in ("Proofs", "Words"):
        box(page, name).check()
    bar.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/sessions/compare/?session=*&session=*")
    expect(page.get_by_role("heading", name="Compare sessions")).to_be_visible()
