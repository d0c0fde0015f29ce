"""Openness: reports, this page, and getting started (R1, P1, G1)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.dateparse import parse_datetime

from stackbe.kernel.clock import wall_clock
from stackbe.trust import operator
from stackbe.trust.checks.asking import as_role, ask, number
from stackbe.trust.services.tickets import response_times

if TYPE_CHECKING:
    from stackbe.trust.checks.shapes import Found

OK = 200
SECURITY_TXT = "/.well-known/security.txt"
YEAR = timedelta(days=366)
SLOW_MAIL = timedelta(minutes=2)
ATOM = "{http://www.w3.org/2005/Atom}"
WAITING = "select count(*) from mail_outgoingmail where status = 'waiting' and asked_at < %s and asked_at > %s"


def disclosure(found: Found) -> None:
    """Read security.txt as RFC 9116 has it, open the form, and see whether a report has waited for too long."""
    answer = ask("GET", SECURITY_TXT)
    lines = [line.partition(": ") for line in answer.text.splitlines() if line]
    fields: dict[str, list[str]] = {}
    for name, _, value in lines:
        fields.setdefault(name.lower(), []).append(value)
    expires = parse_datetime((fields.get("expires") or [""])[0])
    moment = wall_clock()
    plain = answer.headers.get("content-type", "").replace(" ", "").lower() == "text/plain;charset=utf-8"
    contacts = fields.get("contact", [])
    reached = bool(contacts) and all(contact.startswith(("https:", "mailto:", "tel:", "http:")) for contact in contacts)
    once = all(len(fields.get(name, [])) == 1 for name in ("expires", "preferred-languages"))
    valid = answer.status == OK and plain and reached and once and "policy" in fields
    found.need(valid, "security.txt names a contact and a policy.", "security.txt is missing or says too little.")
    here = f"{settings.BASE_URL}{SECURITY_TXT}" in fields.get("canonical", [])
    found.need(here, "It says where it belongs.", "It is another site's: Canonical names another address.")
    lasting = expires is not None and moment < expires < moment + YEAR
    found.need(lasting, "It has not run out.", "It has run out, or runs for more than a year.")
    form = ask("GET", "/contact?subject=security")
    opens = form.status == OK and "csrfmiddlewaretoken" in form.text
    found.need(opens, "The contact form is open.", "The contact form does not open.")
    times = response_times()
    found.need(
        not times.overdue,
        f"{times.answered} reports answered in 90 days, {times.waiting} waiting.",
        f"{times.overdue} reports wait for more than 24 hours.",
    )


def transparency(found: Found) -> None:
    """Read this page, its feed and the documentation as anybody may."""
    page = ask("GET", "/security")
    # What the page is made of: the rows of the table, each with its anchor. A text that says the same has none.
    rows = page.text.count('<tr id="')
    found.need(
        page.status == OK and rows >= 25,  # noqa: PLR2004  # the rows of the mission
        f"The page is made of {rows} checks.",
        "The page is not made of the checks.",
    )
    feed = ask("GET", "/security/feed.atom")
    try:
        told = ET.fromstring(feed.text).tag == f"{ATOM}feed"  # noqa: S314  # our own answer, bounded
    except ET.ParseError:
        told = False
    found.need(told, "The feed of changes is open.", "The feed of changes is broken.")
    for path in ("/docs/security", "/privacy", "/terms"):
        answer = ask("GET", path)
        found.need(answer.status == OK, f"{path} is served.", f"{path} is not served.")
        if settings.PRODUCTION and operator.UNFILLED in answer.text:
            found.failed(f"{path} is a draft that nobody has filled in.")


def getting_started(found: Found) -> None:
    """Open the sign-up, and see whether its mails go out and the queue moves: a link that is late is no quick start."""
    page = ask("GET", "/signup")
    found.need(page.status == OK and 'name="email"' in page.text, "Sign-up is open.", "Sign-up is closed.")
    ready = ask("GET", "/readyz")
    found.need(ready.status == OK, "The queue moves.", "The queue stands.")
    moment = wall_clock()
    with as_role("staff") as staff:
        waiting = number(staff, WAITING, [moment - SLOW_MAIL, moment - timedelta(days=1)])
    found.need(waiting == 0, "No sign-in mail waits.", f"{waiting} mails have waited for two minutes.")
    guide = ask("GET", "/docs/quickstart")
    found.need(guide.status == OK, "The guide to the first call is served.", "The quick start is not served.")
    found.need(
        settings.ADDRESS_LIMITS["signup"][0] > 0,
        "It asks for an address alone, and costs nothing.",
        "Nobody may sign up.",
    )
