"""Proofs beside the link: accounts elsewhere, second factors, and what an erasure leaves behind (checks 1, 3, 11, 19, 21, 23, 24, 27)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage

PROTOCOL = "accounts/services/social_protocol.py"
SOCIAL = "accounts/services/social.py"
FACTORS = "accounts/services/second_factors.py"
ATTACKS = "signin/test_social_attacks.py"
FLOW = "signin/test_social_sign_in.py"
LEAKS = "security/test_erased.py::test_after_customers_and_organizations_are_erased_nothing_of_them_is_left"

ELSEWHERE = [
    Sabotage(
        "state-stays-good",
        1,
        "a provider's answer is taken once",
        (f"{ATTACKS}::test_a_state_works_once",),
        (
            Edit(
                SOCIAL,
                '"delete from accounts_socialattempt where app_id',
                '"update accounts_socialattempt set redirect_url = redirect_url where app_id',
            ),
        ),
    ),
    Sabotage(
        "state-of-any-browser",
        3,
        "a provider's answer counts in the browser that asked",
        (f"{ATTACKS}::test_a_state_of_another_browser_signs_nobody_in_and_stays_good_for_its_own",),
        (
            Edit(
                SOCIAL,
                "state_digest = %s and browser_digest = %s",
                "state_digest = %s and browser_digest is distinct from %s::bytea",
            ),
        ),
    ),
    Sabotage(
        "unverified-address-believed",
        21,
        "an address that a provider does not vouch for opens no account",
        (f"{FLOW}::test_an_address_that_is_not_verified_opens_no_account_and_makes_none",),
        (Edit(PROTOCOL, '    vouched = claims.get("email_verified") is True\n', "    vouched = True\n"),),
    ),
    Sabotage(
        "any-address-of-github",
        21,
        "of GitHub's addresses the primary one counts, once it is verified",
        (f"{FLOW}::test_any_other_address_of_github_opens_nothing",),
        (
            Edit(
                PROTOCOL,
                ' and entry.get("primary") is True and entry.get("verified") is True\n',
                "\n",
            ),
        ),
    ),
    Sabotage(
        "account-of-somebody-taken-over",
        21,
        "an account elsewhere signs one customer in",
        ("signin/test_social_identities.py::test_an_account_of_somebody_else_is_not_taken_over",),
        (
            Edit(
                "accounts/services/social_identities.py",
                "        if found is None or found.customer_id != customer.id:\n",
                "        if found is None:\n",
            ),
        ),
    ),
    Sabotage(
        "nonce-not-compared",
        11,
        "an id token is for the sign-in that asked for it",
        (f"{ATTACKS}::test_claims_that_do_not_fit_sign_nobody_in",),
        (
            Edit(
                PROTOCOL,
                '    if not equal(str(claims.get("nonce")).encode(errors="replace"), nonce.encode()):\n',
                '    if not equal(nonce.encode(errors="replace"), nonce.encode()):\n',
            ),
        ),
    ),
    Sabotage(
        "audience-not-compared",
        11,
        "an id token is for this client",
        (f"{ATTACKS}::test_claims_that_do_not_fit_sign_nobody_in",),
        (
            Edit(PROTOCOL, '        "aud": {"essential": True, "value": client.client_id},\n', ""),
            Edit(PROTOCOL, '{"client_id": client.client_id, "access_token"', '{"access_token"'),
        ),
    ),
    Sabotage(
        "answer-of-another-provider",
        11,
        "an answer that names another provider is not redeemed",
        (f"{ATTACKS}::test_an_answer_that_names_another_issuer_is_never_redeemed",),
        (Edit(PROTOCOL, " or iss not in {None, client.issuer}:\n", ":\n"),),
    ),
]
FACTORED = [
    Sabotage(
        "factor-never-asked",
        21,
        "who has a second factor gives it",
        ("factors/test_sign_in.py::test_optional_asks_those_who_have_one_and_nobody_else",),
        (
            Edit(
                "accounts/services/customer_factors.py",
                "(wanted != OFF and CustomerFactors(scope, customer).has_factor())\n",
                "bool(wanted is scope)\n",
            ),
        ),
    ),
    Sabotage(
        "waiting-sign-in-stays",
        1,
        "a sign-in that waits for its factor is completed once",
        ("factors/test_sign_in.py::test_a_code_works_once_across_sign_ins_and_a_sign_in_once",),
        (Edit("accounts/services/pending_sign_ins.py", "    pending.delete()\n", ""),),
    ),
    Sabotage(
        "digits-taken-twice",
        19,
        "digits of an authenticator work once",
        ("factors/test_sign_in.py::test_a_code_works_once_across_sign_ins_and_a_sign_in_once",),
        (Edit(FACTORS, "filter(pk=row.pk, last_step__lt=step)", "filter(pk=row.pk)"),),
    ),
    Sabotage(
        "recovery-code-stays",
        19,
        "a recovery code works once",
        ("factors/test_sign_in.py::test_a_recovery_code_completes_it_once_and_is_told_by_mail",),
        (
            Edit(
                FACTORS,
                "        if not self.recovery_codes().filter(digest__in=digests).delete()[0]:\n",
                "        if not self.recovery_codes().filter(digest__in=digests).exists():\n",
            ),
        ),
    ),
]
LEFT_BEHIND = [
    Sabotage(
        "factors-kept",
        24,
        "erasing a person lets their factors go",
        ("factors/test_own_factors.py::test_an_export_tells_of_factors_without_a_secret_and_erasure_lets_them_go",),
        (
            Edit(
                "accounts/factor_subjects.py",
                "filter(customer_id=subject_id).delete()[0] for model in HELD)\n",
                "filter(customer_id=subject_id).count() for model in HELD)\n",
            ),
        ),
    ),
    Sabotage(
        "key-kept-and-searched",
        24,
        "nothing of an erased person can be opened any more",
        (LEAKS,),
        (Edit("stackbe/kernel/subjects.py", "    unit.keys.destroy_subject(subject_id)\n", ""),),
    ),
    Sabotage(
        "receipt-unsigned",
        24,
        "anybody can check a receipt",
        ("archive/test_receipts.py::test_anybody_can_check_a_receipt_with_the_published_key",),
        (
            Edit(
                "accounts/services/receipts.py",
                "attest(RECEIPT, canonical(statement_of(row)))",
                'attest(RECEIPT, b"done")',
            ),
        ),
    ),
    Sabotage(
        "restored-people-come-back",
        24,
        "a restored backup forgets whom the list names",
        ("archive/test_tenant_deletion.py::test_a_restored_backup_is_brought_up_to_the_list",),
        (
            Edit(
                "stackbe/archive/services/reapply.py",
                "            erase_customer(scope, target_id)\n",
                "",
            ),
        ),
    ),
]
KEPT = [
    Sabotage(
        "sealed-file-without-an-end",
        27,
        "a backup that was cut does not open",
        ("trust/test_sealed_files.py::test_a_file_that_was_cut_between_its_pieces_is_noticed",),
        (
            Edit(
                "stackbe/trust/backups/sealing.py",
                "        self._seal(bytes(self._held), LAST)\n",
                "        self._seal(bytes(self._held), MORE)\n",
            ),
            Edit(
                "stackbe/trust/backups/sealing.py",
                "_nonce(number, MORE if ahead is not None else LAST)",
                "_nonce(number, MORE)",
            ),
        ),
    ),
    Sabotage(
        "chain-not-compared",
        23,
        "a row of the audit log that was altered is found",
        ("trust/test_chains.py::test_tampering_is_found",),
        (
            Edit(
                "stackbe/kernel/chain.py",
                "elif chained(digest, number, orjson.loads(content)) != stored:",
                "elif chained(digest, number, orjson.loads(content)) is stored:",
            ),
        ),
    ),
    Sabotage(
        "heads-not-compared",
        23,
        "a tail of the audit log that was cut off is found",
        ("trust/test_chains.py::test_a_tail_that_was_cut_is_found_by_the_head_that_was_kept_elsewhere",),
        (
            Edit(
                "stackbe/kernel/chain.py",
                "        if tenant_id in {None, owner}:\n",
                "        if tenant_id == owner:\n",
            ),
        ),
    ),
]
SABOTAGES = [*KEPT, *ELSEWHERE, *FACTORED, *LEFT_BEHIND]
