"""What is told to nobody, read by nobody, and taken once (checks 13, 15, 19)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage

LINKS = "accounts/services/magic_links.py"
DEVELOPERS = "accounts/services/developers.py"
VIEWS = "accounts/views/auth.py"
CRYPTO = "stackbe/kernel/crypto.py"
API = "stackbe/kernel/api.py"

ALIKE = [
    Sabotage(
        "unknown-address-told",
        13,
        "nobody but the app's own backend is told that an address is unknown",
        ("signin/test_magic_links.py::test_a_stranger_to_an_app_that_creates_nobody_gets_the_same_answer_and_no_mail",),
        (
            Edit(
                LINKS,
                "if tell_unknown and not app.settings.auto_create_customer",
                "if not app.settings.auto_create_customer",
            ),
        ),
    ),
    Sabotage(
        "known-address-looked-up",
        13,
        "asking for a link does the same work for every address",
        ("signin/test_enumeration.py::test_a_link_for_a_stranger_takes_the_same_statements",),
        (
            Edit(
                LINKS,
                "    moment = wall_clock()\n    link_id = new_id()\n",
                "    moment = wall_clock()\n    with reading(scope):\n        known = customer_by_email(scope, email)\n"
                "        _ = known and known.email\n    link_id = new_id()\n",
            ),
        ),
    ),
    Sabotage(
        "unknown-developer-not-mailed",
        13,
        "asking for a developer's link does the same work for every address",
        ("signin/test_enumeration.py::test_a_developers_link_for_a_stranger_takes_the_same_statements",),
        (
            Edit(
                DEVELOPERS,
                "    _keep_newest(bytes(link.email_index))\n    enqueue(mail_developer_link, link_id=str(link.id))\n",
                "    _keep_newest(bytes(link.email_index))\n    if user_by_email(email) is not None:\n"
                "        enqueue(mail_developer_link, link_id=str(link.id))\n",
            ),
        ),
    ),
    Sabotage(
        "limit-told",
        13,
        "who asks too often gets the same answer",
        ("signin/test_magic_links.py::test_asking_too_often_gets_the_same_answer_and_no_more_mail",),
        (
            Edit(
                LINKS,
                "    if not _mail_allowed(scope, email_index(keys.index, email), caller):\n        return\n",
                "    if not _mail_allowed(scope, email_index(keys.index, email), caller):\n        raise UnknownCustomer\n",
            ),
        ),
    ),
    Sabotage(
        "limit-gone",
        13,
        "mail to one address is limited",
        ("signin/test_link_limits.py::test_an_address_gets_twenty_links_an_hour_however_it_is_spelt",),
        (Edit(LINKS, "    return limits.take_each(buckets, limits.HOUR)\n", "    return True\n"),),
    ),
    Sabotage(
        "members-told-of-invited",
        13,
        "an invitation to an organization answers alike for customers and strangers",
        ("organizations/test_invites.py::test_known_and_unknown_addresses_are_answered_alike",),
        (
            Edit(
                "accounts/services/organizations_invites.py",
                "    outgoing.forget(scope, row.id)\n    outgoing.record_asked(",
                "    if live_customers(scope).filter(email_index=row.email_index).exists():\n        row.role = 'admin'\n"
                "    outgoing.forget(scope, row.id)\n    outgoing.record_asked(",
            ),
        ),
    ),
]
READABLE = [
    Sabotage(
        "nothing-sealed",
        15,
        "what is personal is sealed",
        (
            "security/test_plaintext.py::test_no_secret_lies_readable_in_any_table",
            "accounts/test_customer_create.py::test_nothing_personal_lies_in_the_clear",
        ),
        (
            Edit(
                CRYPTO,
                "    return header + nonce + AESGCM(key).encrypt(nonce, plaintext, header + context.encode())\n",
                "    return header + nonce + plaintext + bytes(16)\n",
            ),
            Edit(
                CRYPTO,
                "        return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], header + context.encode())\n",
                "        return rest[NONCE_BYTES:-16]\n",
            ),
        ),
    ),
    Sabotage(
        "tokens-stored-whole",
        15,
        "of a token its digest is stored",
        (
            "security/test_plaintext.py::test_no_secret_lies_readable_in_any_table",
            "signin/test_magic_links.py::test_nothing_that_opens_anything_lies_in_the_database_after_use",
        ),
        (Edit(CRYPTO, "    return hashlib.sha256(token.encode()).digest()\n", "    return token.encode()\n"),),
    ),
    Sabotage(
        "api-keys-stored-whole",
        15,
        "of an API key a keyed hash is stored",
        ("apikeys/test_issue.py::test_only_a_keyed_hash_of_it_is_stored",),
        (
            Edit(
                "apikeys/authentication.py",
                '    return crypto.keyed_hash(pepper, "api-key", key)\n',
                "    return key.encode()\n",
            ),
        ),
    ),
    Sabotage(
        "digits-without-pepper",
        15,
        "6 digits are stored under the tenant's pepper, bound to their link",
        ("signin/test_link_limits.py::test_equal_digits_of_two_links_are_stored_differently_and_under_the_pepper",),
        (
            Edit(
                "accounts/opaque.py",
                '    return keyed_hash(pepper, "sign-in-code", str(row_id), code)\n',
                '    return keyed_hash(b"", "sign-in-code", code)\n',
            ),
        ),
    ),
    Sabotage(
        "address-in-the-job",
        15,
        "a job carries ids and nothing else",
        ("signin/test_magic_links.py::test_jobs_carry_ids_alone",),
        (
            Edit(
                LINKS,
                "app_id=str(scope.app), link_id=str(link_id))",
                "app_id=str(scope.app), link_id=str(link_id), email=email)",
            ),
        ),
    ),
    Sabotage(
        "logs-unmasked",
        15,
        "a line of a log is masked whatever was put into it",
        (
            "kernel/test_logs.py::test_a_secret_is_masked_wherever_it_stands_in_a_line",
            "kernel/test_logs.py::test_an_authorization_header_is_masked",
        ),
        (Edit("stackbe/kernel/logs.py", '    return SECRETS.sub("[masked]", text)\n', "    return text\n"),),
    ),
    Sabotage(
        "cookies-stored-whole",
        15,
        "of a browser session's cookie a hash is stored",
        ("signin/test_developer_links.py::test_a_dump_of_the_sessions_signs_nobody_in",),
        (
            Edit(
                "stackbe/kernel/sessions.py",
                "    return hashlib.sha256(cookie.encode()).hexdigest()\n",
                "    return cookie\n",
            ),
        ),
    ),
    Sabotage(
        "replies-stored-open",
        15,
        "a stored reply opens only for who holds the credential and the key",
        ("kernel/test_idempotency.py::test_the_stored_reply_opens_only_for_who_holds_credential_and_key",),
        (
            Edit(
                "stackbe/kernel/idempotency.py",
                'self._reply_key = crypto.derive(secret, "idempotency-reply")',
                'self._reply_key = crypto.derive(b"", "idempotency-reply")',
            ),
        ),
    ),
]
REPLAYED = [
    Sabotage(
        "authenticator-code-twice",
        19,
        "a code of an authenticator app is taken once",
        ("members/test_factors.py::test_a_code_never_works_twice_however_late",),
        (Edit("accounts/services/second_factors.py", "filter(pk=row.pk, last_step__lt=step)", "filter(pk=row.pk)"),),
    ),
    Sabotage(
        "authenticator-code-earlier",
        19,
        "after a later code an earlier one is not taken",
        ("members/test_factors.py::test_once_a_later_code_was_taken_an_earlier_one_is_not",),
        (
            Edit(
                "accounts/services/second_factors.py",
                "return bool(self.apps().filter(pk=row.pk, last_step__lt=step).update(last_step=step))",
                "return bool(self.apps().filter(pk=row.pk).exclude(last_step=step).update(last_step=step))",
            ),
        ),
    ),
    Sabotage(
        "recovery-code-twice",
        19,
        "a recovery code is taken once",
        ("members/test_factors.py::test_a_recovery_code_signs_in_once_and_is_told_by_mail",),
        (
            Edit(
                "accounts/services/second_factors.py",
                "if not self.recovery_codes().filter(digest__in=digests).delete()[0]:",
                "if not self.recovery_codes().filter(digest__in=digests).exists():",
            ),
        ),
    ),
    Sabotage(
        "passkeys-answer-twice",
        19,
        "a passkey's challenge is answered once",
        ("members/test_passkeys.py::test_a_challenge_is_taken_once",),
        (Edit("accounts/pages/proof.py", "kept = session.pop(purpose, None)", "kept = session.get(purpose)"),),
    ),
    Sabotage(
        "passkeys-challenge-for-ever",
        19,
        "a passkey's challenge lives five minutes",
        ("members/test_passkeys.py::test_a_challenge_lives_five_minutes",),
        (
            Edit(
                "accounts/pages/proof.py",
                'if kept is None or _seconds() - kept["at"] > CHALLENGE_LIVES.total_seconds():',
                "if kept is None:",
            ),
        ),
    ),
    Sabotage(
        "copied-passkey",
        19,
        "a copied passkey whose count falls behind is refused",
        ("members/test_passkeys.py::test_a_copied_authenticator_whose_count_falls_behind_is_refused",),
        (
            Edit(
                "accounts/services/passkeys.py",
                "credential_current_sign_count=sign_count,",
                "credential_current_sign_count=0,",
            ),
        ),
    ),
    Sabotage(
        "factors-guessed-without-end",
        19,
        "codes are guessed five times in ten minutes",
        ("members/test_factors.py::test_five_wrong_codes_in_ten_minutes_and_the_right_one_waits",),
        (Edit("accounts/pages/proof.py", "    if any(limited):\n", "    if False:\n"),),
    ),
    Sabotage(
        "spent-ids-purged-early",
        19,
        "a spent link's id is remembered until the link would have expired",
        ("signin/test_upkeep.py::test_what_has_expired_long_enough_goes_and_the_rest_stays",),
        (
            Edit(
                "stackbe/trust/retention.py",
                '"accounts_spenttoken", "expires_at", NOTHING,',
                '"accounts_spenttoken", "expires_at", -DAY,',
            ),
        ),
    ),
    Sabotage(
        "connect-state-twice",
        19,
        "Stripe's way back to us works once",
        ("stripe/test_connect.py::test_a_way_back_works_once_even_with_another_code",),
        (
            Edit(
                "billing/stripe/views.py",
                '    request.session[NONCES] = [nonce for nonce in nonces if nonce != state["nonce"]]\n',
                "",
            ),
        ),
    ),
]
SABOTAGES = [*ALIKE, *READABLE, *REPLAYED]
