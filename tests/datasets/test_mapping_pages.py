from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from datasets_app import mapping
from datasets_app.models import DatasetVersion, PromptTemplate
from tests.datasets.conftest import Importer, sums
from training.choices import Status
from training.models import Session

GETS = ["preview", "tokens", "extra-line", "split-values"]
POSTS = ["mapping", "auto-map", "mapping-version", "split", "source-split"]
MAPPED = {"instruction": "question", "input": "", "response": "answer", "rule": "whole"}


def url(name: str, version: DatasetVersion, number: int | None = None) -> str:
    return reverse(f"datasets:{name}", args=[version.dataset_id]) + (f"?version={number}" if number else "")


def tab(client: Client, version: DatasetVersion, number: int | None = None) -> Any:
    return client.get(url("detail", version), {"tab": "mapping", **({"version": number} if number else {})})


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def use(version: DatasetVersion, team: Team, status: str = Status.COMPLETED) -> Session:
    made: Session = Session.objects.create(team=team, name="Run one", status=status, dataset_version=version)
    return made


# Who may see and change what


@pytest.mark.parametrize("name", GETS)
def test_an_outsider_gets_404_for_every_part_of_the_tab(
    outsider_client: Client, version: DatasetVersion, name: str
) -> None:
    assert outsider_client.get(url(name, version), {**MAPPED, "column": "answer"}).status_code == 404
    assert tab(outsider_client, version).status_code == 404


@pytest.mark.parametrize("name", POSTS)
def test_an_outsider_changes_nothing(outsider_client: Client, version: DatasetVersion, name: str) -> None:
    assert outsider_client.post(url(name, version), MAPPED).status_code == 404
    assert DatasetVersion.objects.get().mapping == version.mapping


@pytest.mark.parametrize("name", POSTS)
def test_a_viewer_may_look_but_not_change(viewer_client: Client, version: DatasetVersion, name: str) -> None:
    page = text(tab(viewer_client, version))
    assert "Save columns" not in page
    assert "Save split" not in page
    assert "Auto-map" not in page
    assert viewer_client.post(url(name, version), MAPPED).status_code == 403
    assert DatasetVersion.objects.get().mapping == version.mapping


@pytest.mark.parametrize("name", POSTS)
def test_changes_are_posted(owner_client: Client, version: DatasetVersion, name: str) -> None:
    assert owner_client.get(url(name, version)).status_code == 405


# What the tab shows


def test_the_tab_shows_what_was_detected_how_surely_and_what_fits(owner_client: Client, imported: Importer) -> None:
    good = [{"question": f"{n}?", "answer": f"so\n#### {n}", "level": n} for n in range(18)]
    version = imported(*good, {"question": "a?", "answer": "no mark", "level": 1}, {"question": "", "answer": "#### 1"})
    page = text(tab(owner_client, version))
    assert "Detected “question” with 97 % confidence, because it is called “question”." in page
    assert '<option value="after_hashes" selected>' in page
    assert '<strong class="num">90.0 %</strong>' in page
    assert "18 of 20 rows have a question, an answer and a final answer" in page
    assert "Not used: level." in page
    assert page.count('<span class="chip">required</span>') == 3
    assert 'It finds one in <span class="num">95.0 %</span> of the answers' in page


def test_what_was_detected_is_chosen_even_where_the_rest_is_missing(owner_client: Client, imported: Importer) -> None:
    version = imported({"zz": "first words", "answer": "x"}, {"zz": "other words", "answer": "y"})
    assert not version.mapping and version.report["detected"]["response"]["column"] == "answer"
    page = text(tab(owner_client, version))
    assert '<option value="answer" selected>' in page and '<option value="zz" selected>' not in page
    assert "Choose what is missing." in page


def test_nested_answers_and_numbers_can_be_chosen(owner_client: Client, imported: Importer) -> None:
    version = imported(*({"question": f"{n}?", "answers": {"text": [f"a {n}"]}, "score": n + 0.5} for n in range(9)))
    assert version.mapping["response"] == "answers.text[0]"
    page = text(tab(owner_client, version))
    assert '<option value="answers.text[0]" selected>' in page
    assert '<option value="score" >' in page
    assert owner_client.post(url("mapping", version), {**MAPPED, "response": "score"}).status_code == 302
    assert DatasetVersion.objects.get().mapping["response"] == "score"


