"""What keeps tenants and roles apart (checks 5 to 7, 20)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage

MEMBERS = "accounts/services/members.py"
FRAME = "accounts/dashboard/frame.py"
API = "stackbe/kernel/api.py"
TENANCY = "stackbe/kernel/tenancy.py"

TENANTS = [
    Sabotage(
        "any-app-by-its-id",
        5,
        "a key reaches its own app alone",
        ("signin/test_magic_links.py::test_another_tenants_app_is_not_found",),
        (
            Edit(
                "accounts/views/auth.py",
                "    if app.tenant_id != scope.tenant_id or scope.app_id not in {None, app.id}:\n        raise AppNotFound\n",
                "",
            ),
            Edit(
                "accounts/views/auth.py",
                "            if encode(App.id_prefix, app.id) != app_id:\n                raise AppNotFound\n"
                "            _send(",
                "            _send(",
            ),
        ),
    ),
    Sabotage(
        "stranger-told-that-a-row-exists",
        5,
        "a foreign row and no row are told in the same words",
        ("security/test_rival.py::test_a_rival_gets_what_an_id_that_never_was_gets",),
        (
            Edit(
                TENANCY,
                '            raise error(f"No such {self.model._meta.verbose_name}.") from None\n',
                '            raise error(f"No such {self.model._meta.verbose_name} as {public_id}.") from None\n',
            ),
        ),
    ),
    Sabotage(
        "both-walls-down",
        5,
        "rows are filtered by tenant, and walled by it",
        ("security/test_rival.py::test_a_rivals_lists_hold_nothing_of_acmes",),
        (
            Edit(
                TENANCY,
                "            return rows.filter(tenant_id=scope.tenant_id, app_id=scope.app)\n"
                "        return rows.filter(tenant_id=scope.tenant_id)\n\n    def across_apps",
                "            return rows\n        return rows\n\n    def across_apps",
            ),
        ),
        sql="""do $do$ declare t record; begin
          for t in select c.relname from pg_class c join pg_policy p on p.polrelid = c.oid
            where p.polname = 'tenant_wall' loop
            execute format('create policy open_gate on %I using (true) with check (true)', t.relname);
          end loop; end $do$""",
    ),
    Sabotage(
        "no-row-level-security",
        6,
        "row-level security stands under the application's filter",
        (
            "kernel/test_tenancy.py::test_with_every_application_filter_gone_no_foreign_row_comes_through",
            "kernel/test_tenancy.py::test_nor_through_the_api",
            "kernel/test_tenancy.py::test_without_a_tenant_there_are_no_rows_and_no_error",
        ),
        sql="create policy open_gate on accounts_customer using (true) with check (true)",
    ),
    Sabotage(
        "walls-open-to-writes",
        6,
        "no row is written in a foreign name",
        ("kernel/test_tenancy.py::test_no_row_can_be_written_in_a_foreign_name",),
        sql="create policy open_gate on apikeys_apikey for insert with check (true)",
    ),
    Sabotage(
        "walls-not-forced",
        6,
        "every table with a tenant has its wall, forced upon the owner too",
        ("architecture/test_tenancy.py::test_every_table_with_a_tenant_is_walled",),
        sql="alter table accounts_customer no force row level security",
    ),
    Sabotage(
        "app-of-another-tenant",
        6,
        "no row names another tenant's app",
        ("kernel/test_tenancy.py::test_no_row_can_be_written_in_a_foreign_name",),
        sql="alter table accounts_customer drop constraint accounts_customer_app_of_tenant",
    ),
    Sabotage(
        "tenant-stays-on-the-connection",
        7,
        "whose rows may be seen is forgotten with the transaction",
        ("kernel/test_tenancy.py::test_a_connection_forgets_whose_it_was",),
        (
            Edit(
                "stackbe/kernel/transactions.py",
                "ENTER = \"select set_config('stackbe.tenant', %s, true)\"",
                "ENTER = \"select set_config('stackbe.tenant', %s, false)\"",
            ),
        ),
    ),
    Sabotage(
        "keys-kept-in-the-process",
        7,
        "opened keys are forgotten with the transaction",
        ("kernel/test_transactions.py::test_keys_that_were_opened_are_forgotten_with_the_transaction",),
        (
            Edit(
                "stackbe/kernel/transactions.py",
                "        self.keys = Keyring(self.scope.tenant_id)\n",
                "        self.keys = RINGS.setdefault(self.scope.tenant_id, Keyring(self.scope.tenant_id))\n",
            ),
            Edit(
                "stackbe/kernel/transactions.py",
                "@dataclass(slots=True)\nclass Unit:",
                "RINGS: dict = {}\n\n\n@dataclass(slots=True)\nclass Unit:",
            ),
        ),
    ),
    Sabotage(
        "answers-of-the-tenant-before",
        7,
        "an answer holds rows of the tenant that asks",
        (
            "security/test_pooled.py::test_hundreds_of_interleaved_calls_of_two_tenants_never_meet",
            "kernel/test_tenancy.py::test_tenants_that_take_turns_on_the_same_connections_never_meet",
        ),
        (
            Edit(
                TENANCY,
                "            return rows.filter(tenant_id=scope.tenant_id, app_id=scope.app)\n"
                "        return rows.filter(tenant_id=scope.tenant_id)\n\n    def across_apps",
                "            return rows\n        return rows\n\n    def across_apps",
            ),
        ),
        sql="create policy open_gate on accounts_customer using (true) with check (true)",
    ),
]
ROLES = [
    Sabotage(
        "scopes-unread",
        20,
        "a route wants its own scope of a key",
        (
            "members/test_permissions.py::test_each_route_wants_its_own_scope_and_no_other_will_do",
            "members/test_permissions.py::test_a_key_that_may_read_everything_changes_nothing",
        ),
        (Edit(API, "if access.scope and by_key and not scope.allows(access.scope):", "if False:"),),
    ),
    Sabotage(
        "read-lets-write",
        20,
        "a read scope lets nothing be written",
        ("members/test_permissions.py::test_a_key_that_may_read_everything_changes_nothing",),
        (
            Edit(
                API,
                "if access.scope and by_key and not scope.allows(access.scope):",
                'if access.scope and by_key and not scope.allows(access.scope) and not scope.allows(access.scope.replace(":write", ":read")):',
            ),
        ),
    ),
    Sabotage(
        "any-credential",
        20,
        "a route takes the credentials that the table names",
        (
            "signin/test_magic_links.py::test_a_publishable_key_may_do_nothing_else",
            "signin/test_sessions.py::test_a_session_may_not_do_what_a_key_may",
        ),
        (Edit(API, "        if scope.credential not in access.credentials:\n", "        if False:\n"),),
    ),
    Sabotage(
        "roles-unread",
        20,
        "a page of the dashboard wants its role",
        ("members/test_permissions.py::test_each_role_on_each_route_and_page_equals_the_committed_table",),
        (
            Edit(
                FRAME,
                'if self.role.rank < (self.least or least_role(f"{self.resource}:{verb}")).rank:',
                "if False:",
            ),
        ),
    ),
    Sabotage(
        "writing-takes-what-reading-takes",
        20,
        "a page's POST wants more than its GET",
        ("members/test_permissions.py::test_each_role_on_each_route_and_page_equals_the_committed_table",),
        (Edit(FRAME, 'verb = "read" if self.request.method in SAFE else "write"', 'verb = "read"'),),
    ),
    Sabotage(
        "one-routes-scope-changed",
        20,
        "a change of the table of routes shows in the committed one",
        ("members/test_permissions.py::test_each_role_on_each_route_and_page_equals_the_committed_table",),
        (
            Edit(
                "stackbe/kernel/routes.py",
                '"members:write": Role.ADMIN}',
                '"members:write": Role.ADMIN, "customers:write": Role.VIEWER}',
            ),
        ),
    ),
    Sabotage(
        "places-unread",
        20,
        "a session may what its role in the organization allows",
        ("organizations/test_permissions.py::test_a_session_may_what_the_table_says_of_its_role",),
        (
            Edit(
                "accounts/services/organizations_places.py",
                "        if RANK[role] < RANK[least]:\n",
                "        if False:\n",
            ),
        ),
    ),
    Sabotage(
        "role-above-ones-own",
        20,
        "nobody gives or takes a role above their own",
        ("members/test_members.py::test_a_role_above_ones_own_is_neither_given_nor_taken",),
        (
            Edit(
                MEMBERS,
                "    if scope.role is not None and role.rank > scope.role.rank:\n",
                "    if False:\n",
            ),
        ),
    ),
    Sabotage(
        "key-gives-what-it-lacks",
        20,
        "a key gives no scope that it lacks",
        ("apikeys/test_issue.py::test_a_key_cannot_give_a_scope_that_it_lacks",),
        (Edit("apikeys/services/keys.py", "    if lacking:\n", "    if False:\n"),),
    ),
    Sabotage(
        "proof-not-asked-again",
        20,
        "what cannot be undone wants a fresh proof",
        (
            "members/test_step_up.py::test_nothing_happens_before_the_proof_and_the_form_is_done_with_it",
            "members/test_step_up.py::test_the_proof_holds_for_ten_minutes",
        ),
        (
            Edit(
                "accounts/dashboard/step_up.py",
                "if not wants_proof(request) or proof.is_fresh(session, user):",
                "if True:",
            ),
        ),
    ),
    Sabotage(
        "second-factor-not-asked",
        20,
        "a link opens half a session for who has a second factor",
        ("members/test_factors.py::test_after_the_link_the_factor_is_asked_and_until_then_nothing_opens",),
        (
            Edit(
                "accounts/pages/proof.py", "        if not DeveloperFactors(user).has_factor():\n", "        if True:\n"
            ),
        ),
    ),
]
SABOTAGES = [*TENANTS, *ROLES]
