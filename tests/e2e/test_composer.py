"""A reward composed as somebody does it: a real browser, typing, keys, and a page that is nearly left."""

import re

import pytest
from playwright.sync_api import Dialog, Page, Route, expect

from tests.e2e.app import App
from tests.e2e.conftest import PASSWORD, sign_in

pytestmark = pytest.mark.e2e
AUTH = ("charlie", PASSWORD)


@pytest.fixture
def composer(app: App, page: Page) -> Page:
    sign_in(app, page, "/rewards/")
    page.get_by_role("link", name="New reward").click()
    page.wait_for_url("**/rewards/new/")
    return page


def total(page: Page) -> str:
    return page.locator("[data-total]").inner_text().split()[0]


def add(page: Page, title: str) -> None:
    parts = page.locator("[data-part]")
    before = parts.count()
    page.get_by_role("button", name=f"Add {title}", exact=True).click()
    expect(parts).to_have_count(before + 1)


def problems_of(page: Page) -> list[str]:
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    return found


def test_a_reward_of_two_functions_and_a_gate_is_composed_scored_saved_and_chosen(app: App, composer: Page) -> None:
    page = composer
    problems = problems_of(page)
    page.get_by_label("Name", exact=True).first.fill("Capitals")
    search_the_catalogue(page)
    add(page, "Exact match")
    add(page, "Length")
    see_the_score_change(page)
    see_errors_at_their_field(page)
    move_by_keyboard(page)
    remove_and_undo(page)
    page.get_by_role("button", name="Create reward").click()
    page.wait_for_url(re.compile(r"/rewards/[0-9a-f-]{36}/$"))
    expect(page.get_by_text("Total = 0.5 × length + 2 × exact_match; -1 if length < 0.5")).to_be_visible()
    find_it_in_the_stepper(app, page)
    assert not problems


def search_the_catalogue(page: Page) -> None:
    page.get_by_label("Search functions").fill("exact match")
    expect(page.get_by_role("button", name="Add Exact match")).to_be_visible()
    expect(page.get_by_role("button", name="Add Length", exact=True)).to_be_hidden()
    page.get_by_label("Search functions").fill("zzzz")
    expect(page.get_by_text("No function has these words.")).to_be_visible()
    page.get_by_label("Search functions").fill("")


def see_the_score_change(page: Page) -> None:
    page.get_by_label("Question").fill("What is the capital of France?")
    page.get_by_label("Reference answer").fill("Paris")
    page.get_by_label("Answer of the model").fill("Paris")
    expect(page.locator("[data-total]")).to_contain_text("2 of 2")
    page.locator("#id_0-weight").fill("2")
    page.locator("#id_1-weight").fill("0.5")
    expect(page.locator("[data-total]")).to_contain_text("2.5 of 2.5")
    expect(page.locator("#share-0")).to_have_text("80 %")
    page.locator("#id_1-parameter-longest").fill("5")
    page.locator("#id_1-parameter-fade").fill("5")
    page.locator("#id_1-gate").fill("0.5")
    page.get_by_label("Total of a closed gate").fill("-1")
    page.get_by_label("Answer of the model").fill("Paris, which everybody knows to be the capital of France.")
    expect(page.locator("[data-gate]")).to_contain_text("The gate “length” did not hold.")
    assert total(page) == "-1"


def see_errors_at_their_field(page: Page) -> None:
    page.locator("#id_1-parameter-fade").fill("0")
    expect(page.locator("#error-1-parameter-fade")).to_contain_text("greater than or equal to 1")
    page.locator("#id_1-parameter-fade").fill("5")
    expect(page.locator("#error-1-parameter-fade")).to_be_empty()


def move_by_keyboard(page: Page) -> None:
    page.locator("#id_1-weight").press("Alt+ArrowUp")
    expect(page.locator("[data-part]").first).to_have_id("part-1")
    expect(page.locator("#part-1 [data-move=down]")).to_be_focused()
    # What was typed moved along.
    expect(page.locator("#id_1-gate")).to_have_value("0.5")


def remove_and_undo(page: Page) -> None:
    page.get_by_role("button", name="Remove Exact match").click()
    expect(page.get_by_text("“exact_match” is removed.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#id_0-weight")).to_have_value("2")


def find_it_in_the_stepper(app: App, page: Page) -> None:
    page.goto(f"{app.url}/sessions/")
    page.get_by_role("button", name="New session").first.click()
    page.wait_for_url("**/setup/model/")
    page.goto(page.url.replace("/model/", "/reward/"))
    card = page.locator(".choice", has_text="Capitals")
    expect(card).to_contain_text("Yours")
    card.click()
    expect(page.locator("#saved-mark")).to_contain_text("Saved")


