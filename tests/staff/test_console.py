"""The staff console: who sees what, what is masked, and that every look is on record."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from django.test import Client
from django.urls import reverse
from procrastinate.contrib.django.models import ProcrastinateJob

from accounts.models import App, Tenant, User
from apikeys.models import ApiKey
from billing.models import StripeEvent
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import ApiError, Forbidden
from stackbe.kernel.ids import new_id
from stackbe.kernel.scope import PLATFORM, platform_scope
from stackbe.kernel.transactions import change, reading
from stackbe.mail.outgoing import record_asked
from stackbe.staff import services
from stackbe.staff.roles import POWERS, Power
from stackbe.staff.services import answers, consents, reruns, verifying
from stackbe.trust.models import Chain, Ticket
from stackbe.trust.services.tickets import open_ticket
from tests.cast import Api
from tests.staff.conftest import ensure_platform_key, hire, looks

REASON = "They asked us to look into it."


def url_of(label: str, *arguments: object, page: str = "changelist") -> str:
    return reverse(f"console:{label.lower().replace('.', '_')}_{page}", args=arguments)


def test_strangers_are_sent_to_sign_in(committed):
    response = Client(headers={"host": "localhost:8000"}).get(url_of("accounts.Customer"))

    assert response.status_code == 302
    assert response["Location"].startswith("/staff/login/")


def test_personal_data_is_masked_and_the_look_is_in_the_tenants_log(acme, customer):
    client = hire("support")

    listed = client.get(url_of("accounts.Customer"))
    opened = client.get(url_of("accounts.Customer", customer.pk, page="change"))

    for response in (listed, opened):
        assert response.status_code == 200
        assert "grace@example.com" not in response.content.decode()
        assert "Grace" not in response.content.decode()
    assert "•••" in opened.content.decode()
    assert looks(acme.tenant_id, "staff.viewed") == [customer.public_id]
    assert looks(PLATFORM, "staff.listed") == ["accounts.Customer"]


def test_revealing_takes_a_reason_and_records_it(acme, customer):
    client = hire("support")
    url = url_of("accounts.Customer", customer.pk, "reveal", page="deed")

    without = client.post(url, {"reason": " "}, follow=True)
    shown = client.post(url, {"reason": "The customer asked us to check their address."})

    assert "grace@example.com" not in without.content.decode()
    assert "grace@example.com" in shown.content.decode()
    assert looks(acme.tenant_id, "staff.revealed") == [customer.public_id]


def test_a_role_without_the_power_reveals_nothing(customer):
    client = hire("billing")

    response = client.post(
        url_of("accounts.Customer", customer.pk, "reveal", page="deed"), {"reason": "I would like to"}
    )

    assert response.status_code == 403


def test_each_act_asks_for_the_role_itself(acme, customer):
    """Whatever page may lead to it one day: behind each power is an act that refuses whoever does not have it."""
    with reading(acme.scope):
        tenant, app = Tenant.unscoped.get(pk=acme.tenant_id), App.objects.within(acme.scope).get(pk=acme.app_id)
        key = ApiKey.objects.within(acme.scope).filter(kind="secret").first()
    nothing = uuid4()
    acts = {
        Power.REVEAL: lambda user: services.reveal(user, customer, ["email"], REASON),
        Power.SUSPEND: lambda user: (
            services.set_suspended(user, app, suspended=False, reason=REASON),
            services.revoke_key(user, key, REASON),
        ),
        Power.VISIT: lambda user: consents.begin_visit(user, tenant, REASON),
        Power.RERUN: lambda user: reruns.rerun_event(
            user, StripeEvent(tenant_id=acme.tenant_id, type="customer.created")
        ),
        Power.RETRY: lambda user: reruns.retry_job(user, ProcrastinateJob(pk=0), REASON),
        Power.ANSWER: lambda user: answers.close(user, nothing),
        Power.VERIFY: lambda user: verifying.ask_verification(user, Chain(tenant_id=acme.tenant_id)),
        Power.APPOINT: lambda user: services.appoint(user, nothing, "support"),
    }

    def refused(act, role):
        try:
            act(User(id=new_id(), staff_role=role))
        except Forbidden as said:
            return "Your role" in str(said)
        except ApiError:
            pass  # it asked for the role, and found something else that is not as it must be
        return False

    found = {power: {role for role in User.StaffRole if not refused(act, role)} for power, act in acts.items()}
    assert found == {power: set(roles) for power, roles in POWERS.items()}


def test_suspending_an_app_refuses_its_key_on_the_next_request(acme, customer):
    client = hire("security")
    url = url_of("accounts.App", acme.app_id, "suspend", page="deed")
    assert Api(acme.key).get("/me").status_code == 200

    assert client.post(url, {"reason": "Reported for abuse."}).status_code == 302

    assert Api(acme.key).get("/me").status_code == 401
    assert looks(acme.tenant_id, "app.suspended") == [acme.app]


def test_only_administrators_appoint_and_nobody_themselves(committed):
    administrator, security = hire("administrator"), hire("security")
    people = {user.staff_role: user for user in User.objects.all()}
    target, self_ = people["security"], people["administrator"]

    def attempt(client, person):
        return client.post(url_of("accounts.User", person.pk, "appoint:support", page="deed")).status_code

    assert attempt(security, self_) == 403
    assert attempt(administrator, self_) == 403
    assert attempt(administrator, target) == 302
    assert User.objects.get(pk=target.pk).staff_role == "support"


def test_the_console_names_its_lists_as_people_do(committed):
    html = hire("administrator").get("/staff/").content.decode()

    for words in ("API keys", "Deliveries", "Plans and payments", "Mirrored from Stripe"):
        assert words in html
    for words in ("Apikeys", "Deliverys", "Djstripe"):
        assert words not in html
    assert "Deliverys" not in hire("support").get(url_of("webhooks.Delivery")).content.decode()


def test_the_console_says_that_developers_wait_for_mail(committed):
    scope = platform_scope()
    with change(scope) as unit:
        ensure_platform_key(unit)
        asked_at = wall_clock() - timedelta(seconds=31)
        record_asked(scope, new_id(), "sign_in", b"nobody", asked_at=asked_at)

    html = hire("administrator").get("/staff/").content.decode()

    assert "Developers wait for mail. One sign-in mail has waited for more than 30 seconds" in html


def test_ids_are_those_that_the_api_and_the_dashboard_show(acme, customer):
    client = hire("support")

    listed = client.get(url_of("accounts.Customer")).content.decode()
    opened = client.get(url_of("accounts.Customer", customer.pk, page="change")).content.decode()

    for html in (listed, opened):
        assert acme.app in html
        assert str(acme.tenant_id) not in html


def test_staff_answer_a_ticket_from_the_console_and_put_it_away(committed):
    with change(platform_scope("contact form")) as unit:
        ticket = open_ticket(unit.scope, subject="security", email="fin@example.org", name="", message="It leaks.")
    url = {deed: url_of("trust.Ticket", ticket.pk, deed, page="deed") for deed in ("answer", "close")}
    support, billing = hire("support"), hire("billing")

    short = support.post(url["answer"], {"text": "Ok"}, follow=True)
    early = support.post(url["close"])
    support.post(url["answer"], {"text": "We look into it today."})
    support.post(url["close"])

    assert "Write 10 to 10,000 characters" in short.content.decode()
    assert early.status_code == 403
    assert billing.post(url["answer"], {"text": "We look into it today."}).status_code == 403
    kept = Ticket.unscoped.get()
    assert kept.answered_at is not None
    assert kept.closed_at is not None
    assert looks(PLATFORM, "ticket.answered") == [ticket.public_id]
