"""Receipts of erasures, and signed archives, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpResponse

from accounts.erasure_shapes import ErasureOutput
from accounts.services.archives import archive_customer, archive_organization
from accounts.services.receipts import fetch_receipt, list_receipts
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.archives import MEDIA_TYPE
from stackbe.kernel.serializers import PageQuery
from stackbe.kernel.transactions import change
from stackbe.kernel.wire import JsonRenderer

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response


class Erasures(ApiView):
    """All erasures of the app."""

    @operation(query=PageQuery, output=ErasureOutput, many=True)
    def get(self, request: Request) -> Response:
        """List the erasures of customers and organizations, newest first, each with its signed receipt."""
        return self.page(list_receipts(self.scope), self.query())


class OneErasure(ApiView):
    """One erasure."""

    @operation(output=ErasureOutput)
    def get(self, request: Request, erasure_id: str) -> Response:
        """Show an erasure; its receipt is there once it is done."""
        return self.reply(fetch_receipt(self.scope, erasure_id))


class ArchiveView(ApiView):
    """A route that answers a file, whatever was asked to be accepted; its refusals are JSON as elsewhere."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: FBT001, FBT002  # DRF's
        """Answer what there is: one form only."""
        return JsonRenderer(), JsonRenderer.media_type

    def file(self, content: bytes, name: str) -> HttpResponse:
        """Return the archive as a download."""
        response = HttpResponse(content, content_type=MEDIA_TYPE)
        response["Content-Disposition"] = f'attachment; filename="{name}.zip"'
        return response


class CustomerArchive(ArchiveView):
    """What is held on one customer, as a file."""

    @operation(media_type=MEDIA_TYPE, network=True)  # a reading that is audited opens its own change
    def get(self, request: Request, customer_id: str) -> HttpResponse:
        """Export everything held on a customer as one signed archive."""
        with change(self.scope):
            return self.file(archive_customer(self.scope, customer_id), customer_id)


class OrganizationArchive(ArchiveView):
    """What is held on one organization, as a file."""

    @operation(media_type=MEDIA_TYPE, network=True)
    def get(self, request: Request, organization_id: str) -> HttpResponse:
        """Export everything held on an organization as one signed archive."""
        with change(self.scope):
            return self.file(archive_organization(self.scope, organization_id), organization_id)