def test_a_page_with_changes_is_not_left_by_accident(app: App, composer: Page) -> None:
    page, asked = composer, list[str]()

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    add(page, "Length")
    expect(page.get_by_text("Not saved yet")).to_be_visible()
    page.once("dialog", stay)
    page.get_by_role("link", name="Cancel").click(no_wait_after=True)
    expect(page.locator("[data-part]")).to_have_count(1)
    assert asked == ["beforeunload"] and page.url.endswith("/rewards/new/")


def test_rows_of_a_dataset_are_scored_one_after_the_other(app: App, composer: Page) -> None:
    page = composer
    body = {"task": "basic_arithmetic", "seed": 1, "size": 20, "name": "Arithmetic"}
    made = page.request.post(f"{app.url}/api/datasets/generate", data=body, headers={"Authorization": basic()})
    assert made.status == 201, made.text()
    page.reload()
    add(page, "Right number or formula")
    page.get_by_label("Row of").select_option(label="Arithmetic, version 1")
    question = page.get_by_label("Question")
    expect(question).not_to_have_value("")
    first = question.input_value()
    expect(page.get_by_text("counts as right")).to_be_visible()
    page.get_by_role("button", name="Next row").click()
    expect(question).not_to_have_value(first)
    page.get_by_label("Answer of the model").fill("I don't know.")
    expect(page.get_by_text("counts as wrong")).to_be_visible()
    page.get_by_role("button", name="Row before").click()
    expect(question).to_have_value(first)
    expect(page.get_by_label("Answer of the model")).to_have_value("I don't know.")


def basic() -> str:
    import base64

    return "Basic " + base64.b64encode(":".join(AUTH).encode()).decode()


def test_a_reward_is_composed_without_scripts_too(app: App, composer: Page) -> None:
    state = composer.context.storage_state()
    assert composer.context.browser is not None
    context = composer.context.browser.new_context(java_script_enabled=False, storage_state=state)
    page = context.new_page()
    page.goto(f"{app.url}/rewards/new/")
    page.get_by_label("Name", exact=True).first.fill("Plain")
    page.get_by_role("button", name="Add Length", exact=True).click()
    page.get_by_role("button", name="Add Exact match").click()
    page.get_by_role("button", name="Move Exact match up").click()
    page.locator("#id_0-weight").fill("0.25")
    page.get_by_role("button", name="Score now").click()
    expect(page.locator("[data-weights]")).to_have_text("1.25")
    page.get_by_role("button", name="Create reward").click()
    expect(page.get_by_text("Total = 1 × exact_match + 0.25 × length")).to_be_visible()
    context.close()


# What is typed while an answer is on its way


class Held:
    """Requests for a path wait until they are let go."""

    def __init__(self, page: Page, path: str) -> None:
        self.page, self.waiting, self.open = page, list[Route](), False
        page.route(f"**{path}", lambda route: route.continue_() if self.open else self.waiting.append(route))

    def asked(self, count: int = 1) -> None:
        for _ in range(200):
            if len(self.waiting) >= count:
                break
            self.page.wait_for_timeout(50)
        assert len(self.waiting) == count

    def let_go(self) -> None:
        self.open = True
        for route in self.waiting:
            route.continue_()


def test_text_typed_while_a_part_is_added_stays_with_its_caret(app: App, composer: Page) -> None:
    page = composer
    add(page, "Length")
    add(page, "Custom Python")
    held = Held(page, "/rewards/compose/parts/")
    page.get_by_role("button", name="Add Exact match").click()
    held.asked()
    page.locator("#id_0-weight").fill("7")
    page.locator("#id_0-parameter-unit").select_option("characters")
    page.locator("#id_1-parameter-judges_answer").check()
    code = page.locator("#id_1-parameter-code")
    code.fill("def reward(completions): return 12")
    for _ in range(2):
        code.press("ArrowLeft")
    held.let_go()
    expect(page.locator("[data-part]")).to_have_count(3)
    expect(page.locator("#id_0-weight")).to_have_value("7")
    expect(page.locator("#id_0-parameter-unit")).to_have_value("characters")
    expect(page.locator("#id_1-parameter-judges_answer")).to_be_checked()
    expect(code).to_be_focused()
    page.keyboard.type("3")
    expect(code).to_have_value("def reward(completions): return 312")
    expect(page.locator("#part-1 .code-shown .hljs-number")).to_have_text("312")


