"""Whether a history of accounts can be explained by each operation happening at one instant while it ran.

The search of Wing and Gong with Lowe's memory of configurations, one account at a time, since a history is linearizable
if and only if each object's part of it is (Herlihy and Wing). It knows operations and their times, and neither clients
nor clocks: all times must come from one monotonic clock.

A transfer touches two accounts: record it as an addition to each, over the same interval. What is rejected then is
certainly wrong; that both halves happened at the same instant is not checked.

An operation without an answer may happen at any time after it was invoked, or never. Such an addition changes nothing
that anyone sees before some answer depends on it, so the search places it only right before an answer that needs it,
fewest first, and of equal ones the earliest. Without that rule every lost answer would double the search. What can
still double it is an answer that many sets of lost additions explain, or a crowd of additions that were done without
saying the balance: give additions amounts that tell them apart, let them answer the balance where possible (ten callers
at a time on one account are too many where none does), and leave out those that are known not to have happened.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence


class Kind(enum.Enum):
    """What an operation does to its account."""

    READ = "read"
    """Answers the balance."""
    ADD = "add"
    """Adds an amount, which may be negative, and answers the new balance, or only that it was done."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call by a client, as the client saw it. Times are seconds of one monotonic clock.

    Leave out what is known not to have happened (``executed=NO``, a refusal) and reads without an answer: they say
    nothing about the account.
    """

    account: Hashable
    kind: Kind
    invoked_at: float
    returned_at: float = math.inf
    """Infinity if no answer came: it may have happened at any time after ``invoked_at``, or never."""
    amount: int = 0
    balance: int | None = None
    """What was answered; None if the answer had no balance, or none came."""
    who: str = ""
    """For the message: which client, which primary, which epoch."""

    def __post_init__(self) -> None:
        """Raises ValueError for what no client can have seen."""
        if self.returned_at < self.invoked_at:
            raise ValueError(f"returned before it was invoked: {self}")
        if self.balance is not None and not self.is_answered:
            raise ValueError(f"a balance without an answer: {self}")
        if self.kind is Kind.READ and (self.balance is None or self.amount):
            raise ValueError(f"a read answers a balance and has no amount: {self}")

    @property
    def is_answered(self) -> bool:
        """False if it may have happened at any time, or never."""
        return self.returned_at < math.inf

    @property
    def required(self) -> int | None:
        """The balance right before it that its answer implies; None if it implies none."""
        return None if self.balance is None else self.balance - self.amount

    def __str__(self) -> str:
        what = "read" if self.kind is Kind.READ else f"add {self.amount}"
        answer = "no answer" if not self.is_answered else "done" if self.balance is None else str(self.balance)
        return f"[{self.invoked_at:.6f}, {self.returned_at:.6f}] {what} -> {answer} {self.who}".rstrip()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """An account whose history nothing explains, and how far the best attempt came."""

    account: Hashable
    placed: int
    """How many answered operations the best attempt could put in an order."""
    balance: int
    """The balance after them, without additions whose answer was lost and that nothing needed."""
    stuck: tuple[Operation, ...]
    """What could have come next by time, and did not fit."""

    def __str__(self) -> str:
        lines = "".join(f"\n  {operation}" for operation in self.stuck)
        return f"account {self.account}: after {self.placed} operations the balance is {self.balance}; no fit:{lines}"


class Undecided(Exception):
    """The search took more steps than it was given; the history may be right or wrong."""


def check(
    history: Iterable[Operation], *, initial: Mapping[Hashable, int] | int = 0, most_steps: int = 1_000_000
) -> list[Violation]:
    """The accounts that no order explains, at most one violation each; empty if the history is linearizable.

    ``initial`` is every account's first balance, or each one's. Raises Undecided if an account takes more than
    ``most_steps`` steps (some ten microseconds each).
    """
    accounts: dict[Hashable, list[Operation]] = collections.defaultdict(list)
    for operation in history:
        accounts[operation.account].append(operation)
    found = []
    for account, operations in accounts.items():
        balance = initial if isinstance(initial, int) else initial.get(account, 0)
        found.append(_Search(account, operations, balance, most_steps).run())
    return [violation for violation in found if violation]


@dataclasses.dataclass(frozen=True, slots=True)
class _Configuration:
    """Which operations have happened, and the balance that makes; the order among them does not matter any more.

    ``first`` counts the answered operations before the first that has not happened, and ``beyond`` has a bit for each
    one from there on, so that a long history does not make every configuration long.
    """

    first: int
    beyond: int
    lost: int
    balance: int

    def has(self, index: int) -> bool:
        """True if the answered operation of that number has happened."""
        return index < self.first or bool(self.beyond >> (index - self.first) & 1)

    def after(self, index: int, lost: int, balance: int) -> _Configuration:
        """This one and a further answered operation, with some whose answer was lost right before it."""
        first, beyond = self.first, self.beyond | 1 << (index - self.first)
        while beyond & 1:
            first, beyond = first + 1, beyond >> 1
        return _Configuration(first, beyond, self.lost | lost, balance)


class _Sums:
    """Which of some numbered amounts add up to a total.

    A table of what can be reached from each amount on keeps the search out of dead ends: ``_reach[index][size]`` has a
    bit for each sum of ``size`` amounts from ``index`` on.
    """

    def __init__(self, amounts: Iterable[tuple[int, int]]) -> None:
        # Of equal amounts the one with the lowest number comes first.
        self._amounts = sorted(amounts)
        self._offset = sum(-amount for amount, _ in self._amounts if amount < 0)
        row = [1 << self._offset] + [0] * len(self._amounts)
        self._reach = [row]
        for amount, _ in reversed(self._amounts):
            row = [row[0]] + [
                more | (fewer << amount if amount > 0 else fewer >> -amount) for fewer, more in zip(row, row[1:])
            ]
            self._reach.insert(0, row)

    def choices(self, size: int, total: int, index: int = 0) -> Iterator[int]:
        """Each choice of ``size`` amounts from ``index`` on that makes ``total``, as bits by number; of equal amounts
        only the first ones."""
        place = total + self._offset
        if place < 0 or not self._reach[index][size] >> place & 1:
            return
        if size == 0:
            yield 0
            return
        amount, number = self._amounts[index]
        for chosen in self.choices(size - 1, total - amount, index + 1):
            yield chosen | 1 << number
        while index < len(self._amounts) and self._amounts[index][0] == amount:
            index += 1
        yield from self.choices(size, total, index)


class _Search:
    """Depth first through the configurations of one account, never twice through the same one."""

    def __init__(self, account: Hashable, operations: Sequence[Operation], balance: int, most_steps: int) -> None:
        ordered = sorted(operations, key=lambda operation: operation.invoked_at)
        self._account = account
        self._answered = [operation for operation in ordered if operation.is_answered]
        self._lost = [operation for operation in ordered if not operation.is_answered and operation.amount]
        self._start = _Configuration(0, 0, 0, balance)
        self._most_steps = most_steps
        self._steps = 0

    def run(self) -> Violation | None:
        """None if some order explains everything."""
        best = self._start
        seen = {best}
        paths = [self._next(best)]
        while paths and best.first < len(self._answered):
            configuration = next(paths[-1], None)
            if configuration is None:
                paths.pop()
            elif configuration not in seen:
                seen.add(configuration)
                paths.append(self._next(configuration))
                best = max(best, configuration, key=_placed)
        if best.first == len(self._answered):
            return None
        stuck = tuple(self._answered[index] for index in self._available(best))
        return Violation(account=self._account, placed=_placed(best), balance=best.balance, stuck=stuck)

    def _next(self, configuration: _Configuration) -> Iterator[_Configuration]:
        """Every configuration one answered operation further on, the likeliest first."""
        available = self._available(configuration)
        fitting = [index for index in available if self._answered[index].required in (None, configuration.balance)]
        for index in fitting:
            self._count()
            if self._answered[index].kind is Kind.READ:
                # It changes nothing and stands in nobody's way: if any order works, so does one with it here.
                yield configuration.after(index, 0, configuration.balance)
                return
        # An addition with an answer before one without: the former fits nowhere else.
        for index in sorted(fitting, key=lambda index: self._answered[index].balance is None):
            yield configuration.after(index, 0, configuration.balance + self._answered[index].amount)
        yield from self._with_lost(configuration, available)

    def _available(self, configuration: _Configuration) -> list[int]:
        """The answered operations that may happen next: invoked before any that has not happened returned."""
        available, horizon = [], math.inf
        for index in range(configuration.first, len(self._answered)):
            operation = self._answered[index]
            if operation.invoked_at > horizon:
                break
            if not configuration.has(index):
                available.append(index)
                horizon = min(horizon, operation.returned_at)
        return available

    def _with_lost(self, configuration: _Configuration, available: Sequence[int]) -> Iterator[_Configuration]:
        """Configurations in which additions with lost answers explain the next operation's."""
        wanted: dict[int, list[int]] = collections.defaultdict(list)
        for index in available:
            required = self._answered[index].required
            if required is not None and required != configuration.balance:
                wanted[required - configuration.balance].append(index)
        if not wanted:
            return
        for chosen, total in self._choices(configuration, available, wanted):
            for index in wanted[total]:
                self._count()
                balance = configuration.balance + total + self._answered[index].amount
                yield configuration.after(index, chosen, balance)

    def _choices(
        self, configuration: _Configuration, available: Sequence[int], totals: Iterable[int]
    ) -> Iterator[tuple[int, int]]:
        """Sets of lost additions, as bits, that may have happened by now and add up to one of ``totals``; the smallest
        sets first."""
        horizon = min(self._answered[index].returned_at for index in available)
        numbers = tuple(
            number
            for number, operation in enumerate(self._lost)
            if operation.invoked_at <= horizon and not configuration.lost >> number & 1
        )
        self._count(len(numbers))
        sums = _Sums((self._lost[number].amount, number) for number in numbers)
        for size in range(1, len(numbers) + 1):
            for total in totals:
                for chosen in sums.choices(size, total):
                    yield chosen, total

    def _count(self, steps: int = 1) -> None:
        self._steps += steps
        if self._steps > self._most_steps:
            raise Undecided(f"account {self._account}: not decided within {self._most_steps} steps")


def _placed(configuration: _Configuration) -> int:
    return configuration.first + configuration.beyond.bit_count()
