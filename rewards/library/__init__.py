"""The presets that come with the program, one module a category. `rewards.shipped` writes them as rows."""

from rewards.library import answers, citations, data, formats, mathematics, programming, reasoning, summaries, writing

PRESETS = [
    *mathematics.PRESETS,
    *answers.PRESETS,
    *reasoning.PRESETS,
    *programming.PRESETS,
    *data.PRESETS,
    *summaries.PRESETS,
    *writing.PRESETS,
    *formats.PRESETS,
    *citations.PRESETS,
]
