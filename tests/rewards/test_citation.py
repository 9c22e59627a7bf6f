import time

import pytest

from rewards.functions.citation import Citation, CitationMatch, citation, citation_match, entries
from rewards.registry import Markers, RewardError, Sample, Score

MARKERS = Markers("<think>", "</think>", "<SOLUTION>", "</SOLUTION>")

GOOD_APA = [
    "Okafor, N. (2019). Rivers under cities. *Journal of Urban Water*, 14(2), 101–119. https://doi.org/10.1234/juw.2019.014",
    "Lindqvist, A. B., & Moreau, C. (2021). Sleep and memory in shift workers. *Sleep Studies*, 33(4), 455–470.",
    "Tanaka, H., Ruiz, P., & Osei, K. (2015). Small grids, large storms. *Energy Letters*, 7, 12–25.",
    "Abara, E., Bell, T., Costa, M., Dietz, R., & Evans, L. (2008). The cost of noise. *Acoustics*, 2(1), 1–9.",
    "van der Berg, J. (2012). Dikes and dunes. Delta Press.",
    "O'Brien, S. T. (1998). The quiet harbour (2nd ed.). Seagull Books.",
    "Müller-Schmidt, K. (2003). Bees in winter. *Apidologie Today*, 5(3), 44–51.",
    "García Márquez, L. (2017). Soil as archive. *Geology Notes*, 9, 77–90.",
    "World Health Organization. (2020). Hearing in old age. WHO Press.",
    "UNESCO. (2011). Schools after floods. UNESCO Publishing.",
    "National Institute of Standards. (2018). Clocks and their errors. Government Printing Office.",
    "Petrova, D. (n.d.). A field guide to lichens. Moss Library. https://example.org/lichens",
    "Ito, Y., et al. (2022). Wind over rice fields. *Agronomy Reports*, 18(6), 610–622.",
    "Grant, P. (2020, May 14). Why bridges hum. *The Morning Paper*. https://example.com/bridges-hum",
    "Novak, J. (2016a). Paths of ants. *Insect Behaviour*, 41(1), 3–17. https://doi.org/10.5555/ib.41.1",
    "Adeyemi, F., & Brandt, U. (in press). Looms that learn. *Textile Science*.",
    "Silva, R. (2014). What do maps hide? *Cartography*, 22(3), 200–214.",
    "Kim, S.-J. (2009). Paper walls. Hanok Editions.",
    "Rossi, G., & de Luca, V. (2013). Olives and frost. *Orchard Science*, 6, 30–41. doi:10.7777/os.2013.6",
    "1. Weber, T. (2010). Iron in bread. *Food Chemistry Notes*, 3(2), 8–15.",
    "- Hansen, B. J., Jr. (2005). Ferries of the north. Fjord Press.",
]
BAD_APA = [
    ("Rivers under cities. *Urban Water*, 14(2). https://doi.org/10.1234/juw.2019.014", "author, year, title"),
    ("Okafor, N. Rivers under cities. *Journal of Urban Water*. https://doi.org/10.1234/juw", "author, year, title"),
    ("Okafor, N. (2019). Rivers under cities.", "container"),
    ("Okafor, N. (2019).", "title, container"),
    ("Okafor, N. (2019) Rivers under cities. *Journal of Urban Water*.", "title"),
    ("Okafor, N. (19). Rivers. *Journal*. https://example.org/rivers", "author, year, title"),
    ("Okafor, N. (2019). Rivers under cities. *Urban Water*. https://doi.org/rivers", "link"),
    ("Okafor, N. (2019). Rivers under cities. *Urban Water*. doi:11.1234/x", "link"),
    ("Nnamdi Okafor (2019). Rivers under cities. *Urban Water*. https://example.org/rivers", "author"),
    ("okafor, n. (2019). Rivers under cities. *Urban Water*. https://example.org/rivers", "author"),
    ("Okafor (2019). Rivers under cities. *Urban Water*. https://example.org/r", "author"),
    ("Lindqvist, A., Moreau, C, (2021). Sleep and memory. *Sleep Studies*. https://example.org/s", "author"),
    ("(2021). Lindqvist, A. Sleep and memory. https://example.org/s", "author"),
    ("Tanaka, H. (2015). . https://example.org/grids", "title, container"),
]  # fmt: skip
GOOD_MLA = [
    'Okafor, Nnamdi. "Rivers under Cities." *Journal of Urban Water*, vol. 14, no. 2, 2019, pp. 101-19.',
    'Lindqvist, Anna B., and Claire Moreau. "Sleep and Memory." *Sleep Studies*, vol. 33, 2021, pp. 455-70.',
    'Tanaka, Hiro, et al. "Small Grids, Large Storms." *Energy Letters*, vol. 7, 2015, https://doi.org/10.1234/el.7.',
    "van der Berg, Jan. *Dikes and Dunes*. Delta Press, 2012.",
    "O'Brien, Sean T. *The Quiet Harbour*. 2nd ed., Seagull Books, 1998.",
    "Müller-Schmidt, Karin. “Bees in Winter.” *Apidologie Today*, vol. 5, no. 3, 2003, pp. 44-51.",
    "World Health Organization. *Hearing in Old Age*. WHO Press, 2020.",
    "UNESCO. *Schools after Floods*. UNESCO Publishing, 2011.",
    'Petrova, Dana. "A Field Guide to Lichens." *Moss Library*, n.d., www.example.org/lichens.',
    'Grant, Paul. "Why Bridges Hum." *The Morning Paper*, 14 May 2020, https://example.com/bridges-hum.',
    'Silva, Rui. "What Do Maps Hide?" *Cartography*, vol. 22, no. 3, 2014, pp. 200-14.',
    "Kim, Seo-Jin. _Paper Walls_. Hanok Editions, 2009.",
    'Rossi, Gianni, and Vera de Luca. "Olives and Frost." *Orchard Science*, vol. 6, 2013, doi:10.7777/os.2013.6.',
    "Weber, Thea, and Otto Lang, editors. *Iron in Bread*. Mill House, 2010.",
    'Novak, Jan. "Paths of Ants." *Insect Behaviour*, vol. 41, no. 1, 2016, pp. 3-17.',
]
BAD_MLA = [
    ('"Rivers under Cities." *Journal of Urban Water*, vol. 14, 2019.', "author"),
    ('Okafor, Nnamdi. "Rivers under Cities." *Journal of Urban Water*, vol. 14.', "year"),
    ('Okafor, Nnamdi. "Rivers under Cities." 2019.', "container"),
    ("Okafor, Nnamdi. Rivers under Cities. Urban Water, 2019, https://example.org/r", "author, title, container"),
    ('Nnamdi Okafor. "Rivers under Cities." *Urban Water*, 2019.', "author"),
    ('Okafor, Nnamdi. "Rivers under Cities." *Urban Water*, 2019, https://doi.org/rivers.', "link"),
    ("(Okafor 2019) https://example.org/r", "author, title, container"),
]  # fmt: skip


