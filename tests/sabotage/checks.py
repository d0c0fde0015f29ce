"""The numbered promises of security and reliability, and the tests that hold each: docs/checks.md is made of this.

`python -m tests.sabotage.checks > docs/checks.md` writes it anew.
"""

from __future__ import annotations

import sys

from tests.sabotage.controls import SABOTAGES
from tests.sabotage.shapes import Check
from tests.sabotage.traps import table

CHECKS = (
    Check(
        1,
        "One unused link, 32 hands at once, 200 times over: one session each time, the row is gone, and everybody "
        "else gets one and the same error.",
        (
            "signin/test_races.py::test_one_link_and_32_hands_make_one_session",
            "signin/test_races.py::test_one_link_and_32_hands_make_one_session_200_times",
            "signin/test_races.py::test_one_press_of_the_button_wins_and_its_code_opens_one_session",
            "signin/test_races.py::test_a_developers_link_opens_one_session_and_founds_one_tenant",
            "signin/test_races.py::test_wrong_digits_from_many_hands_cost_no_more_than_five_tries_in_all",
        ),
    ),
    Check(
        2,
        "A link that is looked at a hundred times, and opened by a browser that runs scripts, is not spent.",
        (
            "signin/test_confirmation_page.py::test_the_page_spends_nothing_until_its_button_is_pressed",
            "signin/test_developer_links.py::test_looking_at_the_page_a_hundred_times_spends_nothing",
            "organizations/test_invite_page.py::test_looking_at_the_page_spends_nothing_however_often",
            "browser/test_customer_sign_in.py::test_a_scanner_that_plays_first_leaves_the_link_to_its_owner",
        ),
    ),
    Check(
        3,
        "A link that was asked for in one browser opens nothing in another before the account was named there.",
        (
            "signin/test_developer_links.py::test_another_browser_gets_a_confirmation_that_names_the_account_first",
            "signin/test_developer_links.py::test_a_name_shown_for_one_link_does_not_open_another",
            "signin/test_confirmation_page.py::test_another_site_cannot_press_the_button_for_somebody",
            "browser/test_customer_sign_in.py::test_a_link_asked_for_in_one_browser_opens_in_another_by_a_click_alone",
        ),
    ),
    Check(
        4,
        "After signing out, or the end of the customer or the app, a token is refused on the next request, on every "
        "process, however it is spelt.",
        (
            "signin/test_sessions.py::test_signing_out_bites_on_the_next_request",
            "signin/test_closed_apps.py::test_a_closed_apps_sessions_links_codes_and_keys_open_nothing_any_more",
            "signin/test_live.py::test_each_end_of_a_session_bites_on_the_next_request_on_every_process",
            "signin/test_forged_tokens.py::test_no_other_spelling_of_a_good_token_passes",
            "apikeys/test_revocation_across_processes.py::test_a_revoked_rotated_or_archived_key_is_refused_by_the_other_process_at_once",
        ),
    ),
    Check(
        5,
        "Another tenant's ids get the bytes of an id that never was, on every route that takes one; nothing changes.",
        (
            "security/test_rival.py::test_a_rival_gets_what_an_id_that_never_was_gets",
            "security/test_rival.py::test_nothing_of_acmes_changed_under_all_of_it",
            "security/test_rival.py::test_a_rivals_lists_hold_nothing_of_acmes",
        ),
    ),
    Check(
        6,
        "With the application's filters gone, row-level security still yields no foreign row.",
        (
            "architecture/test_tenancy.py::test_what_runs_with_its_owners_rights_is_called_by_named_roles_alone",
            "kernel/test_tenancy.py::test_with_every_application_filter_gone_no_foreign_row_comes_through",
            "kernel/test_tenancy.py::test_nor_through_the_api",
            "kernel/test_tenancy.py::test_no_row_can_be_written_in_a_foreign_name",
            "architecture/test_tenancy.py::test_every_table_with_a_tenant_is_walled",
        ),
    ),
    Check(
        7,
        "Two tenants on the same pooled connections, 10,000 calls with errors among them: no word of the other's.",
        (
            "security/test_pooled.py::test_hundreds_of_interleaved_calls_of_two_tenants_never_meet",
            "security/test_pooled.py::test_nor_do_ten_thousand",
            "kernel/test_tenancy.py::test_a_connection_forgets_whose_it_was",
        ),
    ),
    Check(
        8,
        "One Idempotency-Key, 32 racers, a lost reply: one effect and the same bytes. Another body is refused; "
        "another tenant is independent.",
        (
            "kernel/test_idempotency.py::test_thirty_two_racers_have_one_effect_and_get_the_same_bytes",
            "kernel/test_idempotency.py::test_a_cut_reply_is_given_again",
            "kernel/test_idempotency.py::test_another_body_or_path_under_the_key_is_refused",
            "kernel/test_idempotency.py::test_tenants_are_independent",
        ),
    ),
    Check(
        9,
        "Stripe's events 50 at once and in any order: one effect and one final state. What cannot be kept is asked "
        "for again.",
        (
            "stripe/test_inbox.py::test_50_copies_at_once_are_one_effect",
            "stripe/test_sync.py::test_all_120_orders_end_in_one_state",
            "stripe/test_inbox.py::test_with_the_database_down_stripe_is_asked_to_come_back",
        ),
    ),
    Check(
        10,
        "Stripe's events with a foreign secret, 301 s old, dated ahead or spelt anew are refused and write nothing.",
        (
            "stripe/test_inbox.py::test_a_forged_event_is_refused_and_writes_nothing",
            "stripe/test_inbox.py::test_forgeries_are_counted_and_then_turned_away",
        ),
    ),
    Check(
        11,
        "Forged, re-encoded, misdirected and expired session tokens are refused; one app's key verifies nothing of "
        "another's.",
        (
            "signin/test_forged_tokens.py::test_alg_none_is_refused",
            "signin/test_forged_tokens.py::test_the_public_key_as_an_hmac_secret_is_refused",
            "signin/test_forged_tokens.py::test_a_header_that_brings_its_own_key_is_refused_even_when_rightly_signed",
            "signin/test_forged_tokens.py::test_wrong_claims_are_refused_even_when_rightly_signed",
            "signin/test_forged_tokens.py::test_an_expired_token_says_so_to_the_second",
            "signin/test_forged_tokens.py::test_a_key_of_one_app_never_verifies_for_another",
        ),
    ),
    Check(
        12,
        "Whatever a webhook's URL says and its DNS answers, nothing connects to our own network.",
        (
            "security/test_ssrf.py::test_no_hostile_host_is_stored_or_connected_to",
            "security/test_ssrf.py::test_a_name_that_resolves_to_a_hostile_address_is_not_connected_to",
            "security/test_ssrf.py::test_nxdomain_then_private_is_refused_when_it_is_private",
            "security/test_ssrf.py::test_a_redirect_to_loopback_goes_nowhere",
        ),
    ),
    Check(
        13,
        "Known and unknown addresses get the same bytes and the same work, in the same time, also past the limit.",
        (
            "signin/test_enumeration.py::test_a_link_for_a_stranger_takes_the_same_statements",
            "signin/test_enumeration.py::test_timing_tells_nothing",
            "signin/test_magic_links.py::test_asking_too_often_gets_the_same_answer_and_no_more_mail",
        ),
    ),
    Check(
        14,
        "A customer is led to exactly the registered URLs, judged when a link is asked for and when it is spent; no "
        "Location holds a session.",
        (
            "signin/test_redirects.py::test_a_hostile_redirect_is_refused_when_it_is_asked_for",
            "signin/test_redirects.py::test_a_hostile_redirect_that_got_into_the_row_is_refused_when_the_link_is_spent",
            "signin/test_redirects.py::test_a_callback_taken_away_while_a_code_is_under_way_spends_nothing",
            "signin/test_redirects.py::test_a_location_carries_a_code_that_lives_a_minute_and_never_a_session",
        ),
    ),
    Check(
        15,
        "After use, no secret and no address is readable in the database, the logs or the mail store.",
        (
            "security/test_plaintext.py::test_no_secret_lies_readable_in_any_table",
            "security/test_plaintext.py::test_none_is_in_the_logs",
            "faults/test_plaintext.py::test_after_the_main_job_nothing_secret_is_readable",
        ),
    ),
    Check(
        16,
        "Outgoing events arrive though receivers fail and dispatchers are killed, each under one id, verified by two "
        "public libraries.",
        (
            "webhooks/test_survive_kill.py::test_every_event_arrives_though_dispatchers_are_killed",
            "webhooks/test_deliver.py::test_an_event_arrives_and_both_public_libraries_verify_it",
            "webhooks/test_deliver.py::test_anything_but_2xx_is_tried_again_under_the_same_id",
        ),
    ),
    Check(
        17,
        "While a webhook's secret rotates both verify; afterwards the new one alone.",
        (
            "webhooks/test_deliver.py::test_both_secrets_verify_while_one_rotates",
            "webhooks/test_manage_endpoints.py::test_rotating_keeps_the_old_secret_signing_for_a_day",
        ),
    ),
    Check(
        18,
        "While a signing key rotates no valid token is refused, and no retired key's accepted.",
        (
            "signin/test_signing_keys.py::test_a_new_key_is_published_before_it_signs",
            "signin/test_signing_keys.py::test_the_old_key_verifies_until_its_last_token_has_ended_and_not_after",
            "signin/test_signing_keys.py::test_rotation_under_load_refuses_no_valid_token_and_accepts_no_retired_one",
        ),
    ),
    Check(
        19,
        "What is good once is never taken twice, at whatever moment it comes again.",
        (
            "members/test_factors.py::test_a_code_never_works_twice_however_late",
            "members/test_factors.py::test_once_a_later_code_was_taken_an_earlier_one_is_not",
            "members/test_passkeys.py::test_an_answer_is_good_once",
            "members/test_passkeys.py::test_a_challenge_lives_five_minutes",
            "signin/test_upkeep.py::test_what_has_expired_long_enough_goes_and_the_rest_stays",
            "stripe/test_connect.py::test_a_way_back_works_once",
        ),
    ),
    Check(
        20,
        "Each role on each route and page by each method equals a committed table; nothing is written on a read "
        "permission.",
        (
            "members/test_permissions.py::test_each_role_on_each_route_and_page_equals_the_committed_table",
            "members/test_permissions.py::test_each_route_wants_its_own_scope_and_no_other_will_do",
            "members/test_permissions.py::test_a_key_that_may_read_everything_changes_nothing",
            "organizations/test_permissions.py::test_a_session_may_what_the_table_says_of_its_role",
            "staff/test_permissions.py::test_each_role_on_each_page_and_deed_equals_the_committed_table",
        ),
    ),
    Check(
        21,
        "What is somebody else's is neither ended nor changed by its id, and an attempt on a key is on record.",
        (
            "apikeys/test_revoke.py::test_an_attempt_on_a_key_that_is_not_theirs_is_on_record",
            "apikeys/test_revoke.py::test_a_rivals_key_is_hidden_and_lives_on",
            "signin/test_sessions.py::test_a_session_of_another_customer_is_neither_shown_nor_ended",
            "members/test_devices.py::test_somebody_elses_browser_is_not_found",
            "members/test_passkeys.py::test_the_passkey_of_another_is_none_of_mine",
        ),
    ),
    Check(
        22,
        "With a member, their sessions and offers end; with an app, its keys, links and webhooks, on the next request.",
        (
            "members/test_members.py::test_a_removed_member_is_signed_out_and_finds_nothing",
            "members/test_invitations.py::test_an_invitation_of_somebody_who_was_removed_gives_nothing",
            "apikeys/test_authentication.py::test_keys_of_a_moved_app_are_dead",
            "signin/test_closed_apps.py::test_a_closed_apps_sessions_links_codes_and_keys_open_nothing_any_more",
            "webhooks/test_claim.py::test_a_closed_apps_hooks_are_dead_with_it",
        ),
    ),
    Check(
        23,
        "Each staff action leaves one audit row with its change or none; no row is edited, deleted or swapped unseen.",
        (
            "kernel/test_audit.py::test_no_row_can_be_altered",
            "kernel/test_audit.py::test_a_change_that_fails_leaves_no_row",
            "kernel/test_audit.py::test_the_sealer_chains_each_row_once_in_order",
            "staff/test_console.py::test_revealing_takes_a_reason_and_records_it",
            "staff/test_on_record.py::test_each_deed_is_one_row_with_its_change_and_neither_without_the_other",
            "trust/test_chains.py::test_tampering_is_found",
            "trust/test_chains.py::test_a_tail_that_was_cut_is_found_by_the_head_that_was_kept_elsewhere",
            "trust/test_verify_audit.py::test_a_tail_that_was_cut_and_a_forged_head_are_found",
            "trust/test_audit_export.py::test_a_tampered_export_is_noticed",
            "trust/test_heads_in_a_bucket.py::test_a_log_that_was_cut_stays_found_out_however_long_ago_and_whoever_starts_anew",
            "trust/test_heads_in_a_bucket.py::test_nothing_is_overwritten_and_what_fails_is_said_and_tried_again",
        ),
    ),
    Check(
        24,
        "After an erasure nothing of the person can be read anywhere; what the law keeps of money stays, without a name.",
        (
            "accounts/test_customer_delete.py::test_erasure_lets_go_of_everything_and_is_announced_once",
            "accounts/test_customer_delete.py::test_a_canary_is_in_no_table_in_the_clear_and_cannot_be_opened",
            "architecture/test_tenancy.py::test_every_model_with_personal_data_is_registered_for_export_and_erasure",
            "billing/test_subjects.py::test_an_erasure_leaves_what_the_law_keeps_and_no_name",
            "security/test_erased.py::test_after_customers_and_organizations_are_erased_nothing_of_them_is_left",
            "security/test_erased.py::test_after_the_account_is_erased_nothing_of_it_is_left",
            "usage/test_erasure_race.py::test_what_comes_while_a_customer_is_erased_leaves_nothing",
            "archive/test_receipts.py::test_anybody_can_check_a_receipt_with_the_published_key",
            "archive/test_tenant_deletion.py::test_a_restored_backup_is_brought_up_to_the_list",
        ),
    ),
    Check(
        25,
        "No 60 seconds pass more than the limit, over a window's edge, from many connections, with forged headers.",
        (
            "kernel/test_limits.py::test_no_stretch_of_60_seconds_passes_more_than_the_limit",
            "kernel/test_limits.py::test_five_times_the_limit_over_a_window_edge_passes_it_once",
            "kernel/test_limits.py::test_racers_from_many_connections_pass_the_limit_exactly",
            "apikeys/test_authentication.py::test_a_forged_forwarding_header_does_not_shed_the_limit",
            "kernel/test_proxies.py::test_the_caller_is_whom_the_outermost_of_our_proxies_names",
            "kernel/test_proxies.py::test_what_others_forward_is_dropped_before_anything_reads_it",
            "security/test_edges.py::test_every_page_has_its_headers_and_a_limit",
            "security/test_edges.py::test_every_call_of_the_api_has_its_headers_and_a_limit",
            "security/test_edges.py::test_a_forged_event_and_a_wrong_address_of_an_inbox_are_counted_and_a_proven_one_is_not",
            "security/test_edges.py::test_without_the_database_a_process_counts_for_itself",
            "kernel/test_proxies.py::test_in_its_own_memory_a_process_counts_as_the_shared_limiter_does",
        ),
    ),
    Check(
        26,
        "A ciphertext that was changed or moved is an error; while keys are replaced nobody who reads meets one.",
        (
            "kernel/test_crypto.py::test_every_flipped_bit_is_noticed",
            "kernel/test_sealed_fields.py::test_a_flipped_ciphertext_is_an_error",
            "kernel/test_sealed_fields.py::test_a_ciphertext_moved_to_another_row_is_an_error",
            "kernel/test_sealed_fields.py::test_a_ciphertext_brought_from_a_rival_does_not_open",
            "trust/test_rotate_keys.py::test_every_key_is_replaced_and_all_that_lay_under_it_is_read_as_before",
            "trust/test_rotate_keys.py::test_a_run_that_was_killed_is_taken_up_where_it_stood",
            "trust/test_rotate_keys.py::test_a_value_that_was_changed_or_moved_is_named_and_the_rest_goes_on",
            "trust/test_rotate_keys.py::test_nobody_who_reads_meanwhile_meets_an_error",
            "trust/test_rotate_keys.py::test_a_key_of_before_goes_on_working_and_is_hashed_anew_when_it_is_used",
            "trust/test_rotate_keys.py::test_codes_of_before_are_good_under_the_pepper_that_was_replaced",
            "trust/test_rotation_killed.py::test_a_run_that_is_killed_fails_no_reader_and_the_next_one_ends_it",
        ),
    ),
    Check(
        27,
        "Every write that was acknowledged survives the database's kill; a backup opens again.",
        (
            "runner/test_embedded_server.py::test_a_killed_server_starts_again_with_its_data",
            "faults/test_durable_counts.py::test_every_acknowledged_unit_survives_kills_of_postgresql_and_of_the_web",
            "faults/test_whole_stack.py::test_a_part_is_killed_under_traffic",
            "faults/test_whole_stack.py::test_stripe_misbehaves_under_traffic",
            "faults/test_whole_stack.py::test_clients_leave_before_they_are_answered_and_ask_again",
            "trust/test_backups.py::test_a_drill_restores_to_a_second_and_finds_the_copy_whole",
            "trust/test_backups.py::test_a_restored_server_holds_what_was_there_at_that_second_and_no_more",
            "trust/test_sealed_files.py::test_a_file_that_was_cut_between_its_pieces_is_noticed",
        ),
    ),
    Check(
        28,
        "10,000 generated requests: no fault of ours, no undocumented answer, no HTML.",
        (
            "security/test_generated.py::test_hundreds_of_generated_calls_get_documented_answers",
            "security/test_generated.py::test_ten_thousand_too",
        ),
    ),
    Check(
        29,
        "Hostile origins, and one app's origin on another, are told nothing; every answer varies by origin.",
        (
            "accounts/test_cors.py::test_hostile_origins_are_told_nothing",
            "accounts/test_cors.py::test_an_answer_may_be_read_only_where_the_credentials_app_registers_the_origin",
            "accounts/test_cors.py::test_every_answer_varies_by_origin",
        ),
    ),
    Check(
        30,
        "With unsafe settings production does not start, and says which; with safe ones TLS and headers are what "
        "scanners ask for, at every URL.",
        (
            "kernel/test_settings.py::test_production_refuses_to_start_with",
            "security/test_edges.py::test_every_page_has_its_headers_and_a_limit",
            "security/test_edges.py::test_every_call_of_the_api_has_its_headers_and_a_limit",
            "security/test_edges.py::test_what_is_answered_beside_the_pages_has_its_headers_too",
            "security/test_edges.py::test_over_plain_http_pages_lead_to_https_and_nothing_else_does",
            "security/test_tls.py::test_gunicorn_and_nginx_pass_mozillas_intermediate_profile",
        ),
    ),
    Check(
        31,
        "However many count at once, by whatever way: no hard limit is passed, no unit is lost, no key counts twice.",
        (
            "usage/test_races.py::test_racers_never_pass_a_hard_limit_and_use_all_of_it",
            "usage/test_races.py::test_racers_lose_nothing_by_whatever_way_they_come",
            "usage/test_races.py::test_a_key_counts_once_whoever_comes_first",
            "usage/test_races.py::test_a_key_counts_once_on_both_sides_of_a_periods_end",
            "usage/test_exact.py::test_a_crowd_counts_exactly_what_was_acknowledged",
        ),
    ),
    Check(
        32,
        "Staff come in by role and second factor, see people masked until revealed with a reason, act through services, "
        "and look through a tenant's dashboard only with its leave, changing nothing. All of it is on record.",
        (
            "architecture/test_tenancy.py::test_the_staff_role_sees_every_tenants_rows_and_changes_nothing",
            "staff/test_permissions.py::test_each_role_on_each_page_and_deed_equals_the_committed_table",
            "staff/test_console.py::test_each_act_asks_for_the_role_itself",
            "staff/test_console.py::test_personal_data_is_masked_and_the_look_is_in_the_tenants_log",
            "staff/test_console.py::test_revealing_takes_a_reason_and_records_it",
            "staff/test_entry.py::test_a_code_opens_the_console_until_it_lies_idle_or_the_day_is_over",
            "staff/test_entry.py::test_the_dashboards_session_is_not_the_consoles_nor_the_other_way_round",
            "staff/test_visits.py::test_a_visit_takes_consent_shows_pages_as_they_are_and_puts_each_on_record",
            "staff/test_visits.py::test_a_visit_changes_nothing_and_goes_nowhere_else",
            "staff/test_visits.py::test_no_page_of_a_visit_says_who_anybody_is",
            "staff/test_visits.py::test_who_is_on_a_page_is_masked_until_it_is_revealed_with_a_reason_for_that_page_alone",
            "signin/test_suspended.py::test_a_suspended_tenant_or_app_is_refused_on_every_path_and_goes_on_when_let",
        ),
    ),
)
HEAD = """# What is checked

Thirty-two promises of security and reliability, and the tests that hold each (below `tests/`). A test that would pass without the
control that it tests shows nothing, so each control is also taken out: `manage.py test --full` copies the tree, makes one edit
(or drops one thing in the database), and runs the named tests, which must then fail by an assertion of their own.

```text
python3 manage.py test -m slow tests/sabotage
python3 manage.py test -m slow tests/sabotage -k link-read-then-deleted
```

The edits are listed in `tests/sabotage`, by the names below. One that no longer fits the code fails the ordinary tests, so the
list cannot fall behind it.
"""


def page() -> str:
    """Return docs/checks.md."""
    parts = [HEAD]
    for check in CHECKS:
        parts.append(f"\n## {check.number}\n\n{check.promise}\n\n")
        parts += [f"- `{test}`\n" for test in check.tests]
        out = [f"- {s.removes} (`{s.name}`)\n" for s in SABOTAGES if s.check == check.number]
        parts += (
            ["\nTaken out, each noticed:\n\n", *out] if out else [f"\nNothing is taken out: {check.unsabotaged}.\n"]
        )
    return "".join([*parts, table()])


if __name__ == "__main__":
    sys.stdout.write(page())
