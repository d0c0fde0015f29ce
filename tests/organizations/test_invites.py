"""Invitations: sent, sent again, revoked, accepted once by whoever reads the mail."""

from __future__ import annotations

from datetime import timedelta

import jwt
import pytest

from accounts.models import App, OrganizationInvite, SpentToken
from accounts.services.organizations_invites import INVITE_LIVES
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from stackbe.mail.models import BouncedAddress, OutgoingMail
from tests.cast import LOCAL_CALLBACK, Api
from tests.queue import queued, run_jobs, run_periodic

GRACE = "grace@example.com"


def test_an_invitation_is_mailed_in_the_apps_name(club, acme):
    with change(acme.scope):
        app = App.objects.within(acme.scope).get(pk=acme.app_id)
        app.settings = {**app.settings, "email_from_name": "Orbit", "brand_color": "#aa3300"}
        app.save(update_fields=["settings"])

    made = club.sessions["ada"].post(f"{club.path}/invites", {"email": GRACE, "role": "admin"}).json()

    assert set(made) == {
        "id", "organizationId", "email", "role", "status", "invitedBy", "createdAt", "sentAt", "expiresAt",
    }  # fmt: skip
    assert (made["status"], made["sentAt"], made["invitedBy"]) == ("pending", None, club.ids["ada"])
    mail = club.mailbox.latest(GRACE)
    assert mail["subject"] == "Join Analytical Engines on Orbit"
    assert "Orbit" in mail["from"]
    assert "Ada invites you to Analytical Engines on Orbit, as an admin." in mail["text"]
    assert "for 7 days" in mail["text"]
    assert "#aa3300" in mail["html"].lower()
    assert mail["links"][0].startswith(f"http://localhost:8000/auth/invite?app={acme.app}#token=sbi_")
    assert club.backend.get(f"{club.path}/invites/{made['id']}").json()["sentAt"] is not None


def test_what_became_of_the_mail_is_kept_and_a_bounced_address_gets_none(club, acme):
    club.invite()
    assert len(club.mailbox(GRACE)) == 1
    with change(acme.scope):
        row = OrganizationInvite.objects.within(acme.scope).get()
        mail = OutgoingMail.objects.within(acme.scope).get(pk=row.id)
        assert (mail.kind, mail.status) == ("invite", OutgoingMail.Status.SENT)
        BouncedAddress(**owned_by(acme.scope), address_index=row.email_index, reason="unknown", said="550").save()

    club.backend.post(f"{club.path}/invites/{row.public_id}/resend")

    assert len(club.mailbox(GRACE)) == 1
    with reading(acme.scope):
        assert OutgoingMail.objects.within(acme.scope).get(pk=row.id).status == OutgoingMail.Status.SKIPPED


def test_names_that_hold_markup_are_text_in_the_mail(club):
    club.backend.patch(club.path, {"name": "<b>Bold</b> & Co"})

    club.invite()

    mail = club.mailbox.latest(GRACE)
    assert "<b>Bold</b>" not in mail["html"]
    assert "&lt;b&gt;Bold&lt;/b&gt; &amp; Co" in mail["html"]
    assert mail["subject"].startswith("Join <b>Bold</b> & Co")


def test_an_app_that_hosts_the_page_itself_gets_the_token_there(club, acme):
    with change(acme.scope):
        app = App.objects.within(acme.scope).get(pk=acme.app_id)
        app.settings = {**app.settings, "verification_url": "https://app.example.com/in?x=1"}
        app.save(update_fields=["settings"])

    club.invite()

    assert club.mailbox.latest(GRACE)["links"][0].startswith("https://app.example.com/in?x=1&invite=sbi_")


def test_neither_row_nor_job_holds_the_token_or_the_address(club, acme):
    club.invite()
    assert all(GRACE not in str(arguments) for _, arguments in queued())
    with reading(acme.scope):
        assert OrganizationInvite.objects.within(acme.scope).get().token_digest is None

    token = club.token()

    with reading(acme.scope):
        row = OrganizationInvite.objects.within(acme.scope).values().get()
    held = b" ".join(bytes(value) for value in row.values() if isinstance(value, bytes | memoryview))
    assert token.encode() not in held
    assert token[-43:].encode() not in held
    assert GRACE.encode() not in held