def scored(response: str, **parameters: object) -> Score:
    return citation(Sample("Cite your source.", response, markers=MARKERS), Citation(**parameters))


def matched(response: str, reference: str | None, **parameters: object) -> Score:
    sample = Sample("Who wrote about rivers under cities?", response, reference, markers=MARKERS)
    return citation_match(sample, CitationMatch(**parameters))


@pytest.mark.parametrize("text", GOOD_APA)
def test_a_well_formed_apa_reference_has_every_element(text):
    assert scored(text) == Score(1.0, "1 references of good form.")


@pytest.mark.parametrize("text", GOOD_MLA)
def test_a_well_formed_mla_reference_has_every_element(text):
    found = scored(text, style="mla")
    # www.example.org without a scheme is what MLA writes, and no address that can be opened as it stands.
    assert found.value == (0.8 if " www." in text else 1.0), found.feedback


@pytest.mark.parametrize(("text", "lacks"), BAD_APA)
def test_what_an_apa_reference_lacks_is_named_and_costs_its_share(text, lacks):
    found = scored(text)
    assert f"lacks a well-formed {lacks}" in found.feedback
    assert found.value < 1


@pytest.mark.parametrize(("text", "lacks"), BAD_MLA)
def test_what_an_mla_reference_lacks_is_named_and_costs_its_share(text, lacks):
    found = scored(text, style="mla")
    assert f"lacks a well-formed {lacks}" in found.feedback
    assert found.value < 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Rivers run under many cities.",
        "As (Okafor, 2019) says.",
        "(Okafor, 2019)",
        "Okafor (2019) showed that rivers run under cities.",
        "In 2019 this was shown.",
        "Here is the reference:",
        "author year title journal doi",
    ],
)
@pytest.mark.parametrize("style", ["apa", "mla"])
def test_prose_and_citations_in_the_text_are_no_reference(text, style):
    assert scored(text, style=style).value == 0


def test_the_other_style_scores_less():
    assert max(scored(text, style="mla").value for text in GOOD_APA) < 1
    assert max(scored(text).value for text in GOOD_MLA) < 1


def test_every_reference_counts():
    good, bad = GOOD_APA[1], "Okafor, N. (2019). Rivers under cities."
    assert scored(f"Here they are:\n\n{good}\n{bad}\n").value == pytest.approx((1 + 0.75) / 2)


def test_below_a_heading_every_line_is_judged():
    assert scored(f"Prose.\n\n## References\n\n{GOOD_APA[1]}\nA book that I read once.").value == 0.5


def test_a_link_is_asked_for_or_may_be_left_out_but_must_be_well_formed():
    assert scored(GOOD_APA[1]).value == 1
    assert scored(GOOD_APA[1], link=True).value == 0.8
    assert scored(GOOD_APA[0], link=True).value == 1


