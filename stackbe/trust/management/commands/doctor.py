"""`manage.py doctor [--mail you@example.com]`: what was pasted where of Stripe's, what do the texts lack, and will
our mail arrive?

As far as either can be told from here. No sentence holds a secret.
"""

from __future__ import annotations

from argparse import ArgumentParser
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email

from billing.stripe.setup import Mark as StripeMark
from billing.stripe.setup import Step, steps
from stackbe.mail import doctor
from stackbe.mail.doctor import Finding, Mark
from stackbe.mail.refusals import judge
from stackbe.mail.sending import send, write
from stackbe.trust import operator

LOCAL = frozenset({"localhost", "localdomain", "local", "test", "example", "invalid"})


class Command(BaseCommand):
    help = (
        "Say which of Stripe's keys and secrets was pasted where, and what the privacy policy and the terms lack; with"
        " --mail, send one instead and check SPF, DKIM and"
        " DMARC of the domain that it comes from. Exits 1 on a problem."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--mail", metavar="ADDRESS", default="", help="where to send a mail to")
        parser.add_argument("--selector", default="", help="the DKIM selector that your provider signs with")

    def handle(self, **options: Any) -> None:
        if options["mail"]:
            self.examine_mail(options["mail"], options["selector"])
        else:
            self.examine_stripe()

    def examine_stripe(self) -> None:
        """Say of each variable whether it holds what belongs there, and of the endpoints what Stripe knows."""
        found = [*steps(), *texts()]
        for step in found:
            self.stdout.write(f"[{step.mark}] {step.about}: {step.sentence}")
        self.stdout.write("Mail was not looked at: --mail you@example.com sends one and looks.")
        if wrong := [step.about for step in found if step.mark == StripeMark.WRONG]:
            raise CommandError(f"Put right: {', '.join(wrong)}.")

    def examine_mail(self, address: str, selector: str) -> None:
        """Send a mail, and look at what DNS says of the domain that it comes from."""
        try:
            validate_email(address)
        except ValidationError:
            raise CommandError(f"{address} is no e-mail address.") from None
        sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
        self.stdout.write(f"Mail comes from {sender} ({settings.EMAIL_BACKEND}).")
        findings = [self._sending(address), *self._domain(sender.rpartition("@")[2].lower(), selector)]
        for finding in findings:
            self.stdout.write(f"[{finding.mark}] {finding.about}: {finding.sentence}")
        if any(finding.mark == Mark.BAD for finding in findings):
            raise CommandError("Mail may not arrive until the problems above are solved.")

    def _sending(self, address: str) -> Finding:
        paragraphs = [
            "If you can read this, your copy can send mail.",
            "Sign-in links will come from the same address.",
        ]
        message = write("notice", address, {"subject": "Mail works", "paragraphs": paragraphs})
        try:
            send(message)
        except Exception as failure:  # noqa: BLE001  # whatever went wrong is what was asked about
            verdict = judge(failure)
            then = "Trying again will not help" if verdict.for_good else "It may pass, or EMAIL_URL may be wrong"
            return Finding("Sending", Mark.BAD, f"The mail server did not take the mail: {verdict.said}. {then}.")
        if settings.DEVELOPMENT_INBOX:
            sentence = "This copy keeps its mail at /dev/inbox and sends none. Set EMAIL_URL to send."
            return Finding("Sending", Mark.UNKNOWN, sentence)
        return Finding("Sending", Mark.GOOD, f"The mail server took a mail to {address}. See that it is not in spam.")

    def _domain(self, domain: str, selector: str) -> list[Finding]:
        if "." not in domain or domain.rpartition(".")[2] in LOCAL:
            sentence = f"{domain} is no domain on the Internet. Set DEFAULT_FROM_EMAIL to an address of your own."
            return [Finding("Domain", Mark.BAD, sentence)]
        return doctor.examine(domain, selector)


def texts() -> list[Step]:
    """Say of the privacy policy and the terms what they lack: a fault in production, else what is to do."""
    found = []
    for name, title in operator.TEXTS.items():
        unsaid = operator.missing(name)
        mark = StripeMark.DONE if not unsaid else StripeMark.WRONG if settings.PRODUCTION else StripeMark.OPEN
        sentence = f"It is a draft until you set {', '.join(unsaid)}." if unsaid else "It is filled in."
        found.append(Step(title, mark, sentence))
    return found