def test_accepting_makes_the_customer_and_answers_a_session_in_the_organization(club, acme):
    club.invite(role="admin")

    answer = club.accept(club.token())

    body = answer.json()
    assert answer.status_code == 200, answer.content
    assert (body["success"], body["email"], body["organizationId"], body["orgRole"]) == (True, GRACE, club.id, "admin")
    assert body["membership"]["organization"]["id"] == club.id
    assert body["membership"]["role"] == "admin"
    claims = jwt.decode(body["sessionToken"], options={"verify_signature": False})
    assert (claims["org"], claims["orgRole"], claims["sub"]) == (club.id, "admin", body["customerId"])
    assert Api(body["sessionToken"]).get(club.path).status_code == 200
    assert club.nobody.post(f"/apps/{acme.app}/auth/refresh", {"refreshToken": body["refreshToken"]}).status_code == 200
    assert club.roles() == {"ada": "owner", "grace": "admin"}
    assert club.backend.get(f"{club.path}/invites").json()["data"] == []


def test_a_customer_whom_the_app_knows_already_is_the_one_who_joins(club):
    grace = club.person("grace")
    club.invite("Grace@Example.com")

    assert club.accept(club.token("Grace@Example.com")).json()["customerId"] == grace


def test_joining_needs_no_automatic_sign_up(club, acme):
    with change(acme.scope):
        app = App.objects.within(acme.scope).get(pk=acme.app_id)
        app.settings = {**app.settings, "auto_create_customer": False}
        app.save(update_fields=["settings"])
    club.invite()

    assert club.accept(club.token()).status_code == 200


def test_an_invitation_works_once(club):
    club.invite()
    token = club.token()
    assert club.accept(token).status_code == 200

    again = club.accept(token)

    assert (again.status_code, again.json()["code"]) == (401, "TOKEN_ALREADY_USED")
    assert club.events().count("organization.member_added") == 2


def test_somebody_signed_in_under_another_address_is_refused_and_spends_nothing(club):
    club.person("mallory")
    club.person("grace")
    club.invite()
    token = club.token()

    refused = club.accept(token, club.sessions["mallory"])

    assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
    assert "another address" in refused.json()["message"]
    assert "mallory" not in club.roles()
    assert club.accept(token, club.sessions["grace"]).status_code == 200


def test_the_apps_backend_may_pass_the_token_on_and_a_rivals_may_not(club, globex):
    club.invite()
    token = club.token()

    assert club.accept(token, Api(globex.key)).json()["code"] == "TOKEN_INVALID"
    assert club.accept(token, Api("sbk_test_wrong")).status_code == 401
    assert club.accept(token, club.backend).status_code == 200


def test_sending_again_mints_anew_and_kills_the_old_link(club):
    made = club.invite()
    old = club.token()

    again = club.sessions["ada"].post(f"{club.path}/invites/{made['id']}/resend")
    dead_before_the_mail = club.accept(old)
    new = club.token()

    assert (again.status_code, again.json()["id"]) == (200, made["id"])
    assert again.json()["expiresAt"] > made["expiresAt"]
    assert dead_before_the_mail.json()["code"] == "TOKEN_INVALID"
    assert old != new
    assert club.accept(old).json()["code"] == "TOKEN_INVALID"
    assert club.accept(new).status_code == 200


def test_a_job_of_an_earlier_sending_mints_no_more(club):
    made = club.invite()
    club.backend.post(f"{club.path}/invites/{made['id']}/resend")

    assert run_jobs().count("accounts.mail_invite") == 2

    assert len(club.mailbox(GRACE)) == 1


def test_sending_again_has_a_limit(club):
    made = club.invite()
    path = f"{club.path}/invites/{made['id']}/resend"

    codes = [club.backend.post(path).status_code for _ in range(6)]

    assert codes == [200] * 5 + [429]


def test_a_revoked_invitation_opens_nothing(club):
    made = club.invite()
    token = club.token()

    assert club.backend.delete(f"{club.path}/invites/{made['id']}").status_code == 204

    assert club.accept(token).json()["code"] == "TOKEN_INVALID"
    assert club.backend.get(f"{club.path}/invites/{made['id']}").status_code == 404
    assert club.backend.delete(f"{club.path}/invites/{made['id']}").status_code == 404


def test_one_that_was_revoked_before_the_mail_is_never_mailed(club):
    made = club.invite()
    club.backend.delete(f"{club.path}/invites/{made['id']}")

    assert club.mailbox(GRACE) == []


def age(acme, by: timedelta) -> None:
    with change(acme.scope):
        for row in OrganizationInvite.objects.within(acme.scope):
            row.expires_at -= by
            row.save(update_fields=["expires_at"])