LISTED = f"\n\n## References\n{GOOD_APA[0]}\n{GOOD_APA[1]}\n{GOOD_APA[12]}"


@pytest.mark.parametrize(
    ("prose", "value"),
    [
        ("Rivers hum (Okafor, 2019). Workers sleep (Lindqvist & Moreau, 2021). Rice (Ito et al., 2022).", 1.0),
        ("Okafor (2019) and Ito et al. (2022) agree.", 1.0),
        ("See (Okafor, 2019, p. 4).", 1.0),
        ("Rivers hum (Okafor, 2018) and sing (Okafor, 2019).", 0.5),
        ("Rivers hum (Nobody, 2019).", 0.0),
        ("Rivers hum.", 0.0),
    ],
)
def test_citations_in_the_text_must_be_in_the_list(prose, value):
    assert scored(prose + LISTED, in_text=True).value == pytest.approx(value)
    assert scored(prose + LISTED).value == 1


def test_the_citation_that_is_not_in_the_list_is_named():
    assert "Nobody (2019) is not in the list." in scored(f"Rivers (Nobody, 2019).{LISTED}", in_text=True).feedback


REFERENCE = GOOD_APA[0]
INVENTED = "Smith, J. (2019). A study of water. *Nature*, 12, 1–9. https://doi.org/10.1038/nature.1"


def test_the_right_citation_outscores_wrong_empty_echoed_and_listed_ones():
    right = matched(REFERENCE, REFERENCE).value
    assert right == 1
    for wrong in (INVENTED, "", "Who wrote about rivers under cities?", "Okafor."):
        assert matched(wrong, REFERENCE).value == 0
    assert matched("\n".join([*GOOD_APA, INVENTED]), REFERENCE).value < 0.1


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        (("Okafor, N.", "Okonkwo, N."), "author"),
        (("2019)", "2018)"), "year"),
        (("Rivers under cities", "Rivers over cities"), "title"),
    ],
)
def test_an_invented_element_scores_nothing_and_is_named(changed, differs):
    found = matched(REFERENCE.replace(*changed), REFERENCE)
    assert found.value == 0
    assert f"the {differs} is another" in found.feedback


def test_case_accents_and_emphasis_of_the_title_do_not_matter():
    assert matched(REFERENCE.replace("Rivers under cities", "*Rivers Under Cities*"), REFERENCE).value == 1


def test_mla_is_compared_too():
    assert matched(GOOD_MLA[0], GOOD_MLA[0], style="mla").value == 1
    assert matched(GOOD_MLA[1], GOOD_MLA[0], style="mla").value == 0


@pytest.mark.parametrize("reference", [None, "", "See the appendix.", "\n".join(GOOD_APA[:2]), "Okafor, N. (2019)."])
def test_a_reference_that_is_no_single_citation_is_an_error(reference):
    with pytest.raises(RewardError):
        matched(REFERENCE, reference)


def test_only_the_solution_block_is_judged_where_there_is_one():
    assert scored(f"<think>{BAD_APA[2][0]}</think><SOLUTION>{GOOD_APA[1]}</SOLUTION>").value == 1


@pytest.mark.parametrize("piece", ["A ", "A, B., ", "(A ", "van ", "&", '"', "_a", "http://", "Aa-", "A.", "A'"])
def test_hostile_text_takes_no_time(piece):
    began = time.perf_counter()
    text = "\n".join([piece * 300, piece * 30_000])
    for style in ("apa", "mla"):
        entries(text, style)
        scored(f"{text} (2019). x", style=style, in_text=True)
    assert time.perf_counter() - began < 3


@pytest.mark.parametrize("number", range(len(GOOD_APA)))
def test_each_reference_matches_itself_and_no_other(number):
    reference = GOOD_APA[number]
    assert matched(reference, reference).value == 1
    others = [text for text in GOOD_APA if text != reference]
    assert {matched(other, reference).value for other in others} == {0}


@pytest.mark.parametrize("text", GOOD_APA)
def test_a_reference_without_its_date_loses_more_than_its_year(text):
    start, end = text.index(" ("), text.index("). ") + 3
    assert scored(text[:start] + " " + text[end:]).value < 0.75


@pytest.mark.parametrize("wrapped", ["- {}", "* {}", "[1] {}", "2. {}", "  {}  ", "## References\n\n{}"])
def test_lists_and_headings_round_a_reference_do_not_matter(wrapped):
    assert scored(wrapped.format(GOOD_APA[1])).value == 1


def test_a_person_s_name_in_the_wrong_order_is_no_organisation():
    assert "author" in scored('Nnamdi Okafor. "Rivers." *Urban Water*, 2019.', style="mla").feedback
    assert scored('World Health Organization. "Rivers." *Urban Water*, 2019.', style="mla").value == 1


def test_only_so_many_references_are_read():
    assert len(entries("\n".join([GOOD_APA[1]] * 500), "apa")) == 200
