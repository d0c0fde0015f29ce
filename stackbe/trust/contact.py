"""The contact page: a form that opens a ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from stackbe.kernel.limits import HOUR
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.senders import sends_too_often
from stackbe.kernel.serializers import EMAIL_LENGTH, holds_card_number
from stackbe.kernel.transactions import change
from stackbe.trust.models import Ticket
from stackbe.trust.services.tickets import open_ticket

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

SHORTEST, LONGEST = 20, 10_000
PER_CALLER, PER_ADDRESS = "10/h", "3/h"
TOO_OFTEN = "That was too often for one hour. Wait a little, or use the other address in security.txt."


class ContactForm(forms.Form):
    """Who writes, about what, and what."""

    subject = forms.ChoiceField(label="Subject", choices=Ticket.Subject.choices)
    email = forms.EmailField(
        label="Your e-mail",
        max_length=EMAIL_LENGTH,
        help_text="We answer to this address and use it for nothing else.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    name = forms.CharField(
        label="Your name", max_length=120, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    message = forms.CharField(
        label="Message",
        min_length=SHORTEST,
        max_length=LONGEST,
        help_text="For a vulnerability: what you did, what you saw, and where. No card numbers, no passwords.",
        widget=forms.Textarea(attrs={"rows": 9}),
        error_messages={"min_length": f"Say a little more: at least {SHORTEST} characters."},
    )

    def clean_name(self) -> str:
        """Return the name, if it is one line of plain characters."""
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("Use one line of plain characters.")
        return name

    def clean_message(self) -> str:
        """Return what was written; card data must reach nobody here."""
        message: str = self.cleaned_data["message"]
        if holds_card_number(message):
            raise forms.ValidationError("This looks like a card number. Leave it out: nobody here may hold one.")
        return message


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def contact(request: HttpRequest) -> HttpResponse:
    """Show the form (`?subject=security` chooses), and open a ticket with what it posts."""
    if request.method != "POST":
        asked = request.GET.get("subject", "")
        chosen = asked if asked in Ticket.Subject.values else Ticket.Subject.OTHER
        return render(request, "trust/contact.html", {"form": ContactForm(initial={"subject": chosen})})
    form = ContactForm(request.POST)
    if not form.is_valid():
        return render(request, "trust/contact.html", {"form": form}, status=400)
    wanted = form.cleaned_data
    if sends_too_often(request, "contact", wanted["email"], per_caller=PER_CALLER, per_address=PER_ADDRESS):
        form.add_error(None, TOO_OFTEN)
        refused = render(request, "trust/contact.html", {"form": form}, status=429)
        refused["Retry-After"] = str(HOUR)
        return refused
    scope = platform_scope("contact form")
    with change(scope):
        ticket = open_ticket(scope, **wanted)
    context = {"ticket": ticket.public_id, "email": wanted["email"], "subject": wanted["subject"]}
    return render(request, "trust/contact_done.html", context)