def test_text_typed_while_a_part_moves_is_removed_or_a_row_comes_stays(app: App, composer: Page) -> None:
    page = composer
    add(page, "Length")
    add(page, "Exact match")
    held = Held(page, "/rewards/compose/parts/")
    page.get_by_role("button", name="Move Exact match up").click()
    held.asked()
    page.locator("#id_0-parameter-longest").fill("77")
    held.let_go()
    expect(page.locator("[data-part]").first).to_have_id("part-1")
    expect(page.locator("#id_0-parameter-longest")).to_have_value("77")
    held = Held(page, "/rewards/compose/parts/")
    page.get_by_role("button", name="Remove Length").click()
    held.asked()
    page.locator("#id_0-parameter-longest").fill("78")
    held.let_go()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#id_0-parameter-longest")).to_have_value("78")


def test_text_typed_while_a_row_is_on_its_way_stays(app: App, composer: Page) -> None:
    page = composer
    body = {"task": "basic_arithmetic", "seed": 2, "size": 20, "name": "Sums"}
    made = page.request.post(f"{app.url}/api/datasets/generate", data=body, headers={"Authorization": basic()})
    assert made.status == 201, made.text()
    page.reload()
    held = Held(page, "/rewards/compose/sample/")
    page.get_by_label("Row of").select_option(label="Sums, version 1")
    held.asked()
    page.get_by_label("Answer of the model").fill("My own answer")
    held.let_go()
    expect(page.get_by_label("Question")).not_to_have_value("")
    expect(page.get_by_label("Answer of the model")).to_have_value("My own answer")


def test_buttons_pressed_faster_than_the_answers_come_all_count(app: App, composer: Page) -> None:
    page = composer
    add(page, "Length")
    held = Held(page, "/rewards/compose/parts/")
    page.get_by_role("button", name="Add Exact match").click()
    held.asked()
    page.get_by_role("button", name="Add Custom Python").click()
    page.get_by_role("button", name="Remove Length").click()
    held.asked(1)
    held.let_go()
    expect(page.locator("[data-part] h2")).to_have_text(["Exact match", "Custom Python"])


def test_after_a_failed_answer_the_page_goes_on(app: App, composer: Page) -> None:
    page = composer
    page.route("**/rewards/compose/parts/", lambda route: route.abort())
    page.get_by_role("button", name="Add Length", exact=True).click()
    page.wait_for_timeout(300)
    page.unroute("**/rewards/compose/parts/")
    add(page, "Exact match")


# Code


CODE = "#id_0-parameter-code"


def colours(page: Page) -> list[str]:
    return page.locator(".code-shown .hljs-keyword").all_inner_texts()


def test_code_is_coloured_numbered_and_indented_as_it_is_typed(app: App, composer: Page) -> None:
    page = composer
    problems = problems_of(page)
    add(page, "Custom Python")
    code = page.locator(CODE)
    assert "def" in colours(page)
    code.fill("")
    code.press_sequentially("def reward(completions, **columns):")
    code.press("Enter")
    code.press_sequentially("if True:")
    code.press("Enter")
    code.press_sequentially("return [1.0]")
    expect(code).to_have_value("def reward(completions, **columns):\n    if True:\n        return [1.0]")
    assert colours(page) == ["def", "if", "return"]
    expect(page.locator(".code-numbers span")).to_have_text(["1", "2", "3"])
    code.press("Enter")
    code.press("Backspace")
    expect(code).to_have_value(re.compile(r"\[1\.0\]\n    $"))
    same_place(page)
    assert not problems


def same_place(page: Page) -> None:
    """What is drawn lies below what is typed, to the pixel, also where lines are long."""
    page.locator(CODE).fill("x = 1\n" + "a" * 300 + "\n")
    widths = page.evaluate(
        """(name) => {
            const area = document.querySelector(name), shown = area.parentElement.querySelector(".code-shown");
            const box = (each) => each.getBoundingClientRect();
            const style = (each) => ["fontFamily", "fontSize", "lineHeight", "paddingLeft", "paddingTop", "tabSize"]
                .map((rule) => getComputedStyle(each)[rule]).join();
            return [box(area).x - box(shown).x, box(area).y - box(shown).y, box(area).width - box(shown).width,
                    area.scrollWidth - area.clientWidth, style(area) === style(shown)];
        }""",
        CODE,
    )
    assert widths == [0, 0, 0, 0, True]


