"""Markdown that people write, as HTML that can do nothing: no HTML of theirs, no pictures, no scripts, no styles."""

from __future__ import annotations

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore

TAGS = {
    *("p", "br", "hr", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "blockquote", "a"),
    *("ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
SCHEMES = {"http", "https", "mailto"}
# The page has a first and a second level of its own.
LEVELS_DOWN = 2


def _lower_headings(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + LEVELS_DOWN, 6)}"


def _parser() -> MarkdownIt:
    # A picture would be fetched from elsewhere, and tell that somebody reads here.
    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    made.core.ruler.push("lower_headings", _lower_headings)
    return made


PARSER = _parser()


def render(text: str) -> SafeString:
    """Safe to show as it is."""
    clean = nh3.clean(
        PARSER.render(text), tags=TAGS, attributes=ATTRIBUTES, url_schemes=SCHEMES, link_rel="noopener noreferrer"
    )
    return mark_safe(clean)  # noqa: S308
