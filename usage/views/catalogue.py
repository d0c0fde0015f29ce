"""/v1/catalogue"""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from stackbe.kernel.api import ApiView, operation
from usage.catalogue_shapes import CatalogueInput, CatalogueOutput, CatalogueQuery, DifferenceOutput
from usage.services import document


class Catalogue(ApiView):
    """All that an app sells, as one document."""

    @operation(output=CatalogueOutput)
    def get(self, request: Request) -> Response:
        """Return the whole catalogue as one document, without what is archived."""
        return self.reply(document.catalogue_document(self.scope))

    @operation(input=CatalogueInput, query=CatalogueQuery, output=DifferenceOutput)
    def put(self, request: Request) -> Response:
        """Make the catalogue what a document says, all of it or nothing, and answer what changed.

        A section that the document lacks stays as it is; what a section leaves out is archived. With
        `dryRun=true` nothing is changed, and the answer says what would be.
        """
        dry_run = self.query().get("dry_run", False)
        return self.reply(document.put_catalogue(self.scope, self.parse(), dry_run=dry_run))
