"""/v1/usage/reservations"""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from stackbe.kernel.api import ApiView, operation
from usage.credit_shapes import (
    ConfirmInput,
    ListedReservationOutput,
    ReservationInput,
    ReservationOutput,
    ReservationsQuery,
)
from usage.services import reservations
from usage.services.summary import require_customer


class Reservations(ApiView):
    """Units that are held until the real amount is known."""

    @operation(query=ReservationsQuery, output=ListedReservationOutput, many=True)
    def get(self, request: Request) -> Response:
        """List a customer's reservations, newest first; `status=held` are those that hold units now."""
        asked = self.query()
        customer_id, status = asked.pop("customer_id"), asked.pop("status", None)
        require_customer(self.scope, customer_id)
        return self.page(reservations.reservations_of(self.scope, customer_id, status), asked)

    @operation(input=ReservationInput, output=ReservationOutput, status=201)
    def post(self, request: Request) -> Response:
        """Hold units of a metric.

        They count against the limit until they are confirmed with the real amount, released, or expire.
        """
        held, figures = reservations.reserve(self.scope, **self.parse())
        return self.reply(held, figures=figures)


class OneReservation(ApiView):
    """What became of a hold."""

    @operation(output=ReservationOutput)
    def get(self, request: Request, reservation_id: str) -> Response:
        """Return a reservation, and where the customer stands."""
        found, figures = reservations.show(self.scope, reservation_id)
        return self.reply(found, figures=figures)


class ReservationConfirm(ApiView):
    """Counting what was really used."""

    @operation(input=ConfirmInput, output=ReservationOutput)
    def post(self, request: Request, reservation_id: str) -> Response:
        """Count the real amount in place of what was held.

        Up to what was held it always counts. More needs room like any other usage; where there is none the answer is
        409 and the hold stays.
        """
        done, figures = reservations.confirm(self.scope, reservation_id, **self.parse())
        return self.reply(done, figures=figures)


class ReservationRelease(ApiView):
    """Giving back."""

    @operation(output=ReservationOutput)
    def post(self, request: Request, reservation_id: str) -> Response:
        """Give back what was held. Twice is harmless."""
        done, figures = reservations.release(self.scope, reservation_id)
        return self.reply(done, figures=figures)
