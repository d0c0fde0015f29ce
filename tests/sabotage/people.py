"""What keeps one's own one's own, ends with whom it belongs to, and is on record (checks 21 to 24)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage, rewritten

MEMBERS = "accounts/services/members.py"
API = "stackbe/kernel/api.py"

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
                "accounts/views/sessions.py",
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
                "webhooks/dispatch/opening.py",
                "        if app_id not in in_service:\n",
                "        if False:\n",
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
        "forged-heads-count",
        23,
        "a head that was kept elsewhere counts for its signature",
        ("trust/test_verify_audit.py::test_a_tail_that_was_cut_and_a_forged_head_are_found",),
        (
            Edit(
                "stackbe/trust/heads.py",
                "    return key is not None and attest",
                "    return key is not None or attest",
            ),
        ),
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
SABOTAGES = [*OTHERS, *GONE, *RECORDED, *ERASED]