def test_a_chat_is_mapped_and_the_page_says_what_is_left_out(owner_client: Client, imported: Importer) -> None:
    def chat(n: int) -> list[dict[str, str]]:
        return [{"role": "user", "content": f"Why {n}?"}, {"role": "assistant", "content": f"Because {n} is odd."}]

    version = imported(*({"messages": chat(n)} for n in range(9)))
    assert version.mapping["instruction"] == "messages[role=user].content"
    response = tab(owner_client, version)
    assert [item.row.reference for item in response.context["mapped"]] == [f"Because {n} is odd." for n in range(3)]
    assert "Only this one message of each chat is asked" in text(response)


def test_a_hostile_cell_and_column_name_are_shown_as_text(owner_client: Client, imported: Importer) -> None:
    bad = "<script>alert(1)</script>"
    version = imported(*({"question": f"{bad} {n}?", "answer": bad, bad: bad, "split": bad} for n in range(4)))
    assert "<script>alert" not in text(tab(owner_client, version))


# Preview


def test_the_preview_follows_what_is_chosen_and_changes_nothing(owner_client: Client, imported: Importer) -> None:
    version = imported(
        *({"q": f"Ask {n}?", "i": "of this", "a": f"so\n#### {n + 100}", "b": n + 500} for n in range(9))
    )

    def shown(**chosen: Any) -> Any:
        response = owner_client.get(url("preview", version), {"instruction": "q", "response": "a", **chosen})
        assert response.status_code == 200
        return response

    mapped = shown(rule="after_hashes").context["mapped"]
    assert [item.row.reference for item in mapped] == ["100", "101", "102"]
    assert shown(response="b").context["mapped"][0].row.reference == "500"
    assert shown(input="i").context["mapped"][0].row.instruction == "Ask 0?\n\nof this"
    assert "Text after ####" in text(shown(rule="")), "an empty rule is detected"
    page = text(shown(rule="whole"))
    assert "Their notation looks like “Text after ####”" in page
    page = text(shown(extra_name="number", extra_path="b"))
    assert '<dt class="mono">number</dt><dd class="mono">500</dd>' in page
    assert "is left out: the rule finds no final answer" in text(shown(response="b", rule="after_hashes"))
    assert "There is no column “z”. The columns are: q, i, a, b." in text(shown(instruction="z"))
    assert "Choose the columns" in text(shown(instruction=""))
    assert DatasetVersion.objects.get().mapping == version.mapping


def test_the_preview_takes_the_chosen_prompt_but_no_other_team_s(
    owner_client: Client, version: DatasetVersion, outsider: Any
) -> None:
    other = PromptTemplate.objects.create(team=outsider.teams.get(), name="Secret", system_prompt="secret words")
    own = PromptTemplate.objects.get(name="Answer only")
    assert "secret words" not in text(owner_client.get(url("preview", version), {**MAPPED, "template": str(other.pk)}))
    page = text(owner_client.get(url("preview", version), {**MAPPED, "template": str(own.pk)}))
    assert "Give only the final answer, between &lt;SOLUTION&gt; and &lt;/SOLUTION&gt;." in page
    assert "Secret" not in text(tab(owner_client, version))


def test_the_prompt_is_shown_under_a_model_s_chat_template(owner_client: Client, version: DatasetVersion) -> None:
    page = text(owner_client.get(url("tokens", version), {**MAPPED, "model": "Qwen/Qwen3-0.6B"}))
    assert "&lt;|im_start|&gt;user What is 0 + 1?&lt;|im_end|&gt;" in page
    wrong = text(owner_client.get(url("tokens", version), {**MAPPED, "instruction": "gone"}))
    assert "There is no column “gone”" in wrong


def test_one_more_line_for_a_column_that_a_reward_needs(owner_client: Client, version: DatasetVersion) -> None:
    page = text(owner_client.get(url("extra-line", version)))
    assert 'name="extra_name"' in page
    assert '<option value="answer" >' in page


# Saving


