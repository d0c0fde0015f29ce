"""The demonstration of a year, on the servers of the tests: its invoices are the table's."""

from __future__ import annotations

from typing import Any

import pytest

from billing.services.ledger import find_faults
from billing.stripe.reconcile import compare
from stackbe.kernel.transactions import reading
from stackbe.runner.demo.client import Story
from stackbe.runner.demo.year import LEDGER, Year


@pytest.mark.slow
def test_a_year_is_what_the_table_says(shop: Any):
    def call(method: str, path: str, body: Any) -> Any:
        answer = shop.api.request(method, path, body)
        assert answer.status_code in {200, 201}, (method, path, answer.content)
        return answer.json()

    def stripe(method: str, path: str, body: Any) -> Any:
        return shop.sandbox.call(method, path, body, account=shop.account_id)

    Year(Story(quiet=True), call, stripe, shop.sandbox.pay).run()

    assert compare(shop.company.scope, shop.account_id) == []
    with reading(shop.company.scope):
        assert find_faults(shop.company.scope) == []
    assert sum(paid - refunded for _, (_, _, paid, refunded) in LEDGER) == 50100  # added up by hand, like the rows