def test_an_expired_one_says_so_and_can_be_sent_again(club, acme):
    made = club.invite()
    token = club.token()
    age(acme, INVITE_LIVES)

    late = club.accept(token)
    (shown,) = club.backend.get(f"{club.path}/invites").json()["data"]
    club.backend.post(f"{club.path}/invites/{made['id']}/resend")

    assert (late.status_code, late.json()["code"]) == (401, "TOKEN_EXPIRED")
    assert shown["status"] == "expired"
    assert club.accept(club.token()).status_code == 200


def test_what_expired_a_month_ago_goes(club, acme):
    club.invite()
    club.invite("kim@example.com")
    age(acme, INVITE_LIVES + timedelta(days=31))
    club.invite("new@example.com")

    run_periodic("trust.purge")

    left = club.backend.get(f"{club.path}/invites").json()["data"]
    assert [row["email"] for row in left] == ["new@example.com"]


def test_the_memory_of_an_accepted_one_ends_with_its_time(club, acme):
    club.invite()
    token = club.token()
    club.accept(token)
    SpentToken.unscoped.update(expires_at=wall_clock() - timedelta(seconds=1))

    run_periodic("trust.purge")

    assert club.accept(token).json()["code"] == "TOKEN_INVALID"


def test_one_address_has_one_invitation_and_members_get_none(club):
    club.invite()
    club.person("grace")

    twice = club.backend.post(f"{club.path}/invites", {"email": "GRACE@example.com"})
    member = club.backend.post(f"{club.path}/invites", {"email": "ada@example.com"})

    assert (twice.status_code, member.status_code) == (409, 409)
    assert "pending" in twice.json()["message"]
    assert "member" in member.json()["message"]


def test_known_and_unknown_addresses_are_answered_alike(club):
    club.person("grace")
    answers = [club.backend.post(f"{club.path}/invites", {"email": e}) for e in (GRACE, "nobody@example.com")]

    strip = {"id", "email", "createdAt", "expiresAt"}
    shown = [{key: value for key, value in answer.json().items() if key not in strip} for answer in answers]
    assert shown[0] == shown[1]
    assert [answer.status_code for answer in answers] == [201, 201]


@pytest.mark.parametrize("token", ["", "x", "sbi_", "sbm_" + "0" * 52 + "A" * 43, "sbi_" + "0" * 52 + "A" * 43])
def test_what_is_no_invitation_is_refused(club, token):
    answer = club.accept(token)

    assert answer.status_code in {400, 401}
    assert answer.json()["code"] in {"VALIDATION_ERROR", "TOKEN_INVALID"}


def test_only_owners_invite_owners(club):
    admin, member = club.add("admin", "admin"), club.add("member")
    path = f"{club.path}/invites"

    assert admin.post(path, {"email": "a@example.com", "role": "admin"}).status_code == 201
    assert admin.post(path, {"email": "b@example.com", "role": "owner"}).status_code == 403
    assert member.post(path, {"email": "c@example.com"}).status_code == 403
    assert member.get(path).status_code == 403
    owners = club.sessions["ada"].post(path, {"email": "d@example.com", "role": "owner"}).json()
    assert admin.delete(f"{path}/{owners['id']}").status_code == 403
    assert admin.post(f"{path}/{owners['id']}/resend").status_code == 403


def test_a_session_invites_thirty_an_hour(club):
    path = f"{club.path}/invites"

    codes = [club.sessions["ada"].post(path, {"email": f"p{n}@example.com"}).status_code for n in range(31)]

    assert codes == [201] * 30 + [429]


def test_an_invitation_of_one_organization_is_not_anothers(acme_api, club):
    made = club.invite()
    other = acme_api.post("/organizations", {"name": "Other"}).json()["id"]

    for method, tail in (("GET", ""), ("DELETE", ""), ("POST", "/resend")):
        answer = acme_api.request(method, f"/organizations/{other}/invites/{made['id']}{tail}")
        assert answer.status_code == 404
        assert answer.json()["code"] == "NOT_FOUND"


@pytest.mark.parametrize("url", ["https://evil.example/callback", f"{LOCAL_CALLBACK}/", f"{LOCAL_CALLBACK}?x=1"])
def test_the_way_back_is_one_that_the_app_registered(club, url):
    answer = club.backend.post(f"{club.path}/invites", {"email": GRACE, "redirectUrl": url})

    assert (answer.status_code, answer.json()["code"]) == (400, "REDIRECT_NOT_ALLOWED")


def test_deleting_a_customer_takes_back_what_was_on_its_way_to_them(club):
    grace = club.person("grace")
    club.invite()
    token = club.token()

    club.backend.delete(f"/customers/{grace}")

    assert club.accept(token).json()["code"] == "TOKEN_INVALID"
    assert club.backend.get(f"{club.path}/invites").json()["data"] == []
