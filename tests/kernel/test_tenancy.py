"""The walls between tenants, each without the others: checks 6 and 7."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, ProgrammingError, connection, connections

from accounts.models import App, Customer, Tenant
from accounts.services.customers import create_customer
from apikeys.models import ApiKey
from stackbe.kernel.errors import NotFound
from stackbe.kernel.ids import new_id
from stackbe.kernel.tenancy import ScopedManager, ScopedQuerySet, owned_by
from stackbe.kernel.transactions import change, reading
from tests.cast import Api, found_company
from tests.refusals import never


@pytest.fixture
def customers(acme, globex):
    """A customer in each of the two companies."""
    made = []
    for company in (acme, globex):
        with change(company.scope):
            made.append(create_customer(company.scope, email="same@shop.example", external_id="same"))
    return made


@pytest.fixture
def no_filter(monkeypatch):
    """Sabotage the application's own wall: every scope sees all rows."""

    def within(self, scope):
        return ScopedQuerySet(self.model, using=self._db)

    monkeypatch.setattr(ScopedManager, "within", within)


def test_with_every_application_filter_gone_no_foreign_row_comes_through(no_filter, acme, globex, customers):
    for company, (mine, foreign) in ((acme, customers), (globex, customers[::-1])):
        with reading(company.scope):
            assert list(Customer.objects.within(company.scope)) == [mine]
            assert {a.tenant_id for a in App.objects.within(company.scope)} == {company.tenant_id}
            assert {k.tenant_id for k in ApiKey.objects.within(company.scope)} == {company.tenant_id}
            with pytest.raises(NotFound):
                Customer.objects.within(company.scope).fetch(foreign.public_id)


def test_nor_through_the_api(no_filter, acme_api, globex_api, customers):
    ours, theirs = customers

    listed = [row["id"] for row in acme_api.get("/customers").json()["data"]]
    assert listed == [ours.public_id]
    for method in ("GET", "PATCH", "DELETE"):
        hidden = acme_api.request(method, f"/customers/{theirs.public_id}", {"name": "Mine"})
        assert (hidden.status_code, hidden.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")
    assert globex_api.get(f"/customers/{theirs.public_id}").json()["name"] is None


def test_writes_past_the_filter_touch_no_foreign_row(no_filter, acme, globex, customers):
    with change(acme.scope):
        assert Customer.unscoped.update(external_id=None) == 1
        assert Customer.unscoped.filter(pk=customers[1].pk).delete()[0] == 0

    with reading(globex.scope):
        assert Customer.objects.within(globex.scope).get().external_id == "same"


def test_no_row_can_be_written_in_a_foreign_name(acme, globex, customers):
    columns = {"email": "x", "email_index": b"x", "domain_index": b"x", "metadata": {}}

    with pytest.raises(ProgrammingError, match="row-level security"), change(acme.scope):
        ApiKey.unscoped.create(
            tenant_id=globex.tenant_id, app_id=globex.app_id, name="x", environment="test",
            prefix="x", lookup="x", digest=b"x",
        )  # fmt: skip
    with pytest.raises(ProgrammingError, match="row-level security"), change(acme.scope):
        Customer.objects.within(acme.scope).update(tenant_id=globex.tenant_id)
    with pytest.raises(IntegrityError, match="app_of_tenant"), change(acme.scope):
        Customer.unscoped.create(tenant_id=acme.tenant_id, app_id=globex.app_id, **columns)
        with connection.cursor() as cursor:
            cursor.execute("set constraints all immediate")


def test_without_a_tenant_there_are_no_rows_and_no_error(acme, customers):
    for model in (Customer, App, ApiKey, Tenant):
        assert list(model.unscoped.all()) == []


def test_the_worker_sees_one_tenant_like_anybody(acme, globex, customers, as_worker):
    assert list(Customer.unscoped.all()) == []
    with reading(acme.scope):
        assert list(Customer.unscoped.all()) == [customers[0]]


def test_an_apps_rows_are_not_its_sisters(acme, customers):
    sister = new_id()
    with change(acme.scope):
        App.unscoped.create(id=sister, tenant_id=acme.tenant_id, name="Sister")
    scope = acme.scope.for_app(sister, "test", acme.scope.clock_offset)

    with reading(scope):
        assert list(Customer.objects.within(scope)) == []


@pytest.mark.parametrize("make", [lambda: never("cust"), lambda: "", lambda: "cust_x", lambda: "\0", new_id])
def test_what_is_not_there_looks_like_what_is_foreign(acme, globex, customers, make):
    messages = set()
    for wanted in (make(), customers[1].public_id):
        with reading(acme.scope), pytest.raises(NotFound) as refused:
            Customer.objects.within(acme.scope).fetch(wanted)
        messages.add(str(refused.value))
    assert len(messages) == 1


def test_a_new_row_names_its_owner(acme):
    assert owned_by(acme.scope) == {"tenant_id": acme.tenant_id, "app_id": acme.app_id}


@pytest.mark.parametrize("opening", [change, reading])
def test_a_connection_forgets_whose_it_was(committed, opening):
    company = found_company("Acme")
    with change(company.scope):
        create_customer(company.scope, email="joe@shop.example")

    with opening(company.scope):
        assert Customer.unscoped.count() == 1
    assert Customer.unscoped.count() == 0
    with pytest.raises(ZeroDivisionError), opening(company.scope):
        _ = 1 / 0
    assert Customer.unscoped.count() == 0


def test_tenants_that_take_turns_on_the_same_connections_never_meet(committed):
    companies = [found_company(name) for name in ("Acme", "Globex")]
    for company in companies:
        with change(company.scope):
            for n in range(3):
                create_customer(company.scope, email=f"c{n}@shop.example", name=f"canary-{company.app}")

    def visit(turn):
        try:
            return [told for n in range(25) if (told := strange(companies[(n + turn) % 2]))]
        finally:
            connections.close_all()

    def strange(company):
        """Call in error and in vain, then return what is one's own if it is more or less than that."""
        api = Api(company.key)
        api.get("/customers/%00")
        api.post("/customers", {"email": "c0@shop.example"})
        api.get("/nothing")
        rows = api.get("/customers").json()["data"]
        return [] if [row["name"] for row in rows] == [f"canary-{company.app}"] * 3 else rows

    with ThreadPoolExecutor(4) as pool:
        assert [told for seen in pool.map(visit, range(4)) for told in seen] == []
