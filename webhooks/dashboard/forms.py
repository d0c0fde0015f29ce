"""Forms of the pages of webhooks."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django import forms

from accounts.dashboard.frame import as_the_api_takes_it
from stackbe.kernel import ids
from webhooks.catalogue import EVENT_TYPES, EVERY_TYPE
from webhooks.models import Delivery
from webhooks.serializers import EndpointInput
from webhooks.services.replay import Which


class EndpointForm(forms.Form):
    """An endpoint to register or change."""

    url = forms.CharField(
        label="URL",
        max_length=2048,
        widget=forms.URLInput(attrs={"placeholder": "https://example.com/webhooks/stackbe"}),
        help_text="Where events are posted to. Live apps need https.",
    )
    description = forms.CharField(label="Description", required=False, max_length=255)
    reach = forms.ChoiceField(
        label="Which events", choices=[("all", "All of them, later ones too"), ("some", "Only what is ticked below")]
    )
    events = forms.MultipleChoiceField(
        label="Events",
        required=False,
        choices=[(name, name) for name in EVENT_TYPES],
        widget=forms.CheckboxSelectMultiple,
    )

    filter = forms.CharField(
        label="Only events where",
        required=False,
        max_length=8192,
        widget=forms.Textarea(
            attrs={"rows": 3, "spellcheck": "false", "placeholder": '{"data.plan.slug": ["pro", "team"]}'}
        ),
        help_text="JSON: paths inside the event and the values they must have. Empty takes all.",
    )
    ordered = forms.BooleanField(
        label="In order",
        required=False,
        help_text="One after the other: an event that your server refuses holds up those after it.",
    )

    def clean_filter(self) -> Any:
        """Read the filter; what it may hold is the API's to say."""
        text = self.cleaned_data["filter"].strip()
        try:
            return json.loads(text) if text else None
        except ValueError as wrong:
            raise forms.ValidationError("This is not JSON. Write an object such as the one shown.") from wrong

    def clean(self) -> dict[str, Any]:
        """Ask for a type where only some were wanted."""
        entered: dict[str, Any] = super().clean() or {}
        if entered.get("reach") == "some" and not entered.get("events"):
            self.add_error("events", "Tick at least one, or take all events.")
        return entered

    def as_asked(self) -> dict[str, Any]:
        """Return the arguments of the services, judged as the API judges them."""
        entered = self.cleaned_data
        asked = {name: entered[name] for name in ("url", "description", "filter", "ordered")}
        asked["events"] = [EVERY_TYPE] if entered["reach"] == "all" else entered["events"]
        return as_the_api_takes_it(EndpointInput, asked)


class LogSearch(forms.Form):
    """What the log of deliveries is narrowed to. What makes no sense narrows nothing and is said."""

    status = forms.ChoiceField(label="Status", required=False, choices=[("", "Every status"), *Delivery.Status.choices])
    type = forms.ChoiceField(label="Type", required=False, choices=[("", "Every type"), *((t, t) for t in EVENT_TYPES)])
    about = forms.CharField(
        label="Event or customer",
        required=False,
        max_length=64,
        widget=forms.TextInput(attrs={"placeholder": "evt_… or cust_…", "spellcheck": "false"}),
    )

    def clean_about(self) -> dict[str, UUID]:
        """Return which of the two it names, and whom."""
        text = self.cleaned_data["about"].strip()
        for prefix, name in (("evt", "event_id"), ("cust", "customer_id")):
            if text.startswith(f"{prefix}_"):
                try:
                    return {name: ids.decode(prefix, text)}
                except ids.MalformedId:
                    break
        if text:
            raise forms.ValidationError("Enter a whole id that begins with evt_ or cust_.")
        return {}

    def narrowed(self) -> dict[str, Any]:
        """Return the arguments of `deliveries_of`."""
        self.is_valid()
        entered = self.cleaned_data
        about: dict[str, Any] = entered.get("about") or {}
        return about | {name: entered[name] for name in ("status", "type") if entered.get(name)}


class EventSearch(forms.Form):
    """What the list of events is narrowed to."""

    type = forms.ChoiceField(label="Type", required=False, choices=[("", "Every type"), *((t, t) for t in EVENT_TYPES)])
    customer = forms.CharField(
        label="Customer",
        required=False,
        max_length=64,
        widget=forms.TextInput(attrs={"placeholder": "cust_…", "spellcheck": "false"}),
    )

    def clean_customer(self) -> UUID | None:
        """Return whom it names."""
        text = self.cleaned_data["customer"].strip()
        try:
            return ids.decode("cust", text) if text else None
        except ids.MalformedId:
            raise forms.ValidationError("Enter a whole id that begins with cust_.") from None

    def narrowed(self) -> dict[str, Any]:
        """Return the arguments of `events_of`."""
        self.is_valid()
        entered = self.cleaned_data
        return {"type": entered.get("type") or None, "customer_id": entered.get("customer")}


class ReplayForm(forms.Form):
    """What to send again to an endpoint."""

    since = forms.DateTimeField(
        label="From (UTC)",
        input_formats=["%Y-%m-%dT%H:%M"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    until = forms.DateTimeField(
        label="Until (UTC)",
        required=False,
        input_formats=["%Y-%m-%dT%H:%M"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Empty is now.",
    )
    status = forms.ChoiceField(
        label="Which events",
        choices=[
            (Which.MISSED, "All that it missed"),
            (Which.FAILED, "Those that failed or were canceled"),
            (Which.DELIVERED, "Those that it has already got"),
            (Which.ALL, "All of them"),
        ],
    )

    def as_asked(self) -> dict[str, Any]:
        """Return the arguments of the service."""
        asked = {"since": self.cleaned_data["since"], "status": self.cleaned_data["status"]}
        return asked | ({"until": self.cleaned_data["until"]} if self.cleaned_data["until"] else {})
