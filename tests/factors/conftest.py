"""An app that has second factors, its customers, and what they carry in their pockets."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Customer
from accounts.services.customer_factors import CustomerFactors
from accounts.services.customers import get_or_create_customer
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import change, reading
from tests.cast import Company
from tests.members.authenticators import SoftKey, app_code
from tests.members.conftest import Clock, clock, one_window  # noqa: F401  # fixtures of theirs
from tests.signin.conftest import ADA, Front, front, rival  # noqa: F401  # likewise


class Holder:
    """A customer with an authenticator app, a passkey and recovery codes."""

    def __init__(self, company: Company, email: str) -> None:
        self.company, self.email, self.key = company, email, SoftKey()
        with change(company.scope):
            customer = get_or_create_customer(company.scope, email=email)[0]
            self.id, self.public_id = customer.id, customer.public_id
            factors = CustomerFactors(company.scope, customer)
            self.secret = factors.begin_authenticator()
            # Of the step before, so that the code of now is still good.
            self.codes = factors.confirm_authenticator(app_code(self.secret, timezone.now().timestamp() - 30))

    def code(self, ahead: int = 0) -> str:
        """Return what the app shows now."""
        return app_code(self.secret, timezone.now().timestamp() + ahead)

    def add_key(self) -> SoftKey:
        """Give the customer the passkey too."""
        challenge = b"c" * 32
        with change(self.company.scope):
            customer = Customer.objects.within(self.company.scope).get(pk=self.id)
            factors = CustomerFactors(self.company.scope, customer)
            answer = self.key.create(factors.registration_options(challenge))
            factors.add_passkey(name="laptop", answer=answer, challenge=challenge)
        return self.key


@pytest.fixture
def ada(front: Front, clock: Clock) -> Holder:  # noqa: F811  # the fixtures above
    """Acme's customer who has factors, in an app where they are optional."""
    front.set(second_factors="optional")
    return Holder(front.company, ADA)


def rows(company: Company, model: Any) -> int:
    with reading(company.scope):
        return model.objects.within(company.scope).count()


def audited(company: Company) -> list[str]:
    with reading(company.scope):
        return list(AuditEvent.objects.within(company.scope).order_by("id").values_list("action", flat=True))
