from rewards.library.cases import case, part, preset

CATEGORY = "Formatting"
ASKED = "Cite the paper that introduced residual networks, in APA style."
HE = (
    "He, K., Zhang, X., Ren, S., & Sun, J. (2016). Deep residual learning for image recognition. *Proceedings of CVPR*,"
    " 770–778. https://doi.org/10.1109/CVPR.2016.90"
)
NO_YEAR = HE.replace(" (2016).", "")
INVENTED = "Miller, A. (2012). Residual networks for everyone. *Journal of Invented Results*, 4, 1–20."

PRESETS = [
    preset(
        "citation-format",
        "Citation format (APA)",
        CATEGORY,
        "Author, year, title and container of each citation, well formed. Looks at form alone: an invented paper scores"
        " as high as a real one. With a reference, take “Right citation”.",
        [part("format", "citation", 1.0)],
        [
            case(
                ASKED,
                None,
                (1, "complete", HE),
                (2, "without a year", NO_YEAR),
                (3, "no citation", "It was in a paper by He and others."),
                (3, "empty", ""),
            )
        ],
    ),
    preset(
        "right-citation",
        "Right citation (APA)",
        CATEGORY,
        "Author, year and title must be those of the reference; the form counts a little.",
        [part("citation", "citation_match", 1.0), part("format", "citation", 0.25)],
        [
            case(
                ASKED,
                HE,
                (1, "right", HE),
                (2, "wrong", INVENTED),
                (2, "list of all answers", f"{INVENTED}\n\n{HE}\n\n{INVENTED.replace('2012', '2013')}"),
                (3, "echo of the question", ASKED),
                (3, "empty", ""),
            )
        ],
    ),
]
