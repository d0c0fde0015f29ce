"""What others have fallen into, and the tests that keep us out: the last part of docs/checks.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trap:
    """A mistake that waits for whoever builds such a service, and the tests that would notice it here."""

    waits: str
    tests: tuple[str, ...]


TRAPS = (
    Trap(
        "dj-stripe keeps card data, plaintext keys and rows of the wrong account unless it is guarded",
        (
            "stripe/test_scan.py::test_no_table_holds_what_must_not_be_kept",
            "stripe/test_mirror.py::test_another_accounts_row_of_the_same_id_is_never_replaced",
            "stripe/test_mirror.py::test_what_may_not_be_stored_cannot_be_saved",
            "stripe/test_mirror.py::test_dj_stripes_urls_are_not_mounted_and_its_admin_is_not_registered",
            "stripe/test_mirror.py::test_the_version_that_the_guard_was_written_for_is_the_one_installed",
        ),
    ),
    Trap(
        "Two tenants choose the same Stripe object ids",
        ("stripe/test_sync.py::test_two_tenants_with_the_same_object_ids_keep_apart",),
    ),
    Trap(
        "DRF's ModelSerializer looks up related rows and uniqueness across tenants",
        ("architecture/test_traps.py::test_no_serializer_looks_into_the_database",),
    ),
    Trap(
        "An unknown URL answers HTML",
        ("kernel/test_api.py::test_an_unknown_url_answers_in_the_apis_shape",),
    ),
    Trap(
        "`TIME_ZONE` is Chicago's unless it is set",
        ("architecture/test_traps.py::test_time_is_utc_here_and_in_the_database",),
    ),
    Trap(
        "A receiver acts on an event before its change is committed, or the network is waited for in a transaction",
        (
            "architecture/test_transactions.py::test_an_event_outside_of_a_change_is_refused",
            "architecture/test_transactions.py::test_a_row_and_its_event_commit_together_or_not_at_all",
            "architecture/test_transactions.py::test_stripe_cannot_be_called_while_a_transaction_is_open",
            "architecture/test_transactions.py::test_the_network_is_reached_from_named_modules_alone",
        ),
    ),
    Trap(
        "Two checkout pages are paid, or a second subscription is",
        (
            "stripe/test_checkout.py::test_only_the_newest_page_of_a_customer_stays_open",
            "stripe/test_checkout.py::test_a_page_that_was_paid_meanwhile_is_not_followed_by_another",
            "stripe/test_checkout.py::test_racers_without_a_key_leave_one_page_open",
            "stripe/test_checkout.py::test_a_second_subscription_is_refused",
            "stripe/test_organizations.py::test_two_members_cannot_buy_for_it_twice",
        ),
    ),
    Trap(
        "Something is cancelled at Stripe without proof that it is one too many",
        (
            "stripe/test_checkout.py::test_a_second_subscription_is_refused_while_stripe_is_down",
            "stripe/test_checkout.py::test_a_subscription_that_ended_unheard_does_not_stand_in_the_way",
        ),
    ),
    Trap(
        "The way back from the page and the webhook both make the subscription",
        (
            "stripe/test_checkout.py::test_who_returns_before_the_webhook_gets_a_true_answer",
            "stripe/test_sync.py::test_many_syncs_at_once_are_one_subscription_and_one_event",
        ),
    ),
    Trap(
        "The platform's and the Connect endpoint's secrets are confused",
        (
            "stripe/test_setup.py::test_what_was_pasted_in_the_wrong_place_is_named",
            "stripe/test_inbox.py::test_secrets_the_wrong_way_round_are_said_to_be",
        ),
    ),
    Trap(
        "Who is past due is locked out before the grace period is over, or let in after it",
        (
            "billing/test_entitlements.py::test_past_due_keeps_access_through_the_grace_period",
            "stripe/test_sync.py::test_a_declined_renewal_is_past_due_inside_its_grace",
        ),
    ),
    Trap(
        "A trial, a pause or a set end waits for an event that never comes",
        (
            "billing/test_entitlements.py::test_a_cancelled_subscription_ends_by_the_clock_without_any_event",
            "billing/test_entitlements.py::test_a_trial_without_a_card_ends_by_the_clock",
            "billing/test_entitlements.py::test_a_pause_ends_access_and_its_date_brings_it_back",
        ),
    ),
    Trap(
        "A downgrade takes away what was paid for, or an upgrade waits for the renewal",
        (
            "stripe/test_change.py::test_an_upgrade_takes_hold_now_and_its_proration_is_paid",
            "stripe/test_change.py::test_a_downgrade_waits_for_the_renewal_and_is_shown",
        ),
    ),
    Trap(
        "A check does not say where its answer comes from: plan, override, add-on or organization",
        (
            "billing/test_entitlements.py::test_a_subscriber_has_what_the_plan_grants",
            "billing/test_overrides.py::test_a_grant_wins_over_the_plan_and_ends_when_taken_back",
            "billing/test_add_ons.py::test_an_add_on_adds_to_the_plan_and_says_so",
            "stripe/test_organizations.py::test_one_subscription_serves_every_member",
        ),
    ),
    Trap(
        "A platform takes a share of its tenants' money by a parameter nobody noticed",
        ("stripe/test_gateway.py::test_no_call_takes_a_share_of_the_tenants_money",),
    ),
    Trap(
        "Events that never arrive leave the two sides apart",
        (
            "stripe/test_reconcile.py::test_a_third_of_the_events_dropped_ends_in_step",
            "stripe/test_outage.py::test_nothing_is_lost_or_done_twice_when_stripe_is_down_for_a_minute",
        ),
    ),
)
HEAD = """
## Traps

What such services fall into, each with the tests that would notice it here.

| it waits | tests |
|---|---|
"""


def table() -> str:
    """Return the last part of docs/checks.md."""
    return HEAD + "".join(f"| {trap.waits} | {'<br>'.join(f'`{test}`' for test in trap.tests)} |\n" for trap in TRAPS)