def test_columns_are_saved_with_all_that_rewards_get(teammate_client: Client, imported: Importer) -> None:
    version = imported(*({**row, "meta": {"unit": "m"}, "note": "n"} for row in sums(9)))
    chosen = {**MAPPED, "input": "note", "rule": "last_number"}
    extra = {"extra_name": ["unit", "", "again"], "extra_path": ["meta.unit", "", "answer"]}
    response = teammate_client.post(url("mapping", version), {**chosen, **extra})
    assert response["Location"] == url("detail", version) + "?tab=mapping"
    version.refresh_from_db()
    assert version.mapping == {**chosen, "extra": {"unit": "meta.unit", "again": "answer"}}
    page = text(tab(teammate_client, version))
    assert 'value="unit"' in page
    assert '<option value="meta.unit" selected>' in page


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"instruction": "gone"}, "There is no column “gone”. The columns are: question, answer."),
        ({"instruction": "answer"}, "Question and answer can&#x27;t be the same column."),
        ({"input": "question"}, "The input can&#x27;t be the question or the answer again."),
        ({"rule": "after_hashes"}, "finds no final answer in any row"),
        ({"rule": "magic"}, "magic is not one of the available choices"),
        ({"instruction": ""}, "Choose the column of the question."),
        ({"extra_name": "x", "extra_path": ""}, "“x” needs both a name for the reward and a column."),
        ({"extra_name": "", "extra_path": "answer"}, "“answer” needs both a name for the reward and a column."),
        ({"extra_name": "2x", "extra_path": "answer"}, "“2x” can&#x27;t be a name that a reward reads."),
        ({"extra_name": ["x", "x"], "extra_path": ["answer", "question"]}, "Two further columns are called “x”."),
        ({"extra_name": "x", "extra_path": "gone"}, "no column “gone” for the reward"),
    ],
)
def test_a_wrong_mapping_comes_back_as_it_was_typed_with_the_reason(
    owner_client: Client, version: DatasetVersion, chosen: dict[str, Any], words: str
) -> None:
    typed = {**MAPPED, "rule": "last_number", **chosen}
    response = owner_client.post(url("mapping", version), typed)
    page = text(response)
    assert response.status_code == 400
    assert words in page
    assert response.context["tab"] == "mapping"
    if "rule" not in chosen:
        assert '<option value="last_number" selected>' in page
    if chosen.get("extra_name"):
        assert 'name="extra_name" value="' in page
    assert DatasetVersion.objects.get().mapping == version.mapping


def test_auto_map_puts_the_detected_columns_back_and_says_what_it_changed(
    owner_client: Client, version: DatasetVersion
) -> None:
    mapping.map_columns(version, "answer", "question", "last_number", extra={"x": "answer"})
    page = text(owner_client.post(url("auto-map", version), follow=True))
    assert "Auto-map changed question from “answer” to “question”; answer from “question” to “answer”" in page
    assert "final answer from “The last number” to “The whole answer”" in page
    stored = DatasetVersion.objects.get()
    assert stored.mapping == {**MAPPED, "extra": {"x": "answer"}}
    page = text(owner_client.post(url("auto-map", version), follow=True))
    assert "Auto-map found the columns as they are mapped." in page


def test_auto_map_says_where_nothing_can_be_told(owner_client: Client, imported: Importer) -> None:
    version = imported(*({"a": n, "b": -n} for n in range(9)))
    page = text(owner_client.post(url("auto-map", version), follow=True))
    assert "Choose them by hand" in page
    assert DatasetVersion.objects.get().mapping == {}


# A version that a session uses


def test_a_used_version_stays_and_another_mapping_is_one_click_away(
    owner_client: Client, team: Team, version: DatasetVersion
) -> None:
    use(version, team)
    page = text(tab(owner_client, version))
    assert "Save columns" not in page
    assert "Save split" not in page
    assert "Save as a new version" in page
    chosen = {**MAPPED, "instruction": "answer", "response": "question"}
    assert owner_client.post(url("mapping", version), chosen).status_code == 400
    assert owner_client.post(url("auto-map", version), follow=True).status_code == 200
    assert DatasetVersion.objects.get().mapping == version.mapping
    response = owner_client.post(url("mapping-version", version), chosen, follow=True)
    assert "Made version 2 with these columns." in text(response)
    assert response.context["version"].mapping["instruction"] == "answer"
    assert "Save columns" in text(response), "no session uses the new one"
    version.refresh_from_db()
    assert version.mapping["instruction"] == "question"


