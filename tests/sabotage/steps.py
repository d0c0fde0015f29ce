"""What keeps subscriptions in step with Stripe, whatever comes and whatever is lost (check 9)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage

LEASE = "billing/stripe/lease.py"
LIFECYCLE = "billing/lifecycle.py"
LIVES = "stripe/test_sequences.py::test_after_any_life_our_rows_equal_stripes"
OFFERS = "billing/stripe/offers.py"
RECONCILE = "billing/stripe/reconcile.py"
SYNC = "billing/stripe/sync.py"

STEPS = [
    Sabotage(
        "older-facts-applied",
        9,
        "facts from before what is recorded change nothing",
        ("billing/test_lifecycle.py::test_older_facts_change_nothing",),
        (
            Edit(
                LIFECYCLE,
                "    if before is not None and before.facts_at is not None and facts.as_of < before.facts_at:\n",
                "    if False:\n",
            ),
            Edit(LIFECYCLE, "        if after.status not in LEGAL[before.status]:\n", "        if False:\n"),
        ),
    ),
    Sabotage(
        "illegal-step-taken",
        9,
        "a step that Stripe's own rules exclude is refused",
        (
            "billing/test_lifecycle.py::test_nothing_leaves_canceled",
            "billing/test_lifecycle.py::test_nothing_returns_to_incomplete",
        ),
        (Edit(LIFECYCLE, "        if after.status not in LEGAL[before.status]:\n", "        if False:\n"),),
    ),
    Sabotage(
        "revived-by-an-old-account",
        9,
        "what was ended here stays so when the account comes back",
        ("stripe/test_account.py::test_what_was_ended_here_alone_stays_so_when_the_account_returns",),
        (
            Edit(
                SYNC,
                "    if known.filter(status=Subscription.Status.CANCELED).exists() and STATUS_OF[facts.status] != CANCELED:\n",
                "    if False:\n",
            ),
            Edit(LIFECYCLE, "        if after.status not in LEGAL[before.status]:\n", "        if False:\n"),
        ),
    ),
]
LEASED = [
    Sabotage(
        "lease-for-two",
        9,
        "one at a time looks at an object",
        (
            "stripe/test_sync.py::test_who_finds_the_lease_taken_leaves_word_and_the_holder_looks_again",
            "stripe/test_sync.py::test_who_waits_leaves_the_holder_to_its_work_and_takes_over_from_one_that_says_nothing",
        ),
        (
            Edit(
                LEASE,
                "            if row.until > moment and not (take_over and held_for >= UNDISTURBED):\n",
                "            if False:\n",
            ),
        ),
    ),
    Sabotage(
        "word-not-heard",
        9,
        "who holds the lease looks again where word was left",
        ("stripe/test_sync.py::test_who_finds_the_lease_taken_leaves_word_and_the_holder_looks_again",),
        (
            Edit(
                LEASE,
                "        if self.row().filter(token=self.token, wanted=True).update(wanted=False,"
                " until=wall_clock() + LASTS):\n",
                "        if False:\n",
            ),
        ),
    ),
    Sabotage(
        "recorded-without-the-lease",
        9,
        "what was fetched under a lease is recorded under the same",
        ("stripe/test_sync.py::test_a_look_that_lost_its_lease_on_the_way_records_nothing",),
        (Edit(SYNC, "                lease.check()\n", ""),),
    ),
    Sabotage(
        "unseen-events-done",
        9,
        "an event that came after the look waits for the next",
        ("stripe/test_sync.py::test_an_event_that_comes_while_its_object_is_fetched_waits_for_the_next_look",),
        (
            Edit(
                SYNC, "state=StripeEvent.State.RECEIVED, received_at__lte=began\n", "state=StripeEvent.State.RECEIVED\n"
            ),
        ),
    ),
]
LOST = [
    Sabotage(
        "missed-not-fetched",
        9,
        "events that never arrived are looked for",
        ("stripe/test_reconcile.py::test_events_that_were_dropped_are_found",),
        (
            Edit(
                RECONCILE,
                "    missed = sum(claim_event(scope, told, recovered=not expected) for told in _unknown(scope, account_id, listed))\n",
                "    missed = 0\n",
            ),
        ),
    ),
    Sabotage(
        "stuck-for-good",
        9,
        "events that were never worked off are queued again",
        ("stripe/test_reconcile.py::test_an_event_that_was_never_worked_off_is_queued_again",),
        (Edit(RECONCILE, "    stuck = _queue_stuck(scope, account_id)\n", "    stuck = 0\n"),),
    ),
    Sabotage(
        "sweep-that-repairs-nothing",
        9,
        "the nightly look puts right what differs",
        ("stripe/test_reconcile.py::test_the_nightly_sweep_follows_what_no_event_told",),
        (Edit(RECONCILE, "        repair_mismatch(scope, account_id, each)\n", ""),),
    ),
    Sabotage(
        "cursor-lost-with-the-account",
        9,
        "what happened while an account was away is looked for from where we stood",
        ("stripe/test_reconcile.py::test_what_happened_while_the_account_was_away_is_looked_for_from_where_we_stood",),
        (
            Edit(
                "billing/stripe/connect.py",
                'live.events_cursor = before.events_cursor if before else ""\n',
                'live.events_cursor = ""\n',
            ),
        ),
    ),
]
BOUGHT = [
    Sabotage(
        "two-pages-open",
        9,
        "older pages of a customer give way to the newest",
        ("stripe/test_checkout.py::test_only_the_newest_page_of_a_customer_stays_open",),
        (Edit(OFFERS, "    older = list(pages.locked())\n", "    older = list(pages.locked())[:0]\n"),),
    ),
    Sabotage(
        "second-one-sold",
        9,
        "who has a subscription is sold no second one",
        ("stripe/test_checkout.py::test_a_second_subscription_is_refused",),
        (
            Edit(
                OFFERS,
                '    if found := list(rows.exclude(stripe_subscription_id="")):\n',
                "    if found := list(rows)[:0]:\n",
            ),
        ),
    ),
    Sabotage(
        "paid-once-given-twice",
        9,
        "a page that was paid once gives what it sold once",
        ("stripe/test_packs.py::test_a_pack_is_bought_beside_a_subscription_and_ends_in_credits_once",),
        (
            Edit(
                "usage/parts.py",
                "        if not known.exists():\n",
                "        if True:\n",
            ),
        ),
        sql="drop index one_credit_per_purchase_and_metric",
    ),
    Sabotage(
        "seats-left-behind",
        9,
        "who joined while seats were being bought is paid for",
        ("stripe/test_organizations.py::test_who_joins_while_it_is_being_bought_is_paid_for_too",),
        (
            Edit(
                "billing/services/seats.py",
                "    if wanted is not None and wanted > row.quantity:\n",
                "    if wanted is None and False:\n",
            ),
        ),
    ),
]
LIVED = [
    Sabotage(
        "missed-in-a-life",
        9,
        "a life that lost events ends in step",
        (LIVES,),
        (
            Edit(
                RECONCILE,
                "    missed = sum(claim_event(scope, told, recovered=not expected)"
                " for told in _unknown(scope, account_id, listed))\n",
                "    missed = 0\n",
            ),
        ),
    ),
    Sabotage(
        "two-pages-in-a-life",
        9,
        "no life leads to two subscriptions",
        (LIVES,),
        (Edit(OFFERS, "    older = list(pages.locked())\n", "    older = list(pages.locked())[:0]\n"),),
    ),
    Sabotage(
        "seats-left-behind-in-a-life",
        9,
        "no life ends with fewer seats paid for than filled",
        (LIVES,),
        (
            Edit(
                "billing/services/seats.py",
                "    if wanted is not None and wanted > row.quantity:\n",
                "    if wanted is None and False:\n",
            ),
        ),
    ),
    Sabotage(
        "access-after-the-end-in-a-life",
        9,
        "nobody has access that Stripe's own words do not explain",
        (LIVES,),
        (
            Edit(
                "billing/lifecycle.py",
                "    if state.status == CANCELED:\n        return state.ended_at",
                "    if False:\n        return state.ended_at",
            ),
        ),
    ),
]
SABOTAGES = [*STEPS, *LEASED, *LOST, *BOUGHT, *LIVED]
