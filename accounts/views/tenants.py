"""Sign-up over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.models import Tenant
from accounts.serializers import TenantInput, TenantOutput
from accounts.services.developers import store_link
from accounts.services.tenants import create_tenant
from accounts.services.users import user_index
from stackbe.kernel import http, limits
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.scope import platform_scope, system_scope
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

ADDRESSES_PER_HOUR = 5  # sign-ups that one e-mail address can be named in


class Tenants(ApiView):
    """Where a business signs up."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Count the caller's address; then the platform is who a stranger acts as."""
        super().initial(request, *args, **kwargs)
        request.auth = platform_scope("signup")

    def claimant(self, request: Request) -> str:
        """Return the caller's address: a stranger's Idempotency-Key must not meet another's."""
        return f"signup|{http.client_address(request._request)}"

    @operation(input=TenantInput, output=TenantOutput, status=201, network=True)
    def post(self, request: Request) -> Response:
        """Found a tenant. A sign-in link goes to the owner; the reply tells nothing else.

        A known and an unknown address get the same answer. A repeat under one Idempotency-Key
        finds the tenant that the first try founded.
        """
        asked = self.parse()
        tenant_id = self.claim.id if self.claim else new_id()
        with change(system_scope(tenant_id, actor_name="signup")):
            if not Tenant.unscoped.filter(pk=tenant_id).exists():
                self._found(**asked)
        return self.reply({"tenant_id": encode("ten", tenant_id)})

    def _found(self, *, name: str, owner_email: str) -> None:
        bucket = f"signup-email:{user_index(owner_email).hex()}"
        limits.require(bucket, ADDRESSES_PER_HOUR, limits.HOUR)
        create_tenant(name, owner_email)
        store_link(owner_email)
