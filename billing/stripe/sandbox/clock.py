"""The clock of an account: what came due happens in its order, each at its own moment."""

import threading

from billing.stripe.sandbox.changes import drop_pending
from billing.stripe.sandbox.checkout import KIND as SESSION
from billing.stripe.sandbox.checkout import expire
from billing.stripe.sandbox.collection import abandon, collect
from billing.stripe.sandbox.context import Context, clock_note
from billing.stripe.sandbox.cycle import bill_last_usage, end_trial, renew, warn_of_trial_end
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.settings import Settings
from billing.stripe.sandbox.standing import end, period_of, save
from billing.stripe.sandbox.store import Json, Store, wall_time

TICK_SECONDS = 1.0
LONGEST_JUMP_SECONDS = 5 * 366 * 86400


def run_due(ctx: Context) -> int:
    """Let everything happen that came due up to the context's moment; how many things did."""
    done = 0
    while True:
        with ctx.store.change():
            found = ctx.store.next_due(ctx.account, ctx.now)
            if found is None:
                return done
            moment, kind, object_id = found
            act(ctx.at(moment), kind, ctx.fetch(kind, object_id))
            done += 1


def act(ctx: Context, kind: str, body: Json) -> None:
    """The one thing that is due on an object."""
    if kind == SESSION and body["status"] == "open":
        expire(ctx, body)
    elif kind == "invoice" and body["status"] == "open" and body["next_payment_attempt"]:
        collect(ctx, body)
    elif kind == "subscription":
        act_on_subscription(ctx, body)
    else:
        ctx.put(body)


def act_on_subscription(ctx: Context, subscription: Json) -> None:
    """What a subscription does by itself at this moment."""
    status, paused = subscription["status"], subscription["pause_collection"]
    if status == "incomplete":
        abandon(ctx, subscription)
    elif subscription["cancel_at"] is not None and subscription["cancel_at"] <= ctx.now:
        bill_last_usage(ctx, subscription)
        end(ctx, ctx.fetch("subscription", subscription["id"]))
    elif subscription["pending_update"] and subscription["pending_update"]["expires_at"] <= ctx.now:
        drop_pending(ctx, subscription)
    elif paused and paused["resumes_at"] is not None and paused["resumes_at"] <= ctx.now:
        save(ctx, {**subscription, "pause_collection": None})
    elif status == "trialing" and subscription["trial_end"] <= ctx.now:
        end_trial(ctx, subscription)
    elif status == "trialing" and not subscription.get("_trial_warned"):
        warn_of_trial_end(ctx, subscription)
    elif period_of(subscription)[1] <= ctx.now:
        renew(ctx, subscription)
    else:
        save(ctx, subscription, None)


def advance(store: Store, settings: Settings, account: str, *, by: int | None = None, to: int | None = None) -> Json:
    """Move an account's clock forward by seconds, or to a moment, and let everything in between happen."""
    with store.lock:
        ctx = Context.of(store, settings, account)
        target = to if to is not None else ctx.now + (by or 0)
        if not 0 <= target - ctx.now <= LONGEST_JUMP_SECONDS:
            message = "The clock moves forward only, and by at most five years at a time."
            raise StripeError(message, param="to" if to is not None else "advance")
        done = run_due(ctx.at(target))
        store.write_note(clock_note(account), target - int(wall_time()))
    return {"account": account, "now": target, "happened": done}


class Ticker(threading.Thread):
    """Lets things happen on time while nobody moves a clock."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Prepare to tick; `start` sets it going."""
        super().__init__(name="ticker", daemon=True)
        self._store, self._settings = store, settings
        self._ending = threading.Event()

    def stop(self) -> None:
        """Tick no more."""
        self._ending.set()
        self.join()

    def run(self) -> None:
        """Tick until stopped."""
        while not self._ending.wait(TICK_SECONDS):
            for row in self._store.rows("SELECT DISTINCT account FROM objects WHERE due IS NOT NULL"):
                with self._store.lock:
                    run_due(Context.of(self._store, self._settings, row["account"]))
