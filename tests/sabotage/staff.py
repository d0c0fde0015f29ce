"""What keeps the staff console: who comes in, what they see, what they may do, and that it is on record (check 32)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage, rewritten

CONSOLE = "stackbe/staff/console.py"
ENTRY = "stackbe/staff/entry.py"
ROLES = "stackbe/staff/roles.py"
SERVICES = "stackbe/staff/services/__init__.py"
CONSENTS = "stackbe/staff/services/consents.py"
VISITS = "stackbe/staff/visits.py"
TABLE = "staff/test_permissions.py::test_each_role_on_each_page_and_deed_equals_the_committed_table"
ALLOWED = "staff/test_visits.py::test_a_visit_takes_consent_shows_pages_as_they_are_and_puts_each_on_record"
HARMLESS = "staff/test_visits.py::test_a_visit_changes_nothing_and_goes_nowhere_else"
TAKEN_BACK = "staff/test_visits.py::test_taking_the_leave_back_ends_the_visit_with_its_next_page"
NAMELESS = "staff/test_visits.py::test_no_page_of_a_visit_says_who_anybody_is"
BY_PAGE = "staff/test_visits.py::test_who_is_on_a_page_is_masked_until_it_is_revealed_with_a_reason_for_that_page_alone"
REVEALED = "staff/test_console.py::test_revealing_takes_a_reason_and_records_it"
MASKED = "staff/test_console.py::test_personal_data_is_masked_and_the_look_is_in_the_tenants_log"
SUSPENDED = "signin/test_suspended.py::test_a_suspended_tenant_or_app_is_refused_on_every_path_and_goes_on_when_let"

LET_IN = [
    Sabotage(
        "any-role-sees-any-list",
        32,
        "each role sees its own lists",
        (TABLE,),
        (Edit(ROLES, "return role in VIEWS.get(label, frozenset())", 'return role != ""'),),
    ),
    Sabotage(
        "any-role-does-any-deed",
        32,
        "each role has its own powers",
        (TABLE, "staff/test_console.py::test_each_act_asks_for_the_role_itself"),
        (Edit(ROLES, "return role in POWERS[power]", 'return role != ""'),),
    ),
    Sabotage(
        "services-ask-for-no-role",
        32,
        "an act asks for the role itself, whatever page led to it",
        ("staff/test_console.py::test_each_act_asks_for_the_role_itself",),
        (Edit(SERVICES, "    if not may(user.staff_role, power):\n", "    if False:\n"),),
    ),
    Sabotage(
        "no-second-factor-asked",
        32,
        "the console takes a second factor",
        ("staff/test_entry.py::test_a_code_opens_the_console_until_it_lies_idle_or_the_day_is_over",),
        (
            Edit(ENTRY, "    if not standing.has_factor:\n", "    if False:\n"),
            Edit(
                ENTRY,
                "if not error and proof.is_fresh(request.session, user):",
                'if request.session.setdefault(proof.PROOF, {"by": "nothing", "at": 0}):',
            ),
        ),
    ),
    Sabotage(
        "any-session-opens-the-console",
        32,
        "a session of the console begins with a factor and ends when it lies idle",
        ("staff/test_entry.py::test_a_code_opens_the_console_until_it_lies_idle_or_the_day_is_over",),
        (Edit(ENTRY, "return bool(moment - seen <= idle and moment - began <= hours)", "return True"),),
    ),
    Sabotage(
        "one-cookie-for-all",
        32,
        "the console's session has a cookie of its own",
        ("staff/test_entry.py::test_the_dashboards_session_is_not_the_consoles_nor_the_other_way_round",),
        (
            Edit(
                "stackbe/kernel/middleware.py",
                "cookies = {name: value for name, value in request.COOKIES.items() if name != settings.SESSION_COOKIE_NAME}",
                "cookies = dict(request.COOKIES)",
            ),
        ),
    ),
    Sabotage(
        "pass-good-twice",
        32,
        "a way into the console is good once",
        ("staff/test_entry.py::test_a_pass_is_good_once_for_a_minute_and_in_the_browser_that_asked",),
        (Edit(ENTRY, "if not spend_pass(found.id, timedelta(seconds=PASS_SECONDS)):", "if False:"),),
    ),
    Sabotage(
        "old-proof-does",
        32,
        "what is grave wants a fresh proof",
        ("staff/test_entry.py::test_what_is_grave_wants_a_fresh_proof_and_keeps_what_was_typed",),
        (Edit(CONSOLE, 'if found.get("grave") and not entry.is_fresh(request.session):', "if False:"),),
    ),
    Sabotage(
        "pages-take-forms",
        32,
        "only deeds take forms: rows change by services alone",
        (TABLE,),
        (
            Edit(
                CONSOLE,
                'methods = TAKING if getattr(view, "takes_forms", False) else READING',
                'methods = READING | TAKING | {"PUT", "PATCH", "DELETE"}',
            ),
        ),
    ),
]
SEEN = [
    Sabotage(
        "console-shows-people",
        32,
        "personal data is masked until it is revealed",
        (MASKED,),
        (
            Edit(
                CONSOLE,
                "                return MASK\n",
                "                with reading(services.staff_scope(User(), services.tenant_of(row))):\n"
                '                    return str(getattr(row, name.removeprefix("masked_")))\n',
            ),
        ),
    ),
    Sabotage(
        "reveal-without-reason",
        32,
        "revealing takes a reason",
        (REVEALED, BY_PAGE),
        (Edit(SERVICES, "    if not SHORTEST_REASON <= len(words) <= LONGEST_REASON:\n", "    if False:\n"),),
    ),
    Sabotage(
        "reveal-off-record",
        32,
        "what was revealed, by whom and why is in the tenant's log",
        (REVEALED,),
        (
            Edit(
                SERVICES,
                '        audit(\n            unit.scope,\n            "staff.revealed",\n            str(row),\n'
                '            subject_id=getattr(row, "subject_id", None),\n'
                '            detail={"reason": reason, "fields": list(names)},\n        )\n',
                "",
            ),
        ),
    ),
    Sabotage(
        "look-off-record",
        32,
        "each look at a row is in the tenant's log",
        (MASKED,),
        (Edit(SERVICES, '        audit(unit.scope, action, target, detail={"role": user.staff_role})\n', "        pass\n"),),
    ),
]  # fmt: skip
VISITED = [
    Sabotage(
        "visit-writes",
        32,
        "the database refuses what a visit's page would write",
        (HARMLESS,),
        (Edit(VISITS, 'cursor.execute(statement.format("only"))', 'cursor.execute(statement.format("write"))'),),
    ),
    Sabotage(
        "visit-without-end",
        32,
        "a visit is over after half an hour",
        (ALLOWED,),
        (
            Edit(
                VISITS,
                'if kept.get("tenant") != tenant_id or datetime.fromisoformat(kept["until"]) <= wall_clock():',
                'if kept.get("tenant") != tenant_id:',
            ),
        ),
    ),
    Sabotage(
        "visit-of-an-hour",
        32,
        "a visit lasts half an hour at most",
        (ALLOWED,),
        (Edit(CONSENTS, "VISIT = timedelta(minutes=30)", "VISIT = timedelta(minutes=60)"),),
    ),
    Sabotage(
        "visit-without-leave",
        32,
        "a visit takes the tenant's leave, on every page",
        (TAKEN_BACK, BY_PAGE),
        (Edit(CONSENTS, "    if live_consent(scope) is None:\n", "    if False:\n"),),
    ),
    Sabotage(
        "visit-to-anybody",
        32,
        "a visit is to one tenant",
        (HARMLESS,),
        (
            Edit(
                VISITS,
                'if kept.get("tenant") != tenant_id or datetime.fromisoformat(kept["until"]) <= wall_clock():',
                'if "tenant" not in kept or datetime.fromisoformat(kept["until"]) <= wall_clock():',
            ),
        ),
    ),
    Sabotage(
        "visit-off-record",
        32,
        "every page of a visit is in the tenant's log",
        (ALLOWED, TAKEN_BACK),
        (Edit(CONSENTS, '        audit(unit.scope, "staff.visited", encode("app", app_id), detail=detail)\n', "        _ = detail\n"),),
    ),
    Sabotage(
        "visit-shows-people",
        32,
        "a visit masks people",
        (NAMELESS, ALLOWED),
        (Edit("stackbe/kernel/fields.py", "        if unit.scope.masked:\n", "        if False:\n"),),
    ),
    Sabotage(
        "visit-shows-ids-of-people",
        32,
        "a visit masks what a tenant calls people by in the clear",
        (NAMELESS,),
        (Edit("accounts/templatetags/pages.py", "return MASK if words and visit is not None and visit.masks else words", "return words"),),
    ),
    Sabotage(
        "one-reveal-for-all-pages",
        32,
        "people are revealed page by page",
        (BY_PAGE,),
        (Edit(VISITS, 'revealed = here in kept["revealed"]', 'revealed = bool(kept["revealed"])'),),
    ),
]  # fmt: skip
STOPPED = [
    Sabotage(
        "suspended-keys-live",
        32,
        "keys of what is suspended are refused on the next call",
        (SUSPENDED, "signin/test_suspended.py::test_one_key_is_suspended_by_itself_and_has_no_successor_meanwhile"),
        sql=rewritten("api_key", "coalesce(k.suspended_at, t.suspended_at, a.suspended_at) is not null", "false"),
    ),
    Sabotage(
        "suspended-keys-live-the-short-way",
        32,
        "so are they on the short way",
        (SUSPENDED, "signin/test_suspended.py::test_one_key_is_suspended_by_itself_and_has_no_successor_meanwhile"),
        sql=rewritten("hot_key", "coalesce(k.suspended_at, t.suspended_at, a.suspended_at) is not null", "false"),
    ),
    Sabotage(
        "suspended-sessions-live",
        32,
        "sessions of what is suspended are refused on the next call",
        (SUSPENDED,),
        sql=rewritten("session_token", "or a.suspended_at is not null or t.suspended_at is not null", ""),
    ),
    Sabotage(
        "suspended-links-open",
        32,
        "sign-in links of what is suspended open nothing",
        (SUSPENDED,),
        sql=rewritten("app", "or a.suspended_at is not null or t.suspended_at is not null", ""),
    ),
]
SABOTAGES = [*LET_IN, *SEEN, *VISITED, *STOPPED]
