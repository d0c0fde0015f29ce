"""What keeps tenants, roles and people apart, and lets go of them (checks 5 to 7, 20 to 24)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage, rewritten

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
            "security/test_pooled.py::test_a_thousand_interleaved_calls_of_two_tenants_never_meet",
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
        (
            "members/test_members.py::test_a_role_above_ones_own_is_neither_given_nor_taken",
            "members/test_invitations.py::test_an_admin_invites_no_owner",
        ),
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
OTHERS = [
    Sabotage(
        "browser-of-another-ended",
        21,
        "a developer ends their own browsers",
        ("members/test_devices.py::test_somebody_elses_browser_is_not_found",),
        (
            Edit(
                "accounts/services/devices.py",
                "device = Device.objects.filter(user_id=user.id, pk=key).first()",
                "device = Device.objects.filter(pk=key).first()",
            ),
            Edit(
                "accounts/services/devices.py",
                "BrowserSession.objects.filter(user_id=user.id, session_key=device.session_key).delete()",
                "BrowserSession.objects.filter(session_key=device.session_key).delete()",
            ),
        ),
    ),
    Sabotage(
        "passkey-of-another-removed",
        21,
        "a developer removes their own passkeys",
        ("members/test_passkeys.py::test_the_passkey_of_another_is_none_of_mine",),
        (
            Edit(
                "accounts/services/factors.py",
                "        return Passkey.objects.filter(user_id=self.person_id)\n",
                "        return Passkey.objects.filter()\n",
            ),
        ),
    ),
    Sabotage(
        "session-of-another-customer",
        21,
        "a session's id counts below its own customer alone",
        ("signin/test_sessions.py::test_a_session_of_another_customer_is_neither_shown_nor_ended",),
        (
            Edit(
                "accounts/views/auth.py",
                "        rows = CustomerSession.objects.within(self.scope).locked().filter(customer_id=customer.id)\n",
                "        rows = CustomerSession.objects.within(self.scope).locked()\n",
            ),
        ),
    ),
    Sabotage(
        "key-named-below-another-app",
        21,
        "an app's key is named below its own app alone",
        ("apikeys/test_revoke.py::test_a_tenants_key_is_not_found_among_the_apps",),
        (
            Edit(
                "apikeys/services/keys.py",
                "    return ApiKey.objects.within(scope).filter(app_id=app_id)\n",
                "    return ApiKey.objects.within(scope)\n",
            ),
        ),
    ),
    Sabotage(
        "invitation-of-another-organization",
        21,
        "an invitation's id counts below its own organization alone",
        ("organizations/test_invites.py::test_an_invitation_of_one_organization_is_not_anothers",),
        (
            Edit(
                "accounts/services/organizations_invites.py",
                "    organization = enter(scope, organization_id, ADMIN, hold=True)\n"
                "    rows = OrganizationInvite.objects.within(scope).locked().filter(organization_id=organization.id)\n"
                "    row = rows.fetch(invite_id, InviteNotFound)\n    require_may_give(scope, organization, row.role)\n    audit(",
                "    organization = enter(scope, organization_id, ADMIN, hold=True)\n"
                "    rows = OrganizationInvite.objects.within(scope).locked()\n"
                "    row = rows.fetch(invite_id, InviteNotFound)\n    require_may_give(scope, organization, row.role)\n    audit(",
            ),
        ),
    ),
    Sabotage(
        "attempt-off-the-record",
        21,
        "an attempt on a key that is not the caller's goes on record",
        ("apikeys/test_revoke.py::test_an_attempt_on_a_key_that_is_not_theirs_is_on_record",),
        (Edit(API, "            self._record_refusal(response.status_code)\n", ""),),
    ),
]
GONE = [
    Sabotage(
        "removed-member-stays-signed-in",
        22,
        "a removed member is signed out",
        ("members/test_members.py::test_a_removed_member_is_signed_out_and_finds_nothing",),
        (Edit(MEMBERS, "    BrowserSession.objects.filter(user_id=place.user_id).delete()\n", ""),),
    ),
    Sabotage(
        "removed-members-place-stays",
        22,
        "a removed member has no place in the tenant",
        ("members/test_members.py::test_a_removed_member_is_signed_out_and_finds_nothing",),
        (Edit(MEMBERS, "    place.delete()\n    audit(scope, action", "    audit(scope, action"),),
    ),
    Sabotage(
        "removed-members-invitations-stay",
        22,
        "what a removed member offered is taken back",
        ("members/test_invitations.py::test_an_invitation_of_somebody_who_was_removed_gives_nothing",),
        (Edit(MEMBERS, "    MemberInvitation.objects.within(scope).filter(invited_by=place.pk).delete()\n", ""),),
    ),
    Sabotage(
        "moved-apps-keys-live",
        22,
        "an API key is good while its app is its tenant's",
        (
            "apikeys/test_authentication.py::test_keys_of_a_moved_app_are_dead",
            "apikeys/test_authentication.py::test_keys_of_an_archived_app_are_dead",
        ),
        sql=rewritten(
            "api_key", "(coalesce(k.app_id, $2) is null or (a.id is not null and a.archived_at is null))", "true"
        ),
    ),
    Sabotage(
        "suspended-apps-keys-live",
        22,
        "an API key of a suspended app is refused",
        ("apikeys/test_authentication.py::test_keys_of_a_suspended_app_or_tenant_are_dead",),
        (Edit("apikeys/authentication.py", "        if found.suspended:\n", "        if False:\n"),),
    ),
    Sabotage(
        "closed-apps-links-open",
        22,
        "a closed app's links open nothing",
        ("signin/test_closed_apps.py::test_a_closed_apps_sessions_links_codes_and_keys_open_nothing_any_more",),
        (
            Edit("accounts/views/auth.py", "    if app is None or app.closed:\n", "    if app is None:\n"),
            Edit(
                "accounts/pages/customers.py",
                "    return None if app is None or app.closed else app\n",
                "    return app\n",
            ),
        ),
    ),
    Sabotage(
        "closed-apps-links-mailed",
        22,
        "a closed app's links are mailed to nobody",
        ("signin/test_closed_apps.py::test_a_link_that_was_asked_for_before_the_end_is_mailed_to_nobody",),
        (
            Edit(
                "accounts/link_mail.py",
                "    if app is None or app.closed or app.tenant_id != UUID(tenant_id):\n",
                "    if app is None or app.tenant_id != UUID(tenant_id):\n",
            ),
        ),
    ),
    Sabotage(
        "closed-apps-hooks-sent",
        22,
        "a closed app's webhooks are not sent",
        ("webhooks/test_claim.py::test_a_closed_apps_hooks_are_dead_with_it",),
        (
            Edit(
                "webhooks/dispatch/queue.py",
                "            if _is_closed(app_id):\n",
                "            if False:\n",
            ),
        ),
    ),
    Sabotage(
        "place-remembered-by-the-token",
        22,
        "a member who was removed from an organization acts in it no more",
        ("organizations/test_members.py::test_a_removed_members_session_falls_back_at_once",),
        (
            Edit(
                "accounts/authentication.py",
                "organization_id=found.organization_id if found.organization_role else None,",
                "organization_id=found.organization_id,",
            ),
        ),
    ),
]
RECORDED = [
    Sabotage(
        "audit-rows-can-be-edited",
        23,
        "no audit row is ever changed",
        ("kernel/test_audit.py::test_no_row_can_be_altered",),
        sql="drop trigger append_only on kernel_auditevent;"
        " grant update, delete on kernel_auditevent to stackbe_web, stackbe_worker",
    ),
    Sabotage(
        "audit-outside-the-change",
        23,
        "an audit row commits with its change, or not at all",
        ("kernel/test_audit.py::test_outside_of_a_change_nothing_is_recorded",),
        (Edit("stackbe/kernel/audit.py", "    require_change()\n    return AuditEvent", "    return AuditEvent"),),
    ),
    Sabotage(
        "audit-detail-open",
        23,
        "an audit row's detail is sealed",
        ("kernel/test_audit.py::test_a_row_says_who_did_what_and_its_detail_is_sealed",),
        (
            Edit(
                "stackbe/kernel/crypto.py",
                "    return header + nonce + AESGCM(key).encrypt(nonce, plaintext, header + context.encode())\n",
                "    return header + nonce + plaintext + bytes(16)\n",
            ),
            Edit(
                "stackbe/kernel/crypto.py",
                "        return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], header + context.encode())\n",
                "        return rest[NONCE_BYTES:-16]\n",
            ),
        ),
    ),
    Sabotage(
        "two-sealers",
        23,
        "each audit row is chained once",
        ("kernel/test_audit.py::test_the_sealer_chains_each_row_once_in_order",),
        (
            Edit(
                "stackbe/kernel/audit.py",
                "        sequence, digest = (head[0], bytes(head[1])) if head else (0, START_OF_CHAIN)\n",
                "        sequence, digest = (head[0], START_OF_CHAIN) if head else (5, START_OF_CHAIN)\n",
            ),
        ),
    ),
]
ERASED = [
    Sabotage(
        "subjects-key-kept",
        24,
        "erasing a person destroys their key",
        ("accounts/test_customer_delete.py::test_erasure_lets_go_of_everything_and_is_announced_once",),
        (Edit("stackbe/kernel/subjects.py", "    unit.keys.destroy_subject(subject_id)\n", ""),),
    ),
    Sabotage(
        "stored-replies-kept",
        24,
        "erasing a person drops the replies that tell of them",
        ("accounts/test_customer_delete.py::test_stored_replies_go_too",),
        (
            Edit(
                "stackbe/kernel/idempotency.py",
                "    return rows.delete()[0]\n",
                "    return rows.count()\n",
            ),
        ),
    ),
    Sabotage(
        "holder-left-out",
        24,
        "every model with personal data is in the registry",
        ("architecture/test_tenancy.py::test_every_model_with_personal_data_is_registered_for_export_and_erasure",),
        (
            Edit(
                "accounts/subjects.py",
                '    register("links", models=("accounts.MagicLink",), export=export_links, erase=erase_links)\n',
                "",
            ),
            Edit(
                "accounts/subjects.py",
                '        models=("accounts.CustomerSession", "accounts.RefreshToken", "accounts.OneTimeCode"),\n',
                '        models=("accounts.CustomerSession", "accounts.RefreshToken"),\n',
            ),
        ),
    ),
    Sabotage(
        "erased-while-still-charged",
        24,
        "nothing is erased before what must end elsewhere has ended",
        ("accounts/test_customer_delete.py::test_while_a_step_fails_nothing_is_erased",),
        (
            Edit(
                "accounts/erasure.py",
                "    for step in _steps.values():\n        step(scope, customer_id)\n",
                "    for step in _steps.values():\n        try:\n            step(scope, customer_id)\n"
                "        except ConnectionError:\n            continue\n",
            ),
        ),
    ),
    Sabotage(
        "erased-unasked",
        24,
        "only who was deleted is erased",
        ("accounts/test_customer_delete.py::test_a_customer_whom_nobody_deleted_is_not_erased",),
        (
            Edit(
                "accounts/erasure.py",
                "rows.filter(deleted_at__isnull=False, erased_at__isnull=True).first()",
                "rows.filter(erased_at__isnull=True).first()",
            ),
        ),
    ),
    Sabotage(
        "exports-kept",
        24,
        "erasing a person drops the files that hold them",
        ("accounts/test_customer_files.py::test_erasing_a_customer_drops_the_exports_that_hold_them",),
        (Edit("accounts/subjects.py", "    return drop_exports(scope)\n", "    return 0\n"),),
    ),
]
SABOTAGES = [*TENANTS, *ROLES, *OTHERS, *GONE, *RECORDED, *ERASED]