def test_a_wrong_mapping_makes_no_version(owner_client: Client, version: DatasetVersion) -> None:
    response = owner_client.post(url("mapping-version", version), {**MAPPED, "instruction": "answer"})
    assert response.status_code == 400
    assert DatasetVersion.objects.count() == 1


def test_an_older_version_is_shown_and_changed_as_such(owner_client: Client, version: DatasetVersion) -> None:
    owner_client.post(url("mapping-version", version), {**MAPPED, "rule": "last_number"})
    page = text(tab(owner_client, version, 1))
    assert f'action="{url("mapping", version, 1)}"' in page
    response = owner_client.post(url("mapping", version, 1), {**MAPPED, "rule": "choice_letter"})
    assert response.status_code == 400
    response = owner_client.post(url("split", version, 1), {"held_out": 7, "seed": 1})
    assert response["Location"].endswith("?tab=mapping&version=1")
    version.refresh_from_db()
    assert version.split["held_out"] == 7
    assert DatasetVersion.objects.get(number=2).split["held_out"] == 4


# The split


def test_the_split_is_saved_and_an_impossible_one_explained(owner_client: Client, version: DatasetVersion) -> None:
    owner_client.post(url("split", version), {"held_out": 8, "validation": 5, "seed": 3})
    version.refresh_from_db()
    assert version.split == {"held_out": 8, "validation": 5, "seed": 3, "chosen": True}
    for wrong, words in (
        ({"held_out": 30, "seed": 3}, "Between 1 and 20 of the 40 different questions"),
        ({"held_out": 15, "validation": 6, "seed": 3}, "At most 5 more can be used for validation"),
        ({"held_out": "", "seed": 3}, "This field is required"),
        ({"held_out": 5, "seed": -1}, "greater than or equal to 0"),
    ):
        response = owner_client.post(url("split", version), wrong)
        assert response.status_code == 400
        assert response.context["tab"] == "mapping"
        assert words in text(response)
        assert f'name="held_out" id="id_held_out" min="1" max="20" value="{wrong["held_out"]}"' in text(response)


def folds(imported: Importer) -> DatasetVersion:
    return imported(*({**row, "fold": f"part {n % 3}"} for n, row in enumerate(sums(30))))


def test_a_split_of_the_source_is_shown_value_by_value_and_saved(owner_client: Client, imported: Importer) -> None:
    version = folds(imported)
    assert "The column “fold” looks like a split of the source." in text(tab(owner_client, version))
    page = text(owner_client.get(url("split-values", version), {"column": "fold"}))
    assert page.count('name="value"') == 3
    chosen = {"column": "fold", "value": ["part 0", "part 1", "part 2"], "part": ["train", "test", ""]}
    assert owner_client.post(url("source-split", version), chosen).status_code == 302
    version.refresh_from_db()
    assert (version.split["train"], version.split["test"], version.split["other"]) == (
        ["part 0"],
        ["part 1"],
        ["part 2"],
    )
    page = text(tab(owner_client, version))
    assert '<strong>From a column of the source</strong> <span class="chip">in use</span>' in page
    assert "with another value in “fold”" in page
    owner_client.post(url("split", version), {"held_out": 3, "seed": 1})
    version.refresh_from_db()
    assert "column" not in version.split, "and back"


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"column": "question"}, "has more than 20 different values"),
        ({"column": "fold"}, "is in the train part. Choose a value of “fold” for it."),
        ({"column": "fold", "value": ["part 0"], "part": ["train"]}, "is in the test part"),
        ({"column": ""}, "Choose a column."),
        ({"column": "gone"}, "There is no column “gone”"),
    ],
)
def test_a_split_from_a_column_that_can_not_work_comes_back_with_the_reason(
    owner_client: Client, imported: Importer, chosen: dict[str, Any], words: str
) -> None:
    version = folds(imported)
    if chosen["column"] == "question":
        version = imported(*({**row, "fold": "a"} for row in sums(60)))
    before = version.split
    response = owner_client.post(url("source-split", version), chosen)
    assert response.status_code == 400
    assert words in text(response)
    version.refresh_from_db()
    assert version.split == before


def test_a_column_with_too_many_values_is_refused_when_it_is_chosen(
    owner_client: Client, version: DatasetVersion
) -> None:
    page = text(owner_client.get(url("split-values", version), {"column": "question"}))
    assert "does not say which part a row belongs to" in page
