"""What judges have cost, counted for each payer, endpoint and model, so that a budget can end it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from loracraft.numbers import thousands
from rewards.registry import RewardError

Account = tuple[str, str, str]
MOST_ACCOUNTS = 1000


class OverBudget(RewardError):
    pass


@dataclass
class Spent:
    calls: int = 0
    tokens: int = 0


class Ledger:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent: OrderedDict[Account, Spent] = OrderedDict()

    def take_call(self, account: Account, most_calls: int, most_tokens: int) -> None:
        """Counts one call, or raises OverBudget. Calls under way may still add tokens beyond the limit."""
        with self._lock:
            spent = self._account(account)
            if spent.calls >= most_calls:
                raise OverBudget(
                    f"The judge's budget is used up: “Most calls” is {thousands(most_calls)}. Raise it to go on."
                )
            if spent.tokens >= most_tokens:
                raise OverBudget(
                    f"The judge's budget is used up: {thousands(spent.tokens)} tokens, and “Most tokens”"
                    f" is {thousands(most_tokens)}."
                    " Raise it to go on."
                )
            spent.calls += 1

    def catch_up(self, account: Account, calls: int, tokens: int) -> None:
        """What other processes, or this one before it was started again, are known to have spent."""
        with self._lock:
            spent = self._account(account)
            spent.calls, spent.tokens = max(spent.calls, calls), max(spent.tokens, tokens)

    def add_tokens(self, account: Account, tokens: int) -> None:
        with self._lock:
            self._account(account).tokens += tokens

    def spent(self, account: Account) -> Spent:
        with self._lock:
            found = self._account(account)
            return Spent(found.calls, found.tokens)

    def _account(self, account: Account) -> Spent:
        spent = self._spent.setdefault(account, Spent())
        self._spent.move_to_end(account)
        while len(self._spent) > MOST_ACCOUNTS:
            self._spent.popitem(last=False)
        return spent


LEDGER = Ledger()