def test_lines_are_indented_by_tab_undone_and_left_after_escape(app: App, composer: Page) -> None:
    page = composer
    add(page, "Custom Python")
    code = page.locator(CODE)
    code.fill("a\nb\n\nc")
    code.press("ControlOrMeta+a")
    code.press("Tab")
    expect(code).to_have_value("    a\n    b\n\n    c")
    code.press("Shift+Tab")
    expect(code).to_have_value("a\nb\n\nc")
    code.press("ControlOrMeta+End")
    code.press("Tab")
    expect(code).to_have_value("a\nb\n\nc   ")
    code.press("Shift+Tab")
    expect(code).to_have_value("a\nb\n\nc   ")
    code.press("ControlOrMeta+z")
    expect(code).to_have_value("a\nb\n\nc")
    code.press("Escape")
    code.press("Tab")
    expect(code).not_to_be_focused()
    expect(code).to_have_value("a\nb\n\nc")
    code.focus()
    code.press("Escape")
    code.press("Shift+Tab")
    expect(code).not_to_be_focused()


def wrong_lines(page: Page) -> list[str]:
    return page.locator(".code-numbers .is-wrong").all_inner_texts()


def test_the_line_that_is_wrong_or_that_failed_is_marked(app: App, composer: Page) -> None:
    page = composer
    add(page, "Custom Python")
    code = page.locator(CODE)
    code.fill("def reward(completions, **columns):\n    return [\n")
    expect(page.locator("#error-0-parameter-code")).to_contain_text("Line 2 is no Python")
    expect(page.locator(".code-numbers .is-wrong")).to_have_text("2")
    expect(code).to_have_attribute("aria-invalid", "true")
    code.fill("def reward(completions, **columns):\n    x = 1\n    return [columns['unit']]\n")
    expect(page.locator(".code-numbers .is-wrong")).to_have_count(0)
    # At once, before what was typed is scored by itself: this answer must not replace that of the button.
    page.get_by_role("button", name="Score now").click()
    expect(page.locator("#code-said-0")).to_contain_text("KeyError: 'unit'")
    assert wrong_lines(page) == ["3"]
    page.wait_for_timeout(1200)
    assert wrong_lines(page) == ["3"]
    marked, number = (page.locator(name).bounding_box() for name in (".code-marked span", ".code-numbers .is-wrong"))
    assert marked and number and marked["y"] == number["y"] and marked["height"] == number["height"]


def test_an_example_replaces_the_code_and_undo_brings_it_back(app: App, composer: Page) -> None:
    page = composer
    add(page, "Custom Python")
    code = page.locator(CODE)
    code.fill("def reward(completions): return mine")
    page.get_by_text("How the function is called").click()
    page.get_by_role("button", name="Use this: As OpenAI's Python grader").click()
    expect(code).to_have_value(re.compile(r"^def grade\(sample, item\):"))
    code.press("ControlOrMeta+z")
    expect(code).to_have_value("def reward(completions): return mine")


# On a phone


def test_on_a_phone_the_score_stays_in_sight_and_hides_no_field(app: App, composer: Page) -> None:
    page = composer
    page.emulate_media(reduced_motion="reduce")
    page.set_viewport_size({"width": 390, "height": 800})
    add(page, "Exact match")
    short, live = page.locator("#score-short"), page.locator("#live")
    fill_the_row(page)
    for name in ("#id_name", "#id_0-weight", "#id_formula", "#id_note", "#id_sample-response"):
        page.locator(name).focus()
        expect(short).to_be_in_viewport()
        box = page.locator(name).bounding_box()
        bar = page.locator("[data-score-bar]").bounding_box()
        assert box and bar and box["y"] >= bar["y"] + bar["height"], name
    expect(short).to_contain_text("1 of 1")
    expect(live).to_be_hidden()
    fold = page.get_by_role("button", name="Show all of the live score")
    fold.click()
    expect(fold).to_have_attribute("aria-expanded", "true")
    expect(live).to_be_in_viewport()
    expect(page.get_by_role("button", name="Score now")).to_be_visible()
    fold.press("Escape")
    expect(live).to_be_hidden()
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(live).to_be_visible()
    expect(short).to_be_hidden()


def fill_the_row(page: Page) -> None:
    page.get_by_label("Reference answer").fill("Paris")
    page.get_by_label("Answer of the model").fill("Paris")
    expect(page.locator("#score-short")).to_contain_text("1 of 1")
