"""Whatever happens, in whatever order, and whatever is lost on the way: in the end our rows equal Stripe's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from billing.stripe import gateway, sync
from tests.sabotage.witness import REPORT
from tests.stripe.life import Life
from tests.stripe.world import World, held_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

# 100 lives in `test`, which has to end within minutes, and 5,000 in `test --full`, in portions that the processes share.
# A run of a sabotage only wants to know that something broke, not by how little.
PHASES = [Phase.generate] if os.environ.get(REPORT) else [Phase.generate, Phase.shrink]
# The ordinary lives are shorter, since everybody waits for them.
ORDINARY, FULL = range(5), range(5, 55)


@pytest.fixture
def world(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An app that sells, in front of a sandbox that does nothing by itself."""
    with held_sandbox(monkeypatch) as sandbox:
        settings.STRIPE_API_BASE = settings.STRIPE_CONNECT_BASE = sandbox.url
        settings.STRIPE_SANDBOX = True
        monkeypatch.setattr(gateway, "RETRIES", 0)  # The SDK's own second try would sleep, and heal what is to fail.
        monkeypatch.setattr(sync, "mirror_object", lambda *_: None)  # Nothing decides by it; it has its own tests.
        yield World(sandbox)


def live(world: World, number: int, *, lives: int, steps: int) -> None:
    """Live so many lives of so many steps, the same for the same number."""
    run_state_machine_as_test(
        seed(number)(lambda: Life(world)),
        settings=settings(
            max_examples=lives, stateful_step_count=steps, deadline=None, database=None, print_blob=False,
            phases=PHASES, report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("number", ORDINARY)
def test_after_any_life_our_rows_equal_stripes(world: World, number: int):
    live(world, number, lives=20, steps=6)


@pytest.mark.slow
@pytest.mark.parametrize("number", FULL)
def test_after_thousands_of_lives_our_rows_equal_stripes(world: World, number: int):
    live(world, number, lives=100, steps=12)
