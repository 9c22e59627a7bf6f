"""One batch of answers before the judge: who is asked what, at the same time, and what is made of the replies."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from accounts import addresses
from rewards.judging import books, guard, prompt, verdict
from rewards.judging.books import Entry
from rewards.judging.client import Client, Patience, Request
from rewards.judging.ledger import LEDGER, Spent
from rewards.judging.memory import MEMORY, Opinion
from rewards.judging.surroundings import Payer, machine, payer
from rewards.judging.wire import Line
from rewards.registry import RewardError, Sample, Score, Verdict

if TYPE_CHECKING:
    from rewards.functions.judge import JudgeModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ballot:
    """One vote on one answer. Equal ones have equal hashes, and are asked for once."""

    hash: str
    values: dict[str, str]


@dataclass
class Batch:
    parameters: JudgeModel
    address: addresses.Address
    payer: Payer
    key: str

    def verdicts(self, samples: Sequence[Sample]) -> list[Verdict]:
        ballots = [self._ballots(sample) for sample in samples]
        cast = {ballot.hash: ballot for some in ballots if not isinstance(some, RewardError) for ballot in some}
        file = machine.memory() if self.parameters.remember else None
        known = MEMORY.find(cast, file) if self.parameters.remember else {}
        missing = [ballot for hash, ballot in cast.items() if hash not in known]
        spent = Spent()
        asked = self._ask(missing, spent)
        new = {hash: said for hash, said in asked.items() if isinstance(said, Opinion)}
        if self.parameters.remember:
            MEMORY.keep(new, file)
        self._write_down(spent, len(cast), len(known))
        self._log(len(samples), len(known), len(cast))
        return [self._verdict(some, {**known, **asked}) for some in ballots]

    def _ballots(self, sample: Sample) -> list[Ballot] | RewardError:
        try:
            values = prompt.values(self.parameters.template, sample)
            shown = self._messages(values, "data")
        except RewardError as error:
            return error
        return [Ballot(self._hash(shown, vote), values) for vote in range(self.parameters.votes)]

    def _hash(self, shown: list[dict[str, str]], vote: int) -> str:
        """Of everything that is sent; in place of the border, which is new for each call, a fixed one."""
        asked = self.parameters
        sent = [str(self.address), self.key, asked.model, asked.temperature, asked.max_tokens, asked.structured]
        scale: list[object] = [asked.low, asked.high]
        if asked.labels:
            scale.append(asked.passing_labels)
        return hashlib.sha256(json.dumps([*sent, *scale, shown, vote]).encode()).hexdigest()

    def _messages(self, values: dict[str, str], border: str) -> list[dict[str, str]]:
        asked = self.parameters
        return prompt.messages(
            asked.template, values, border, rubric=asked.rubric, low=asked.low, high=asked.high, labels=asked.labels
        )

    def _write_down(self, spent: Spent, verdicts: int, remembered: int) -> None:
        if self.payer.team:
            of = books.PAGE if self.payer.scope else books.SESSION
            about = (self.payer.team, str(self.address), self.parameters.model, of)
            books.add(books.beside_memory(), Entry(*about, spent.calls, spent.tokens, verdicts, remembered))

    def _catch_up(self) -> None:
        """A budget by the day is one for all processes."""
        if not (self.payer.team and self.payer.scope):
            return
        about = (str(self.address), self.parameters.model, books.PAGE)
        for entry in books.read(books.beside_memory(), self.payer.team, books.today()):
            if (entry.endpoint, entry.model, entry.of) == about:
                LEDGER.catch_up((self.payer.scope, *about[:2]), entry.calls, entry.tokens)

    def _ask(self, ballots: list[Ballot], spent: Spent) -> dict[str, Opinion | RewardError]:
        if not ballots:
            return {}
        self._catch_up()
        asked = self.parameters
        at_once = min(asked.at_once, len(ballots))
        request = Request(asked.model, asked.temperature, asked.max_tokens, asked.structured, tuple(asked.labels))
        patience = Patience(asked.seconds, asked.retries, asked.most_calls, asked.most_tokens)
        patience = patience.hurried() if self.payer.hurried else patience
        with Line(self.address, machine.trusted(), at_once) as line, ThreadPoolExecutor(at_once) as pool:
            client = Client(line, request, patience, self.key, self.payer.scope)
            said = list(pool.map(lambda ballot: self._opinion(client, ballot), ballots))
            spent.calls, spent.tokens = client.spent.calls, client.spent.tokens
            return {ballot.hash: opinion for ballot, opinion in zip(ballots, said, strict=True)}

    def _opinion(self, client: Client, ballot: Ballot) -> Opinion | RewardError:
        try:
            body = client.ask(self._messages(ballot.values, prompt.border(ballot.values)))
            return self._read(verdict.text_of(body))
        except RewardError as error:
            return error

    def _read(self, reply: str) -> Opinion:
        """Raises RewardError."""
        asked = self.parameters
        if asked.labels:
            return verdict.choice_in(reply, asked.labels, asked.passing_labels)
        return verdict.opinion_in(reply, asked.low, asked.high)

    def _verdict(self, ballots: list[Ballot] | RewardError, said: dict[str, Opinion | RewardError]) -> Verdict:
        """The median of the votes, if more than half of them can be read."""
        if isinstance(ballots, RewardError):
            return ballots
        votes = [said[ballot.hash] for ballot in ballots]
        opinions = [vote for vote in votes if isinstance(vote, Opinion)]
        if len(opinions) <= len(votes) // 2:
            return next(vote for vote in votes if isinstance(vote, RewardError))
        low, high = self.parameters.scale
        points = median(opinion.points for opinion in opinions)
        nearest = min(opinions, key=lambda opinion: abs(opinion.points - points))
        of = f" (median of {len(opinions)} votes)" if len(votes) > 1 else ""
        words = f"Label{of}:" if self.parameters.labels else f"{points:g} of {high:g}{of}."
        return Score((points - low) / (high - low), f"{words} {nearest.reason}".strip())

    def _log(self, answers: int, known: int, ballots: int) -> None:
        spent = LEDGER.spent((self.payer.scope, str(self.address), self.parameters.model))
        logger.info(
            "Judge %s at %s: %d answers, %d of %d verdicts remembered, %d calls and %d tokens so far.",
            self.parameters.model,
            self.address.place,
            answers,
            known,
            ballots,
            spent.calls,
            spent.tokens,
        )


def judge(samples: Sequence[Sample], parameters: JudgeModel) -> list[Verdict]:
    """Raises RewardError for what concerns all of them: a blocked address, a key that can't be read."""
    address = addresses.parse(parameters.endpoint)
    try:
        guard.check(address, machine.trusted())
    except guard.Blocked as error:
        raise RewardError(str(error)) from None
    paying = payer()
    return Batch(parameters, address, paying, paying.key_for(address.origin)).verdicts(samples)
