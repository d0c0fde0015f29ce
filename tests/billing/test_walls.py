"""What the database itself refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import IntegrityError, connection, transaction

from billing.models import Feature, Plan, Product
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from tests.cast import Company


def test_a_plan_cannot_belong_to_another_apps_product(acme: Company, globex: Company) -> None:
    with change(globex.scope):
        foreign = Product.unscoped.create(**owned_by(globex.scope), name="Theirs", metadata={})

    with change(acme.scope), pytest.raises(IntegrityError, match="same_app"), transaction.atomic():
        _make_plan_of(acme, foreign)


def test_a_rival_sees_no_row(acme: Company, globex: Company) -> None:
    with change(acme.scope):
        Feature.unscoped.create(**owned_by(acme.scope), key="sso", name="SSO", type="boolean")

    with change(globex.scope):
        assert not Feature.unscoped.exists()


def _make_plan_of(company: Company, product: Product) -> None:
    Plan.unscoped.create(**owned_by(company.scope), product=product, name="Pro", slug="pro")
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
