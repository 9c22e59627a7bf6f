from html.parser import HTMLParser

import pytest

from tests.training.factories import make_session
from training import keeping
from training.markdown import render

HX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def session(team, owner):
    return make_session(team, by=owner)


@pytest.fixture
def address(session):
    return f"/sessions/{session.pk}/notes/"


class Seen(HTMLParser):
    """What a browser makes of it."""

    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))


# Markdown


def test_headings_begin_below_those_of_the_page():
    assert render("# One\n\n##### Five") == "<h3>One</h3>\n<h6>Five</h6>\n"


def test_links_say_nothing_of_the_page_they_are_on():
    assert render("[x](https://example.org)") == (
        '<p><a href="https://example.org" rel="noopener noreferrer">x</a></p>\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](https://example.org/seen.png)",
        "<a href='javascript:alert(1)'>x</a>",
        "`<b onclick=x>`",
        "<div style='position:fixed'>",
    ],
)
def test_nothing_that_runs_or_fetches_comes_out(text):
    seen = Seen()
    seen.feed(render(text))
    assert {tag for tag, _ in seen.tags} <= {"p", "a", "code"}
    assert all(dict(attributes).keys() <= {"href", "rel"} for _, attributes in seen.tags)
    assert all(dict(attributes).get("href", "https").startswith("https") for _, attributes in seen.tags)


def test_tables_and_lists_are_shown():
    made = render("|a|\n|:-|\n|1|\n\n3. x")
    assert "<table>" in made and '<ol start="3">' in made and "style" not in made


# The verb


def test_notes_are_saved_with_their_author_and_a_new_version(session, teammate):
    keeping.write_notes(session, teammate, "# Tried\r\nthis", 0)
    assert (session.notes, session.notes_version, session.notes_by) == ("# Tried\nthis", 1, teammate)
    assert session.notes_at is not None


def test_a_text_from_an_older_version_is_refused_and_the_newer_one_stays(session, owner, teammate):
    keeping.write_notes(session, teammate, "newer", 0)
    with pytest.raises(keeping.NotesChanged, match="bob saved another text"):
        keeping.write_notes(session, owner, "older", 0)
    session.refresh_from_db()
    assert (session.notes, session.notes_version) == ("newer", 1)


def test_the_same_text_twice_is_no_conflict(session, owner):
    keeping.write_notes(session, owner, "once", 0)
    keeping.write_notes(session, owner, "once", 0)
    assert session.notes_version == 1


def test_notes_have_a_limit_that_is_named(session, owner):
    keeping.write_notes(session, owner, "x" * keeping.MOST_NOTES, 0)
    with pytest.raises(keeping.NotesTooLong, match="at most 20\u202f000 characters; these have 20\u202f001"):
        keeping.write_notes(session, owner, "x" * (keeping.MOST_NOTES + 1), 1)


# Pages


def test_a_member_writes_and_a_viewer_reads(address, teammate_client, viewer_client):
    assert "Write notes" in teammate_client.get(address, **HX).content.decode()
    teammate_client.post(address, {"notes": "It **works**", "version": "0"}, **HX)
    page = viewer_client.get(address, **HX).content.decode()
    assert "<strong>works</strong>" in page and "?edit" not in page
    assert "<textarea" not in viewer_client.get(f"{address}?edit", **HX).content.decode()
    assert viewer_client.post(address, {"notes": "x", "version": "1"}).status_code == 403
    assert viewer_client.post(f"{address}preview/", {"notes": "x"}).status_code == 403


def test_an_outsider_finds_nothing(address, outsider_client):
    assert outsider_client.get(address).status_code == 404
    assert outsider_client.post(address, {"notes": "x", "version": "0"}).status_code == 404
    assert outsider_client.post(f"{address}preview/", {"notes": "x"}).status_code == 404


def test_who_comes_second_sees_both_texts_and_saves_on_purpose(session, address, owner_client, teammate_client):
    teammate_client.post(address, {"notes": "from *Bob*", "version": "0"}, **HX)
    page = owner_client.post(address, {"notes": "from Charlie", "version": "0"}, **HX).content.decode()
    assert "bob saved another text" in page and "from <em>Bob</em>" in page and "from Charlie</textarea>" in page
    assert 'name="version" value="1"' in page
    session.refresh_from_db()
    assert session.notes == "from *Bob*"

    owner_client.post(address, {"notes": "both", "version": "1"}, **HX)
    session.refresh_from_db()
    assert session.notes == "both"


def test_without_scripts_there_is_a_page_that_says_the_same(address, owner_client):
    assert owner_client.post(address, {"notes": "one", "version": "0"}).headers["Location"] == address
    refused = owner_client.post(address, {"notes": "two", "version": "0"})
    assert refused.status_code == 409 and "two</textarea>" in refused.content.decode()
    long = owner_client.post(address, {"notes": "x" * 20_001, "version": "1"})
    assert long.status_code == 422 and "x" * 20_001 in long.content.decode()
    assert owner_client.post(address, {"notes": "three", "version": "what"}).status_code == 409


def test_a_preview_saves_nothing(session, address, owner_client):
    assert "<em>so</em>" in owner_client.post(f"{address}preview/", {"notes": "*so*"}).content.decode()
    session.refresh_from_db()
    assert session.notes == ""


# API


def patch(client, session, **body):
    return client.patch(f"/api/training/sessions/{session.pk}", body, content_type="application/json")


def test_the_api_saves_notes_with_the_version_that_was_read(session, owner_client):
    saved = patch(owner_client, session, notes="by a program", notes_version=0).json()
    assert (saved["notes"], saved["notes_version"]) == ("by a program", 1)
    late = patch(owner_client, session, notes="late", notes_version=0, name="Not this either")
    assert late.status_code == 409 and "notes_version 1" in late.json()["error"]
    session.refresh_from_db()
    assert (session.notes, session.name) == ("by a program", "Sums with SmolLM2")


def test_the_api_names_what_is_missing_or_too_long(session, owner_client):
    assert "notes_version" in patch(owner_client, session, notes="x").json()["fields"]
    assert "name" in patch(owner_client, session).json()["fields"]
    long = patch(owner_client, session, notes="x" * 20_001, notes_version=0)
    assert long.status_code == 400 and "20\u202f000" in long.json()["fields"]["notes"][0]


def test_the_api_lets_viewers_read_and_outsiders_see_nothing(session, viewer_client, outsider_client):
    assert viewer_client.get(f"/api/training/sessions/{session.pk}").json()["notes"] == ""
    assert patch(viewer_client, session, notes="x", notes_version=0).status_code == 403
    assert patch(outsider_client, session, notes="x", notes_version=0).status_code == 404
