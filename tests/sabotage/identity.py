"""What keeps identities: links, pages, sessions, tokens, redirects (checks 1 to 4, 11, 13 to 15, 18 and 19)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage, rewritten

LINKS = "accounts/services/magic_links.py"
DEVELOPERS = "accounts/services/developers.py"
SESSIONS = "accounts/services/sessions.py"
TOKENS = "accounts/services/tokens.py"
AUTHENTICATION = "accounts/authentication.py"
CUSTOMER_PAGES = "accounts/pages/customers.py"
DEVELOPER_PAGES = "accounts/pages/developers.py"
VIEWS = "accounts/views/auth.py"
ENTRY = "accounts/services/entry.py"
CONFIRMATION = "signin/test_confirmation_page.py"
CRYPTO = "stackbe/kernel/crypto.py"

ONCE = [
    Sabotage(
        "link-read-then-deleted",
        1,
        "spending a link is one DELETE … RETURNING",
        ("signin/test_races.py::test_one_link_and_32_hands_make_one_session",),
        (
            Edit(
                LINKS,
                "raw(statements[column], [scope.app, value, wall_clock()])\n    found = next(iter(rows), None)\n",
                'raw(\n        statements[column].replace("delete", "select *", 1).removesuffix(" returning *"),\n'
                "        [scope.app, value, wall_clock()],\n    )\n    found = next(iter(rows), None)\n"
                "    if found is not None:\n        MagicLink.objects.within(scope).filter(pk=found.pk).delete()\n",
            ),
            Edit(
                LINKS,
                "SpentToken.unscoped.create(id=found.id, expires_at=found.expires_at)\n",
                "SpentToken.unscoped.get_or_create(id=found.id, defaults={'expires_at': found.expires_at})\n",
            ),
        ),
    ),
    Sabotage(
        "code-read-then-deleted",
        1,
        "spending a one-time code is one DELETE … RETURNING",
        ("signin/test_races.py::test_one_press_of_the_button_wins_and_its_code_opens_one_session",),
        (
            Edit(
                LINKS,
                '"delete from accounts_onetimecode where app_id = %s and digest = %s and expires_at > %s returning *"',
                '"select * from accounts_onetimecode where app_id = %s and digest = %s and expires_at > %s"',
            ),
            Edit(
                LINKS,
                "SpentToken.unscoped.create(id=found.id, expires_at=found.expires_at + CODE_LIVES)\n",
                "OneTimeCode.objects.within(scope).filter(pk=found.pk).delete()\n"
                "    SpentToken.unscoped.get_or_create(id=found.id, defaults={'expires_at': found.expires_at})\n",
            ),
        ),
    ),
    Sabotage(
        "developers-link-read-then-deleted",
        1,
        "spending a developer's link is one DELETE … RETURNING",
        ("signin/test_races.py::test_a_developers_link_opens_one_session_and_founds_one_tenant",),
        (
            Edit(
                DEVELOPERS,
                '"delete from accounts_developerlink where token_digest = %s and expires_at > %s returning *"',
                '"select * from accounts_developerlink where token_digest = %s and expires_at > %s"',
            ),
            Edit(
                DEVELOPERS,
                "    return next(iter(DeveloperLink.unscoped.raw(statements[column], [value, wall_clock()])), None)\n",
                "    found = next(iter(DeveloperLink.unscoped.raw(statements[column], [value, wall_clock()])), None)\n"
                "    DeveloperLink.unscoped.filter(pk=found and found.pk).delete()\n    return found\n",
            ),
            Edit(DEVELOPERS, "SpentToken.unscoped.create(", "SpentToken.unscoped.get_or_create("),
        ),
    ),
    Sabotage(
        "links-of-an-address-not-held",
        1,
        "tries are counted with the links locked",
        ("signin/test_races.py::test_wrong_digits_from_many_hands_cost_no_more_than_five_tries_in_all",),
        (
            Edit(
                LINKS,
                "        MagicLink.objects.within(scope)\n        .locked()\n        .filter(",
                "        MagicLink.objects.within(scope)\n        .filter(",
            ),
        ),
    ),
    Sabotage(
        "spent-link-forgotten",
        1,
        "the id of a spent link is remembered, so that the losers get the one error",
        ("signin/test_magic_links.py::test_a_link_works_once",),
        (Edit(LINKS, "    SpentToken.unscoped.create(id=found.id, expires_at=found.expires_at)\n", ""),),
    ),
    Sabotage(
        "invitation-read-then-deleted",
        1,
        "spending an invitation is one DELETE … RETURNING",
        ("organizations/test_races.py::test_one_invitation_accepted_by_many_hands_makes_one_member_and_one_session",),
        (
            Edit(
                "accounts/services/organizations_invites.py",
                "    spent = next(iter(rows), None)\n",
                "    spent = next(iter(rows), None) or found\n",
            ),
            Edit(
                "accounts/services/organizations_invites.py",
                "    SpentToken.unscoped.create(id=spent.id, expires_at=spent.expires_at)\n",
                "    SpentToken.unscoped.get_or_create(id=spent.id, defaults={'expires_at': spent.expires_at})\n",
            ),
        ),
    ),
]
OPENED = [
    Sabotage(
        "get-spends",
        2,
        "a GET of a link spends nothing",
        ("signin/test_confirmation_page.py::test_the_page_spends_nothing_until_its_button_is_pressed",),
        (
            Edit(
                VIEWS,
                'where = f"{settings.BASE_URL}{CUSTOMER_CONFIRM}?app={app_id}#token={token}"',
                "where = magic_links.confirm_link(app, token)",
            ),
        ),
    ),
    Sabotage(
        "peek-spends",
        2,
        "the page's look at a link spends nothing",
        ("signin/test_confirmation_page.py::test_the_page_spends_nothing_until_its_button_is_pressed",),
        (
            Edit(
                CUSTOMER_PAGES,
                "magic_links.preview(app, token),",
                "(magic_links.preview(app, token), magic_links.confirm_link(app, token))[0],",
            ),
        ),
    ),
    Sabotage(
        "developers-peek-spends",
        2,
        "the page's look at a developer's link spends nothing",
        ("signin/test_developer_links.py::test_looking_at_the_page_a_hundred_times_spends_nothing",),
        (
            Edit(
                DEVELOPER_PAGES,
                '        shown = developers.preview(request.POST.get("token", ""))\n',
                '        shown = developers.preview(request.POST.get("token", ""))\n'
                '        developers.redeem_link(request.POST.get("token", ""), lambda user: None)\n',
            ),
        ),
    ),
    Sabotage(
        "invitations-peek-spends",
        2,
        "the page's look at an invitation spends nothing",
        ("organizations/test_invite_page.py::test_looking_at_the_page_spends_nothing_however_often",),
        (
            Edit(
                "accounts/services/organizations_invites.py",
                "        return Preview(opaque.masked(row.email), row.organization.name)\n",
                "        seen = Preview(opaque.masked(row.email), row.organization.name)\n"
                "    accept_in_browser(app, token)\n    return seen\n",
            ),
        ),
    ),
    Sabotage(
        "token-in-the-query",
        2,
        "a mail's link carries its token behind the #, which no server sees",
        ("signin/test_magic_links.py::test_the_mail_speaks_in_the_apps_name_and_points_at_its_page",),
        (
            Edit(
                "accounts/link_mail.py",
                "?app={encode('app', app.id)}#token={token}",
                "?app={encode('app', app.id)}&token={token}",
            ),
        ),
    ),
    Sabotage(
        "page-kept-and-told-of",
        2,
        "a page with a token stays out of caches and Referer headers",
        (
            "signin/test_confirmation_page.py::test_the_page_shows_the_apps_name_and_may_lead_only_to_its_callbacks",
            "signin/test_developer_links.py::test_the_link_page_leaks_nowhere",
        ),
        (
            Edit(
                "accounts/pages/browser.py",
                '        response["Cache-Control"] = "no-store"\n        response["Referrer-Policy"] = "no-referrer"\n',
                "",
            ),
        ),
    ),
    Sabotage(
        "page-presses-its-own-button",
        2,
        "nothing but a person presses the page's button, whatever scripts run",
        ("browser/test_customer_sign_in.py::test_a_scanner_that_plays_first_leaves_the_link_to_its_owner",),
        (
            Edit(
                "stackbe/static/js/confirm.js",
                '    if (other) other.hidden = !found.otherBrowser;\n    show("link");\n',
                '    if (other) other.hidden = !found.otherBrowser;\n    show("link");\n    form.submit();\n',
            ),
        ),
    ),
]
ELSEWHERE = [
    Sabotage(
        "another-browser-not-asked",
        3,
        "a link asked for in another browser names the account first",
        ("signin/test_developer_links.py::test_another_browser_gets_a_confirmation_that_names_the_account_first",),
        (
            Edit(
                DEVELOPER_PAGES,
                "if not here and not browser.was_named(request, link.id):",
                "if False:",
            ),
        ),
    ),
    Sabotage(
        "named-for-any-link",
        3,
        "what was shown for one link counts for that one",
        ("signin/test_developer_links.py::test_a_name_shown_for_one_link_does_not_open_another",),
        (Edit("accounts/pages/browser.py", "return bool(named == str(link_id))", "return bool(named)"),),
    ),
    Sabotage(
        "every-browser-asked",
        3,
        "the browser that asked is known by its own secret",
        ("signin/test_developer_links.py::test_another_browser_gets_a_confirmation_that_names_the_account_first",),
        (
            Edit(
                DEVELOPERS,
                "    return equal(bytes(link.browser_digest), token_digest(browser))\n",
                "    return True\n",
            ),
        ),
    ),
    Sabotage(
        "other-sites-press-the-button",
        3,
        "the button is pressed on our own page",
        ("signin/test_confirmation_page.py::test_another_site_cannot_press_the_button_for_somebody",),
        (
            Edit(
                CUSTOMER_PAGES,
                '@require_http_methods(["GET", "HEAD", "POST"])\n@discreet\n@ratelimit(group="customer-confirm", **TRIES)\n',
                '@__import__("django.views.decorators.csrf").views.decorators.csrf.csrf_exempt\n'
                '@require_http_methods(["GET", "HEAD", "POST"])\n@discreet\n@ratelimit(group="customer-confirm", **TRIES)\n',
            ),
        ),
    ),
    Sabotage(
        "whole-address-shown",
        3,
        "a page names the account by a masked address",
        (f"{CONFIRMATION}::test_another_browser_gets_a_page_that_names_the_account_and_nothing_before_its_button",),
        (Edit("accounts/opaque.py", 'return f"{local[:1]}•••@{domain}"', "return email"),),
    ),
]
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
                "    moment = wall_clock()\n    link = MagicLink(\n",
                "    moment = wall_clock()\n    known = customer_by_email(scope, email)\n"
                "    _ = known and known.email\n    link = MagicLink(\n",
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
                VIEWS,
                "        return self.reply(SENT)\n",
                "        else:\n            return self.reply({**SENT, 'success': False})\n        return self.reply(SENT)\n",
            ),
        ),
    ),
    Sabotage(
        "limit-gone",
        13,
        "mail to one address is limited",
        ("signin/test_link_limits.py::test_an_address_gets_twenty_links_an_hour_however_it_is_spelt",),
        (Edit(LINKS, "    return all(counted)\n", "    return True\n"),),
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
LED = [
    Sabotage(
        "redirect-by-its-beginning",
        14,
        "a redirect is compared whole",
        (
            "signin/test_redirects.py::test_a_hostile_redirect_is_refused_when_it_is_asked_for",
            "signin/test_redirects.py::test_a_hostile_redirect_that_got_into_the_row_is_refused_when_the_link_is_spent",
        ),
        (
            Edit(
                ENTRY,
                "if wanted not in known.callback_urls and wanted",
                "if not any(map(wanted.startswith, known.callback_urls)) and wanted",
            ),
        ),
    ),
    Sabotage(
        "redirect-unjudged-at-redemption",
        14,
        "a link's redirect is judged again when it is spent",
        ("signin/test_redirects.py::test_a_hostile_redirect_that_got_into_the_row_is_refused_when_the_link_is_spent",),
        (Edit(LINKS, "    if found.redirect_url:\n        redirect_target(app, found.redirect_url)\n", ""),),
    ),
    Sabotage(
        "redirect-unjudged-at-the-code",
        14,
        "a one-time code's redirect is judged again when it is spent",
        ("signin/test_redirects.py::test_a_callback_taken_away_while_a_code_is_under_way_spends_nothing",),
        (Edit(LINKS, "    redirect_target(app, found.redirect_url)\n    customer =", "    customer ="),),
    ),
    Sabotage(
        "session-in-the-location",
        14,
        "a Location carries a one-time code and no session",
        ("signin/test_redirects.py::test_a_location_carries_a_code_that_lives_a_minute_and_never_a_session",),
        (
            Edit(
                ENTRY,
                "    return with_token(target, text)\n",
                "    from accounts.services.sessions import start_session\n\n"
                "    return with_token(target, start_session(scope, customer).access_token)\n",
            ),
        ),
    ),
    Sabotage(
        "form-leads-anywhere",
        14,
        "the page's form may lead to the app's callbacks alone",
        ("signin/test_confirmation_page.py::test_the_page_shows_the_apps_name_and_may_lead_only_to_its_callbacks",),
        (
            Edit(
                CUSTOMER_PAGES,
                '    csp_update({"form-action": origins(app)})(lambda _request: response)(request)\n',
                '    csp_update({"form-action": ["*"]})(lambda _request: response)(request)\n',
            ),
        ),
    ),
    Sabotage(
        "next-leads-anywhere",
        14,
        "a developer is led to our own pages alone",
        ("signin/test_developer_links.py::test_nobody_is_sent_to_another_site_after_signing_in",),
        (
            Edit(
                DEVELOPER_PAGES,
                '    local = path.startswith("/") and url_has_allowed_host_and_scheme(path, allowed_hosts=None)\n',
                '    local = path.startswith("/")\n',
            ),
        ),
    ),
    Sabotage(
        "invitation-leads-anywhere",
        14,
        "an invitation leads to a registered callback",
        ("organizations/test_invites.py::test_the_way_back_is_one_that_the_app_registered",),
        (
            Edit(
                "accounts/services/organizations_invites.py",
                "    return redirect_target(app, wanted)\n",
                "    return wanted or redirect_target(app, wanted)\n",
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
                "app_id=str(scope.app), link_id=str(link.id))",
                "app_id=str(scope.app), link_id=str(link.id), email=email)",
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
                "if not self.recovery_codes().filter(digest=digest).delete()[0]:",
                "if not self.recovery_codes().filter(digest=digest).exists():",
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
                "accounts/tasks.py",
                "SpentToken.unscoped.filter(expires_at__lt=moment).delete()",
                "SpentToken.unscoped.all().delete()",
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
SABOTAGES = [*ONCE, *OPENED, *ELSEWHERE, *ENDED, *FORGED, *ALIKE, *LED, *READABLE, *ROTATED, *REPLAYED]
