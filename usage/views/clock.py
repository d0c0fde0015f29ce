"""/v1/test/clock"""

from __future__ import annotations

from datetime import timedelta

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.stripe.clock import move_clock
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.clock import now, render
from stackbe.kernel.errors import MissingRequiredField, ValidationFailed
from stackbe.kernel.ids import new_id
from stackbe.kernel.serializers import Input, Output, Pattern, Timestamp
from stackbe.kernel.transactions import change, reading
from usage.services.overage import report_account
from usage.services.thresholds import announce
from webhooks.models import Event
from webhooks.serializers import EventOutput

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
MOST_EVENTS = 1000


class ClockInput(Input):
    """By how much, or to when."""

    advance = Pattern(
        r"^[0-9]{1,5}[smhdw]\Z", "Must be a number and a unit, such as 90m, 36h, 35d or 2w.", required=False
    )
    to = Timestamp(required=False)


class ClockOutput(Output):
    """What time it is for the app now, and what happened on the way, in its order."""

    now = serializers.CharField()
    events = EventOutput(many=True)
    has_more = serializers.BooleanField()


class TestClock(ApiView):
    """The clock of a test app."""

    @operation(input=ClockInput, output=ClockOutput, network=True)
    def post(self, request: Request) -> Response:
        """Move a test app's clock forward, and its Stripe sandbox's with it.

        Trials end, periods renew, limits reset and webhooks go out as they would have. Answers what happened.
        """
        asked = self.parse()
        if not asked:
            raise MissingRequiredField(fields={"advance": ["Give advance or to."]})
        if len(asked) > 1:
            raise ValidationFailed(fields={"to": ["Give either advance or to."]})
        began = new_id()
        scope = move_clock(
            self.scope, advance=_stretch(asked.get("advance")), to=asked.get("to"), before=report_account
        )
        with change(scope):
            announce(scope)
        with reading(scope):
            rows = Event.objects.within(scope).filter(pk__gt=began).order_by("pk")
            found = list(rows[: MOST_EVENTS + 1])
            shown = [EventOutput(row, context={"scope": scope}).data for row in found[:MOST_EVENTS]]
        return Response({"now": render(now(scope)), "events": shown, "hasMore": len(found) > MOST_EVENTS})


def _stretch(text: str | None) -> timedelta | None:
    """Return how long `35d` is."""
    return None if text is None else timedelta(**{UNITS[text[-1]]: int(text[:-1])})
