"""Products, and the door to the whole catalogue: what is sold, and in which versions."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from accounts.models import App
from billing.errors import ProductInUse, ProductNotFound
from billing.models import Plan, Product
from billing.stripe.queue import defer_push_plan
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now
from stackbe.kernel.serializers import merge_metadata
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from collections.abc import Container
    from uuid import UUID

    from stackbe.kernel.scope import Scope

SLUG_LENGTH = 80


def lock_catalogue(scope: Scope) -> None:
    """Hold the app's catalogue until the change ends.

    Slugs, the default plan and versions are decided on what is there, so writers take turns. They
    are few, and readers do not wait.
    """
    require_change()
    rows = App.objects.within(scope).select_for_update(no_key=True)
    rows.only("id").get(pk=scope.app)


def free_slug(name: str, taken: Container[str], *, otherwise: str) -> str:
    """Return a slug made from a name, numbered where it is taken; `otherwise` where a name has no letter for one."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: SLUG_LENGTH - 8].strip("-") or otherwise
    slug, number = stem, 1
    while slug in taken:
        number += 1
        slug = f"{stem}-{number}"
    return slug


def find_product(scope: Scope, product_id: str | UUID) -> Product:
    """Return an app's product, archived or not."""
    return Product.objects.within(scope).fetch(product_id, ProductNotFound)


def create_product(
    scope: Scope,
    *,
    name: str,
    description: str = "",
    tax_code: str = "",
    active: bool = True,
    metadata: dict[str, Any] | None = None,
    slug: str | None = None,
) -> Product:
    """Add something to sell. It reaches Stripe with its first plan.

    `slug` is its name in the catalogue's document, which must be free; one is made of `name` otherwise.
    """
    lock_catalogue(scope)
    moment = now(scope)
    product = Product(
        **owned_by(scope),
        name=name,
        slug=slug or free_slug(name, _slugs(scope), otherwise="product"),
        description=description,
        tax_code=tax_code,
        active=active,
        metadata=merge_metadata({}, metadata or {}),
        created_at=moment,
        updated_at=moment,
    )
    product.save(force_insert=True)
    audit(scope, "product.created", product.public_id, detail={"name": name})
    return product


def update_product(scope: Scope, product_id: str | UUID, **changes: Any) -> Product:
    """Change what a product is called or says. `metadata` merges, up to 16 KiB; a null in it deletes a key.

    Its plans are pushed again, so that Stripe's pages show the new words.
    """
    lock_catalogue(scope)
    product = Product.objects.within(scope).locked().fetch(product_id, ProductNotFound)
    if changes.get("active") is False:
        _refuse_on_sale(scope, product)
    if "metadata" in changes:
        changes["metadata"] = merge_metadata(product.metadata, changes["metadata"])
    if changes.get("active") and not product.active and product.slug in (taken := _slugs(scope)):
        changes["slug"] = free_slug(product.name, taken, otherwise="product")
    changed = [name for name, value in changes.items() if getattr(product, name) != value]
    if not changed:
        return product
    for name in changed:
        setattr(product, name, changes[name])
    product.updated_at = now(scope)
    product.save(update_fields=[*changed, "updated_at"])
    audit(scope, "product.updated", product.public_id, detail={"changed": sorted(changed)})
    for plan in Plan.objects.within(scope).filter(product=product, active=True):
        plan.push_state = Plan.Push.PENDING
        plan.save(update_fields=["push_state"])
        defer_push_plan(scope, plan.id)
    return product


def archive_product(scope: Scope, product_id: str | UUID) -> None:
    """Take a product off sale. Raises `ProductInUse` while it has active plans."""
    update_product(scope, product_id, active=False)


def _slugs(scope: Scope) -> set[str]:
    return set(Product.objects.within(scope).filter(active=True).exclude(slug="").values_list("slug", flat=True))


def _refuse_on_sale(scope: Scope, product: Product) -> None:
    if Plan.objects.within(scope).filter(product=product, active=True).exists():
        raise ProductInUse
