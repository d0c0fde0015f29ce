"""What keeps sessions: ended for good, never forged, signed by keys that rotate (checks 4, 11, 18)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage, rewritten

SESSIONS = "accounts/services/sessions.py"
TOKENS = "accounts/services/tokens.py"
AUTHENTICATION = "accounts/authentication.py"
API = "stackbe/kernel/api.py"

ENDED = [
    Sabotage(
        "ended-session-passes",
        4,
        "each call asks whether the session was ended",
        (
            "signin/test_sessions.py::test_signing_out_bites_on_the_next_request",
            "signin/test_sessions.py::test_a_backend_signs_a_customer_out_everywhere",
        ),
        (Edit(AUTHENTICATION, "if found.revoked_at is not None or found.closed:", "if found.closed:"),),
    ),
    Sabotage(
        "closed-app-passes",
        4,
        "each call asks whether the app is still in service",
        ("signin/test_closed_apps.py::test_a_closed_apps_sessions_links_codes_and_keys_open_nothing_any_more",),
        (
            Edit(
                AUTHENTICATION,
                "if found.revoked_at is not None or found.closed:",
                "if found.revoked_at is not None:",
            ),
        ),
    ),
    Sabotage(
        "deleted-customer-stays-signed-in",
        4,
        "deleting a customer ends their sessions",
        ("accounts/test_me.py::test_a_deleted_customers_session_is_dead_at_once",),
        (
            Edit(
                "accounts/services/customers.py",
                "    sessions.filter(revoked_at__isnull=True).update(revoked_at=wall_clock())\n",
                "",
            ),
        ),
    ),
    Sabotage(
        "absolute-limit-gone",
        4,
        "a session ends with its absolute limit",
        ("signin/test_sessions.py::test_a_session_ends_with_its_absolute_limit",),
        (Edit(AUTHENTICATION, "if found.expires_at <= wall_clock():", "if False:"),),
    ),
    Sabotage(
        "idle-limit-gone",
        4,
        "a session that is left idle is over",
        ("signin/test_sessions.py::test_a_session_left_idle_for_too_long_is_over_and_listed_no_more",),
        (
            Edit(
                SESSIONS,
                "if min(session.expires_at, session.last_seen_at + _idle_limit(scope)) <= moment:",
                "if session.expires_at <= moment:",
            ),
        ),
    ),
    Sabotage(
        "stolen-refresh-token-goes-on",
        4,
        "a refresh token that comes again late ends its session",
        (
            "signin/test_sessions.py::test_the_same_refresh_token_later_ends_the_whole_session",
            "signin/test_sessions.py::test_a_token_used_long_ago_still_ends_the_session_when_it_comes_again",
        ),
        (Edit(SESSIONS, "if row.used_at is not None and row.used_at + SAME_ANSWER_FOR < moment:", "if False:"),),
    ),
    Sabotage(
        "other-spellings-pass",
        4,
        "a token has one spelling, so that ending it ends `token=` too",
        ("signin/test_forged_tokens.py::test_no_other_spelling_of_a_good_token_passes",),
        (
            Edit(
                TOKENS,
                '    if any(base64.urlsafe_b64encode(r).decode().rstrip("=") != p for r, p in zip(raw, pieces, strict=True)):\n'
                "        return None\n",
                "",
            ),
        ),
    ),
    Sabotage(
        "revoked-key-passes",
        4,
        "each call asks whether the API key was revoked",
        ("apikeys/test_revoke.py::test_the_very_next_request_is_refused",),
        (
            Edit(
                "apikeys/authentication.py",
                "if found.revoked_at is not None and found.revoked_at <= moment:",
                "if False:",
            ),
        ),
    ),
]
FORGED = [
    Sabotage(
        "any-header",
        11,
        "a token's header is ours and nothing else",
        ("signin/test_forged_tokens.py::test_a_header_that_brings_its_own_key_is_refused_even_when_rightly_signed",),
        (
            Edit(
                TOKENS,
                'if parts is None or parts[0] != {"alg": ALGORITHM, "kid": self.key_id, "typ": "JWT"}:',
                "if parts is None:",
            ),
        ),
    ),
    Sabotage(
        "signature-unread",
        11,
        "the signature is verified",
        (
            "signin/test_forged_tokens.py::test_a_token_signed_by_another_key_is_refused",
            "signin/test_forged_tokens.py::test_a_key_of_one_app_never_verifies_for_another",
        ),
        (
            Edit(
                TOKENS,
                "        claims: dict[str, Any] = super().decode(token, verify)\n        return claims\n",
                "        return parts[1]\n",
            ),
        ),
    ),
    Sabotage(
        "any-algorithm",
        11,
        "EdDSA is the only algorithm",
        (
            "signin/test_forged_tokens.py::test_alg_none_is_refused",
            "signin/test_forged_tokens.py::test_the_public_key_as_an_hmac_secret_is_refused",
        ),
        (
            Edit(TOKENS, 'if parts is None or parts[0].get("alg") != ALGORITHM:', "if parts is None:"),
            Edit(
                TOKENS,
                'if parts is None or parts[0] != {"alg": ALGORITHM, "kid": self.key_id, "typ": "JWT"}:',
                "if parts is None:",
            ),
            Edit(
                TOKENS,
                "        claims: dict[str, Any] = super().decode(token, verify)\n        return claims\n",
                '        if parts[0]["alg"] != ALGORITHM:\n            return parts[1]\n'
                "        return super().decode(token, verify)\n",
            ),
        ),
    ),
    Sabotage(
        "any-audience",
        11,
        "a token is for one app",
        ("signin/test_forged_tokens.py::test_wrong_claims_are_refused_even_when_rightly_signed",),
        (
            Edit(
                TOKENS,
                "        claims: dict[str, Any] = super().decode(token, verify)\n",
                "        self.audience = parts[1]['aud']\n        claims: dict[str, Any] = super().decode(token, verify)\n",
            ),
        ),
    ),
    Sabotage(
        "any-issuer",
        11,
        "a token names this copy as its issuer",
        ("signin/test_forged_tokens.py::test_wrong_claims_are_refused_even_when_rightly_signed",),
        (
            Edit(
                TOKENS,
                "            issuer=settings.BASE_URL,\n        )\n        self.key_id",
                "            issuer=None,\n        )\n        self.key_id",
            ),
        ),
    ),
    Sabotage(
        "leeway",
        11,
        "an expired token is refused to the second",
        ("signin/test_forged_tokens.py::test_an_expired_token_says_so_to_the_second",),
        (
            Edit(
                TOKENS,
                "            ALGORITHM,\n            signing_key=private,",
                "            ALGORITHM,\n            leeway=10,\n            signing_key=private,",
            ),
        ),
    ),
    Sabotage(
        "any-customer",
        11,
        "`sub` and `sid` belong together",
        ("signin/test_forged_tokens.py::test_a_session_of_another_customer_is_not_reached_by_its_id",),
        (Edit(AUTHENTICATION, 'if genuine.get("sub") != encode("cust", found.customer_id):', "if False:"),),
    ),
    Sabotage(
        "names-come-twice",
        11,
        "no name stands twice in a token",
        ("signin/test_forged_tokens.py::test_a_key_named_twice_is_refused",),
        (Edit(TOKENS, "    if len(found) != len(pairs):\n", "    if False:\n"),),
    ),
    Sabotage(
        "keys-of-any-app",
        11,
        "an app's key verifies for that app alone",
        ("signin/test_forged_tokens.py::test_a_key_of_one_app_never_verifies_for_another",),
        sql=rewritten("session_token", "k.app_id = s.app_id", "true"),
    ),
    Sabotage(
        "forgeries-uncounted",
        11,
        "forged tokens are limited by address",
        ("signin/test_forged_tokens.py::test_forged_tokens_are_limited_by_address",),
        (Edit(AUTHENTICATION, "    if not allowance.ok:\n", "    if False:\n"),),
    ),
]
ROTATED = [
    Sabotage(
        "key-signs-at-once",
        18,
        "a new key is published before it signs",
        ("signin/test_signing_keys.py::test_a_new_key_is_published_before_it_signs",),
        (
            Edit(
                TOKENS,
                "    activates_at = moment if at_once or not live else moment + PUBLISHED_AHEAD\n",
                "    activates_at = moment\n",
            ),
        ),
    ),
    Sabotage(
        "no-overlap",
        18,
        "an old key verifies until its last token has ended",
        ("signin/test_signing_keys.py::test_the_old_key_verifies_until_its_last_token_has_ended_and_not_after",),
        (
            Edit(
                TOKENS,
                "key.retired_at = moment if at_once else activates_at + OVERLAP",
                "key.retired_at = moment if at_once else activates_at",
            ),
        ),
    ),
    Sabotage(
        "retired-key-verifies",
        18,
        "a retired key verifies nothing",
        (
            "signin/test_signing_keys.py::test_the_old_key_verifies_until_its_last_token_has_ended_and_not_after",
            "signin/test_signing_keys.py::test_a_leaked_key_is_replaced_at_once_with_those_that_wait",
        ),
        sql=rewritten("session_token", "k.retired_at is null or k.retired_at > $3", "true"),
    ),
    Sabotage(
        "retired-key-published",
        18,
        "a retired key is published no more",
        ("signin/test_signing_keys.py::test_a_leaked_key_is_replaced_at_once_with_those_that_wait",),
        (
            Edit(
                TOKENS,
                "    return SigningKey.objects.within(scope).filter(Q(retired_at__isnull=True) | Q(retired_at__gt=moment))\n",
                "    return SigningKey.objects.within(scope).filter(Q(retired_at__isnull=True) | Q(id__isnull=False))\n",
            ),
        ),
    ),
    Sabotage(
        "waiting-key-survives-a-leak",
        18,
        "replacing a leaked key at once replaces those that wait too",
        ("signin/test_signing_keys.py::test_a_leaked_key_is_replaced_at_once_with_those_that_wait",),
        (
            Edit(
                TOKENS,
                "key.retired_at = moment if at_once else activates_at + OVERLAP",
                "key.retired_at = moment if at_once and key.activates_at <= moment else activates_at + OVERLAP",
            ),
        ),
    ),
]
SABOTAGES = [*ENDED, *FORGED, *ROTATED]
