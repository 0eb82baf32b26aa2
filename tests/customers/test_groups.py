"""Calls that are made together: whatever comes when, each is answered once, and no lane is lost."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from threading import Event, Lock

import pytest

from customers.kernel import groups as module
from customers.kernel.clock import elapsed_seconds
from customers.kernel.groups import Groups, Tell
from tests.conftest import run_together

THREADS, TURNS = 12, 40


class Refused(Exception):
    pass


class Database:
    """Answers a number by its double, and takes a while. Refuses thirteens; some groups fail, some tell early."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.alone_answered = 0
        self.groups: list[list[int]] = []
        self.most_at_once = self._at_once = 0
        self._lock = Lock()

    def alone(self, wish: int) -> int:
        self._work(0.0002)
        self.alone_answered += 1
        return self._answer(wish)

    def together(self, wishes: Sequence[int], tell: Tell[int]) -> Sequence[int | Exception]:
        self.groups.append(list(wishes))
        chance = self.random.random()
        self._work(0.0005)
        if chance < 0.1:
            raise RuntimeError("no groups today")
        outcomes = [self._outcome(wish) for wish in wishes]
        if chance < 0.3:
            tell([outcome if place % 2 else None for place, outcome in enumerate(outcomes)])
            self._work(0.0005)
        return [Failed() if chance > 0.95 else outcome for outcome in outcomes]

    def _work(self, most_seconds: float) -> None:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        Event().wait(self.random.random() * most_seconds)
        with self._lock:
            self._at_once -= 1

    def _outcome(self, wish: int) -> int | Exception:
        try:
            return self._answer(wish)
        except Refused as refusal:
            return refusal

    def _answer(self, wish: int) -> int:
        if wish % 13 == 0:
            raise Refused(wish)
        return 2 * wish


class Failed(Exception):
    """Of one in a group, which is then tried alone."""


@pytest.mark.parametrize("patience", [0.0005, 60])
@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("kins", [1, 3])
def test_whatever_comes_when_each_is_answered_and_no_lane_is_lost(
    lanes: int, kins: int, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", patience)
    database = Database(seed=lanes * 10 + kins)
    groups: Groups[int, int] = Groups(
        alone=database.alone,
        together=database.together,
        lanes=lambda: lanes,
        kin=lambda wish: wish % kins,
        refusals=(Refused,),
        most=5,
    )

    def life(number: int) -> list[tuple[int, int | str]]:
        random = Random(number)
        told: list[tuple[int, int | str]] = []
        for turn in range(TURNS):
            wish = number * TURNS + turn
            try:
                told.append((wish, groups.answer(wish)))
            except Refused as refusal:
                told.append((wish, f"refused {refusal}"))
            if random.random() < 0.2:
                Event().wait(random.random() * 0.003)
        return told

    # when twelve threads ask forty times each
    told = run_together(THREADS, life)
    # then each has an answer of its own
    for number, answers in enumerate(told):
        wishes = range(number * TURNS, (number + 1) * TURNS)
        assert answers == [(wish, 2 * wish if wish % 13 else f"refused {wish}") for wish in wishes]
    # and nothing is left behind
    assert (groups._under_way, len(groups._waiting), groups._lingering) == (0, 0, None)
    # and they went together, no more of them than may, and only kin
    assert database.groups
    assert max(map(len, database.groups)) <= 5
    assert all(len({wish % kins for wish in group}) == 1 for group in database.groups)


def test_the_last_to_come_makes_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    # given three that were answered just now, and all the time they need to come again
    monkeypatch.setattr(module, "RETURN_SECONDS", 60)
    monkeypatch.setattr(module, "LINGER_SECONDS", 60)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 60)
    database = Database(seed=1)
    database.random.random = lambda: 0.5  # type: ignore[method-assign]
    groups: Groups[int, int] = Groups(alone=database.alone, together=database.together, most=32)
    groups._crowd, groups._moved_at = 3, elapsed_seconds()

    def come(number: int) -> int:
        while len(groups._waiting) < number:
            Event().wait(0.001)
        return groups.answer(number + 1)

    # when they do
    assert run_together(3, come) == [2, 4, 6]
    # then the third asked for all of them
    assert database.groups == [[3, 1, 2]]
    assert database.alone_answered == 0


def test_a_lane_is_as_good_as_new_after_a_call_that_raises() -> None:
    def broken(_wish: int) -> int:
        raise ValueError("no")

    groups: Groups[int, int] = Groups(alone=broken, together=lambda wishes, _tell: wishes, most=5)
    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            groups.answer(1)
    assert groups._under_way == 0
