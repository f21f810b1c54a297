"""The retry budget: how many calls may be sent more than once, as a share of the calls and a few per second. And how
many calls a second somebody may make.

Retries and hedges help while few of them are needed. When a service is overloaded every one of them makes it worse, and
four attempts for each call are four times the load: the storm that keeps a service down after its cause is gone. A
budget bounds the *sum* over all calls, which a count of attempts per call cannot. Retries and hedges draw on the same
one, for to the server they are the same.

It is Finagle's ``RetryBudget`` (20 % of calls and 10 per second, over 10 s) as a leaky bucket. Per second it is filled
with ``ratio * calls + reserve`` tokens and leaks ``1 / window`` of what it holds; sending again takes one token::

    tokens = tokens * exp(-t / window) + (ratio * calls + reserve * t) * (1 - exp(-t / window)) / (t / window)

- A quiet client finds ``window * (ratio * rate + reserve)`` tokens: enough for the moment in which an instance dies. It
  cannot save up more: what was not needed an hour ago does not pay for a storm now.
- Under lasting trouble ``ratio * rate + reserve`` are sent again per second, less what leaks of the tokens that are
  being waited for: ``1 / window`` per second and token.
- No tokens come from anywhere else: over any span, withdrawals are at most the balance at its beginning (at first
  ``reserve * window``), ``ratio`` of its calls, and ``reserve`` times its seconds.

``reserve`` is for clients so quiet that a share of their calls is less than one. With a reserve of 0, a client of fewer
than ``1 / (ratio * window)`` calls per second can never send anything again.

A :class:`TokenBucket` is the plainer kind, for a server: so many calls a second that a caller may make, and as many at
once as in a second, but at least one. A call that finds no token is refused and takes nothing, so that a caller that is
refused often is no worse off than one that waits.
"""

from __future__ import annotations

from zkrpc.config import DEFAULT_RETRY_RATIO, DEFAULT_RETRY_RESERVE
from zkrpc.policies.decay import DecayingCount


class RetryBudget:
    """Tokens for sending calls again.

    Args:
        ratio: tokens per call.
        reserve: tokens per second, whatever is called.
        window: seconds after which 1 - 1/e of the tokens that nobody took are gone.
        now: monotonic seconds.
    """

    __slots__ = ("_earned", "_earned_at", "_ratio", "_reserve", "_seen", "_tokens", "_window", "calls")

    def __init__(
        self,
        *,
        ratio: float = DEFAULT_RETRY_RATIO,
        reserve: float = DEFAULT_RETRY_RESERVE,
        window: float = 10.0,
        now: float,
    ) -> None:
        self.calls = 0
        """Logical calls made; whoever makes a call increments it, which is all that the budget costs a call."""
        self._ratio = ratio
        self._reserve = reserve
        self._window = window
        # What had been earned, and of how many calls, when it was last changed at what rate.
        self._earned = 0.0
        self._earned_at = now
        self._seen = 0
        self._tokens = DecayingCount(window, now, count=reserve * window)

    def __repr__(self) -> str:
        """Calls so far, and the tokens when they were last looked at."""
        return f"<RetryBudget calls={self.calls} {self._tokens!r}>"

    def balance(self, now: float) -> float:
        """The number of tokens, as a metric shows it; a retry needs a whole one."""
        return self._tokens.fold(self._earnings(now), now)

    def change(self, *, ratio: float, reserve: float, now: float) -> None:
        """Other rates from now on. What was earned and not spent stays, less what a smaller reserve would not have
        given; nothing is given at once."""
        if (ratio, reserve) == (self._ratio, self._reserve):
            return
        surplus = max(0.0, (self._reserve - reserve) * self._window)
        self._tokens.add(-min(surplus, max(0.0, self.balance(now))), now)
        self._earned, self._earned_at, self._seen = self._earnings(now), now, self.calls
        self._ratio, self._reserve = ratio, reserve

    def _earnings(self, now: float) -> float:
        """All tokens since the beginning, spent ones and those that have leaked included."""
        return self._earned + self._ratio * (self.calls - self._seen) + self._reserve * (now - self._earned_at)

    def withdraw(self, now: float) -> bool:
        """Takes a token for one more attempt; False if there is none, and the attempt must not be made."""
        if self.balance(now) < 1.0:
            return False
        self._tokens.add(-1.0, now)
        return True


class TokenBucket:
    """``rate`` tokens a second, more than 0; full at ``now``, monotonic seconds."""

    __slots__ = ("_at", "_tokens", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._tokens = self.capacity
        self._at = now

    def __repr__(self) -> str:
        """The rate."""
        return f"<TokenBucket {self.rate:g}/s>"

    @property
    def capacity(self) -> float:
        """The most tokens that it holds."""
        return max(1.0, self.rate)

    def take(self, now: float) -> float:
        """Takes a token; or takes none, and returns the seconds until there will be one."""
        self._fill(now)
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / self.rate
        self._tokens -= 1.0
        return 0.0

    def change(self, rate: float, now: float) -> None:
        """Another rate from now on. What has been saved up stays, as far as there is room for it."""
        self._fill(now)
        self.rate = rate
        self._tokens = min(self._tokens, self.capacity)

    def _fill(self, now: float) -> None:
        self._tokens = min(self.capacity, self._tokens + max(0.0, now - self._at) * self.rate)
        self._at = now
