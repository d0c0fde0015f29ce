"""Whatever happens, in whatever order, and whatever is lost on the way: in the end our rows equal Stripe's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from billing.stripe import gateway, sync
from tests.sabotage.witness import REPORT
from tests.stripe.life import Life, NewLife
from tests.stripe.world import COUPON, Start, World, held_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

# 200 lives in `test`, which has to end within minutes, and 5,000 in `test --full`, in portions that the processes share.
# A run of a sabotage only wants to know that something broke, not by how little.
PHASES = [Phase.generate] if os.environ.get(REPORT) else [Phase.generate, Phase.shrink]
# The ordinary lives are shorter, since everybody waits for them.
ORDINARY, FULL = range(5), range(5, 55)
# Every fifth portion is of people who have bought nothing yet; those of the others go on from a purchase that was made
# once for all of them.
STARTS = (
    None,
    Start("Pro", strict=True),
    Start("Seats", shared=True),
    Start("Trial", coupon=COUPON),
    Start("Year", quantity=2),
    None,
    Start("Lite", coupon=COUPON, shared=True, strict=True),
    Start("Open", quantity=3),
    Start("Seats", quantity=3, coupon=COUPON, shared=True, strict=True),
    Start("Team", quantity=2),
)


@pytest.fixture
def world(number: int, db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An app that sells, in front of a sandbox that does nothing by itself."""
    with held_sandbox(monkeypatch) as sandbox:
        settings.STRIPE_API_BASE = settings.STRIPE_CONNECT_BASE = sandbox.url
        settings.STRIPE_SANDBOX = True
        monkeypatch.setattr(gateway, "RETRIES", 0)  # The SDK's own second try would sleep, and heal what is to fail.
        monkeypatch.setattr(sync, "mirror_object", lambda *_: None)  # Nothing decides by it; it has its own tests.
        yield World(sandbox, STARTS[number % len(STARTS)])


def live(world: World, number: int, *, lives: int, steps: int) -> None:
    """Live so many lives of so many steps, the same for the same number."""
    run_state_machine_as_test(
        seed(number)(lambda: (Life if world.start else NewLife)(world)),
        settings=settings(
            max_examples=lives, stateful_step_count=steps, deadline=None, database=None, print_blob=False,
            phases=PHASES, report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("number", ORDINARY)
def test_after_any_life_our_rows_equal_stripes(world: World, number: int):
    live(world, number, lives=40, steps=6)


@pytest.mark.slow
@pytest.mark.parametrize("number", FULL)
def test_after_thousands_of_lives_our_rows_equal_stripes(world: World, number: int):
    live(world, number, lives=100, steps=7)
