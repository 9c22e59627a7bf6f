"""What does another model think of the answer?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic.config import JsonDict

from accounts import addresses
from rewards.judging import prompt
from rewards.registry import Example, Parameters, Sample, Verdict, batch_reward_function

LONG: JsonDict = {"multiline": True}


class JudgeModel(Parameters):
    endpoint: str = Field(
        min_length=1,
        max_length=addresses.LONGEST,
        title="Endpoint",
        description="Base address of an OpenAI-compatible service, such as https://api.example.org/v1. One on this"
        " machine or network has to be allowed by the administrator.",
    )
    model: str = Field(min_length=1, max_length=200, title="Model", description="Its name at the endpoint.")
    rubric: str = Field(
        max_length=20_000,
        title="Rubric",
        description="What earns points and what costs points, as you would tell a colleague who grades.",
        json_schema_extra=LONG,
    )
    template: str = Field(
        prompt.TEMPLATE,
        max_length=20_000,
        title="What the judge sees",
        description="{instruction}, {response}, {reference}, and {columns.NAME} for a column of the dataset.",
        json_schema_extra=LONG,
    )
    low: float = Field(0.0, ge=-1000, le=1000, title="Lowest score", description="Counts as 0.")
    high: float = Field(10.0, ge=-1000, le=1000, title="Highest score", description="Counts as 1.")
    labels: list[str] = Field(
        [],
        max_length=50,
        title="Labels",
        description="One a line. Empty: the judge gives points. Else it chooses a label in place of points.",
    )
    passing_labels: list[str] = Field(
        [], max_length=50, title="Labels that pass", description="They count as 1, the others as 0."
    )
    votes: int = Field(1, ge=1, le=5, title="Votes", description="The median counts. Needs a temperature above 0.")
    temperature: float = Field(0.0, ge=0, le=2, title="Temperature")
    max_tokens: int = Field(
        400, ge=16, le=16_384, title="Most new tokens", description="A model that thinks first needs thousands."
    )
    structured: bool = Field(
        True, title="Structured output", description="Ask for JSON by a schema; endpoints without it are just asked."
    )
    seconds: float = Field(60.0, ge=0.1, le=600, title="Time-out", description="Seconds for one call.")
    retries: int = Field(
        3, ge=0, le=8, title="Retries", description="After a time-out, a broken connection, a 429 or a fault of theirs."
    )
    at_once: int = Field(4, ge=1, le=32, title="At once", description="Calls at the same time.")
    most_calls: int = Field(
        10_000, ge=1, le=100_000_000, title="Most calls", description="In one run, or for a team's trials of one day."
    )
    most_tokens: int = Field(
        10_000_000, ge=1, le=100_000_000_000, title="Most tokens", description="Read and written, counted as calls are."
    )
    remember: bool = Field(True, title="Remember", description="Do not pay twice for the same answer.")

    @field_validator("endpoint")
    @classmethod
    def an_address(cls, endpoint: str) -> str:
        return str(addresses.parse(endpoint))

    @field_validator("model", "rubric")
    @classmethod
    def filled(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("Fill this in: the judge can't work without it.")
        return text

    @field_validator("template")
    @classmethod
    def shows_the_answer(cls, template: str) -> str:
        if "response" not in prompt.placeholders(template):
            raise ValueError("Without {response} the judge would not see the answer.")
        return template

    @model_validator(mode="after")
    def a_scale_and_votes_that_differ(self) -> Self:
        if self.low >= self.high:
            raise ValueError("The lowest score is not below the highest.")
        if self.votes > 1 and self.temperature == 0:
            raise ValueError("At temperature 0 all votes are the same: raise it, or take one vote.")
        return self

    @model_validator(mode="after")
    def labels_that_tell_apart(self) -> Self:
        if not self.labels and not self.passing_labels:
            return self
        if len(set(self.labels)) < max(2, len(self.labels)) or any(name != name.strip() for name in self.labels):
            raise ValueError("Give two labels or more, each once and without spaces around it.")
        if not self.passing_labels or not set(self.passing_labels) < set(self.labels):
            raise ValueError("Some of the labels have to pass, but not all: name those that do as they are written.")
        return self

    @property
    def scale(self) -> tuple[float, float]:
        """What counts as 0 and as 1."""
        return (0.0, 1.0) if self.labels else (self.low, self.high)

    def columns(self) -> list[str]:
        return prompt.columns(self.template)

    def compares(self) -> bool:
        return "reference" in prompt.placeholders(self.template)


ASKED = {
    "endpoint": "https://api.example.org/v1",
    "model": "a-judge",
    "rubric": "10 for the right capital in one short sentence, 4 for the right one among much else, 0 for a wrong one.",
}
CAPITAL = "What is the capital of France?"


@batch_reward_function(
    title="Judge model",
    category="Judge",
    parameters=JudgeModel,
    grades_content=True,
    asks_outside=True,
    examples=(
        Example(Sample(CAPITAL, "It is Paris."), 1.0, ASKED),
        Example(Sample(CAPITAL, "Lyon, Nice, Lille or Paris, one of them."), 0.4, ASKED),
        Example(Sample(CAPITAL, "It is Lyon."), 0.0, ASKED),
    ),
)
def judge_model(samples: Sequence[Sample], parameters: JudgeModel) -> list[Verdict]:
    """A language model gives points, or chooses a label, by your rubric, over any OpenAI-compatible endpoint."""
    from rewards.judging import batch

    return batch.judge(samples, parameters)
