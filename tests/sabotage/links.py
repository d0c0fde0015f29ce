"""What keeps links: spent once, by a person, in the browser that may, leading where they may (checks 1 to 3, 14)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage, weakened

LINKS = "accounts/services/magic_links.py"
DEVELOPERS = "accounts/services/developers.py"
CUSTOMER_PAGES = "accounts/pages/customers.py"
DEVELOPER_PAGES = "accounts/pages/developers.py"
VIEWS = "accounts/views/auth.py"
ENTRY = "accounts/services/entry.py"
CONFIRMATION = "signin/test_confirmation_page.py"

UNJUDGED_IN_SHORT = Edit(
    VIEWS, "            if row.redirect_url:\n                redirect_target(app, row.redirect_url)\n", ""
)
REMEMBERED = "insert into accounts_spenttoken (id, expires_at) values (spent.id, spent.told_until);"
TOLD_UNTIL = "expires_at + make_interval(secs => p_code_told_seconds) as told_until"
DELETED_LATER = (
    REMEMBERED,
    REMEMBERED.replace(";", " on conflict do nothing;")
    + " delete from accounts_magiclink where id = spent.id; delete from accounts_onetimecode where id = spent.id;",
)
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
        sql=weakened(
            "accounts_redeem",
            (
                "delete from accounts_magiclink",
                "select id, expires_at as told_until into spent from accounts_magiclink",
            ),
            (
                "and expires_at > p_moment\n    returning id, expires_at as told_until into spent",
                "and expires_at > p_moment",
            ),
            DELETED_LATER,
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
        sql=weakened(
            "accounts_redeem",
            ("delete from accounts_onetimecode", f"select id, {TOLD_UNTIL} into spent from accounts_onetimecode"),
            (
                f"and customer_id = p_customer\n    returning id, {TOLD_UNTIL} into spent",
                "and customer_id = p_customer",
            ),
            DELETED_LATER,
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
        sql=weakened("accounts_redeem", (REMEMBERED, "")),
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
        (
            Edit(
                LINKS,
                "    if found.redirect_url:\n        redirect_target(app, found.redirect_url)\n    SpentToken",
                "    SpentToken",
            ),
            UNJUDGED_IN_SHORT,
        ),
    ),
    Sabotage(
        "redirect-unjudged-at-the-code",
        14,
        "a one-time code's redirect is judged again when it is spent",
        ("signin/test_redirects.py::test_a_callback_taken_away_while_a_code_is_under_way_spends_nothing",),
        (
            Edit(LINKS, "    redirect_target(app, found.redirect_url)\n    customer =", "    customer ="),
            UNJUDGED_IN_SHORT,
        ),
    ),
    Sabotage(
        "session-in-the-location",
        14,
        "a Location carries a one-time code and no session",
        ("signin/test_redirects.py::test_a_location_carries_a_code_that_lives_a_minute_and_never_a_session",),
        (
            Edit(
                ENTRY,
                '    return with_token(target or app.settings.verification_url or "", text)\n',
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
SABOTAGES = [*ONCE, *OPENED, *ELSEWHERE, *LED]
