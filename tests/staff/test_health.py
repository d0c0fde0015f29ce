"""The health page, and what staff set going again from it: jobs, Stripe's events, deliveries."""

from __future__ import annotations

import re

from django.db import connections
from django.test.utils import CaptureQueriesContext
from procrastinate.contrib.django.models import ProcrastinateJob

from stackbe.kernel.scope import PLATFORM
from tests.staff.conftest import hire, looks
from tests.staff.test_console import url_of

REASON = "The provider was down; it answers again."


def test_it_shows_each_part_with_a_verdict_and_plots_from_a_few_queries(troubles):
    client = hire("support")

    with CaptureQueriesContext(connections["staff"]) as asked:
        page = client.get("/staff/health/")

    panels = {
        title: (verdict, figure)
        for verdict, title, figure in re.findall(
            r'console-panel is-(\w+)".*?<h2[^>]*>([\w-]+)</h2>.*?console-figure">([^<]+)<',
            page.content.decode(),
            re.DOTALL,
        )
    }
    assert panels == {
        "Queue": ("warn", "0 s"),
        "Errors": ("warn", "2"),
        "Stripe": ("warn", "1"),
        "Webhooks": ("warn", "67 %"),
        "Sign-in": ("good", "0"),
        "Mail": ("warn", "2 min"),
        "Audit": ("good", "0"),
    }
    assert page.content.decode().count("<rect") >= 5
    assert "style=" not in page.content.decode().partition('class="console-panels"')[2].partition("</main>")[0]
    assert len(asked) <= 7
    assert "67 %" in client.get("/staff/").content.decode()


def test_a_job_that_was_given_up_goes_back_into_the_queue_once(troubles):
    client, (job, _, _) = hire("security"), troubles
    url = url_of("procrastinate.ProcrastinateJob", job, "retry", page="deed")

    listed = client.get(url_of("procrastinate.ProcrastinateJob"), {"status__exact": "failed"})
    client.post(url, {"reason": REASON})

    assert "mail.send" in listed.content.decode()
    assert ProcrastinateJob.objects.get(pk=job).status == "todo"
    assert client.post(url, {"reason": REASON}).status_code == 403
    assert looks(PLATFORM, "job.retried") == [f"job_{job}"]


def test_an_event_of_stripes_is_worked_off_again(acme, troubles):
    client, (_, event, _) = hire("billing"), troubles

    client.post(url_of("billing.StripeEvent", event.pk, "rerun", page="deed"))

    queued = ProcrastinateJob.objects.filter(task_name="billing.sync_stripe_object").get()
    assert queued.args["object_id"] == "sub_1"
    assert looks(acme.tenant_id, "stripe_event.rerun") == [event.public_id]


def test_a_delivery_whose_event_is_gone_says_so(acme, troubles):
    client, (_, _, delivery) = hire("billing"), troubles

    answered = client.post(url_of("webhooks.Delivery", delivery.pk, "rerun", page="deed"), follow=True)

    assert "No such" in answered.content.decode()
    assert looks(acme.tenant_id, "delivery.rerun") == []
