"""Who runs apps (tenants, members) and who uses them (customers, organizations)."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models

from accounts.app_settings import AppSettings
from accounts.customer_factor_models import (  # noqa: F401  # Django looks for an app's models here
    CustomerPasskey,
    CustomerRecoveryCode,
    CustomerTotp,
    PendingSignIn,
    SecurityVisit,
)
from accounts.developer_models import (  # noqa: F401  # likewise
    Device,
    MemberInvitation,
    Passkey,
    RecoveryCode,
    TotpFactor,
)
from accounts.erasure_models import Erasure  # noqa: F401  # likewise
from accounts.file_models import CustomerFile  # noqa: F401  # likewise
from accounts.logo_models import AppLogo  # noqa: F401  # likewise
from accounts.organization_models import OrganizationInvite  # noqa: F401  # likewise
from accounts.social_models import CustomerIdentity, SocialAttempt, SocialProvider  # noqa: F401  # likewise
from stackbe.kernel import crypto, ids
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.scope import PLATFORM, Role
from stackbe.kernel.serializers import normalised_email
from stackbe.kernel.tenancy import AppOwned, Row, TenantOwned


def email_index(key: bytes, email: str) -> bytes:
    """Return the blind index of an address: equal addresses, equal bytes, nothing else to learn."""
    return crypto.keyed_hash(key, "email", normalised_email(email))


def domain_index(key: bytes, email: str) -> bytes:
    """Return the blind index of an address's domain."""
    return crypto.keyed_hash(key, "domain", normalised_email(email).rpartition("@")[2])


class UserManager(BaseUserManager["User"]):
    """Developers and staff. They sign in by e-mail and have no password."""

    def get_by_natural_key(self, username: str | None) -> User:
        """Refuse: users are found by blind index in accounts.services.developers."""
        raise NotImplementedError("users are found by their e-mail's blind index")


class User(AbstractBaseUser, PermissionsMixin):
    """A person who uses the dashboard or the staff console.

    Identity lies under the platform's key: one developer may be a member of several tenants.
    """

    class StaffRole(models.TextChoices):
        NONE = "", "not staff"
        SUPPORT = "support", "Support (read-only)"
        BILLING = "billing", "Billing"
        SECURITY = "security", "Security"
        ADMINISTRATOR = "administrator", "Administrator"

    password = models.CharField(max_length=1, default="!", editable=False)
    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    email = Sealed(subject="id")
    email_index = models.BinaryField(unique=True)
    name = Sealed(subject="id", null=True)
    staff_role = models.CharField(max_length=20, choices=StaffRole, blank=True, default="")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=wall_clock)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "id"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    @property
    def tenant_id(self) -> UUID:
        """Return whose keys this row lies under."""
        return PLATFORM

    @property
    def is_staff(self) -> bool:
        """Say whether the console lets this person in."""
        return bool(self.staff_role) and self.is_active

    @property
    def public_id(self) -> str:
        """Return the id that logs and audit rows show."""
        return ids.encode("user", self.id)

    def get_username(self) -> str:
        """Return what Django shows of a user: the id, since the address is sealed."""
        return self.public_id

    def get_full_name(self) -> str:
        """Return what the console's corner shows: the role."""
        return str(self.get_staff_role_display())

    def __str__(self) -> str:
        """Name the user without their address."""
        return self.public_id


class Tenant(Row):
    """A business that runs apps. Its row is walled by its own id."""

    id_prefix = "ten"

    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=wall_clock)
    suspended_at = models.DateTimeField(null=True)
    # The way out: asked for, due, reminded of, begun, and done. The empty row stays, as its receipt does.
    deletion_asked_at = models.DateTimeField(null=True)
    deletion_due_at = models.DateTimeField(null=True)
    deletion_reminded_at = models.DateTimeField(null=True)
    erasing_at = models.DateTimeField(null=True)
    erased_at = models.DateTimeField(null=True)

    unscoped: ClassVar[models.Manager[Tenant]] = models.Manager()

    class Meta:
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"


class Membership(TenantOwned):
    """A developer's place in a tenant."""

    id_prefix = "mem"

    user_id = models.UUIDField()
    role = models.CharField(max_length=20, choices=[(r.value, r.value) for r in Role])
    created_at = models.DateTimeField(default=wall_clock)

    class Meta(TenantOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["tenant_id", "user_id"], name="one_place_per_tenant"),)


class App(TenantOwned):
    """One product that a tenant sells: its customers, plans, keys and settings."""

    class Environment(models.TextChoices):
        TEST = "test"
        LIVE = "live"

    id_prefix = "app"

    name = models.CharField(max_length=120)
    environment = models.CharField(max_length=4, choices=Environment, default=Environment.TEST)
    settings = models.JSONField(default=dict)
    clock_offset_ms = models.BigIntegerField(default=0)
    api_limit_per_minute = models.PositiveIntegerField(default=1000)
    hot_limit_per_minute = models.PositiveIntegerField(default=60_000)
    session_limit_per_minute = models.PositiveIntegerField(default=100)
    created_at = models.DateTimeField(default=wall_clock)
    updated_at = models.DateTimeField(default=wall_clock)
    archived_at = models.DateTimeField(null=True)
    suspended_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["tenant_id", "id"], name="app_of_tenant"),
            models.CheckConstraint(
                condition=models.Q(environment="test") | models.Q(clock_offset_ms=0),
                name="only_test_clocks_move",
            ),
        )

    @property
    def clock_offset(self) -> timedelta:
        """Return how far ahead of real time this app lives."""
        return timedelta(milliseconds=self.clock_offset_ms)

    @property
    def config(self) -> AppSettings:
        """Return the settings with every default filled in."""
        return AppSettings.of(self.settings)


class Customer(AppOwned):
    """An app's end user. The same address in two apps is two people."""

    id_prefix = "cust"

    email = Sealed(subject="id")
    email_index = models.BinaryField()
    domain_index = models.BinaryField()
    # Where invoices go, if not to the address that signs in. Nobody is found by it and nobody signs in with it.
    billing_email = Sealed(subject="id", null=True)
    name = Sealed(subject="id", null=True)
    # Compared byte by byte, so that a prefix is a range that an index answers under the policies.
    external_id = models.CharField(max_length=255, null=True, db_collation="C")
    metadata = Sealed(subject="id", as_json=True)
    created_at = models.DateTimeField(default=wall_clock)
    updated_at = models.DateTimeField(default=wall_clock)
    deleted_at = models.DateTimeField(null=True)
    erased_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["app_id", "email_index"], name="one_customer_per_email"),
            models.UniqueConstraint(fields=["app_id", "external_id"], name="one_customer_per_external_id"),
            models.UniqueConstraint(fields=["tenant_id", "app_id", "id"], name="customer_of_app"),
        )
        indexes = (
            models.Index(fields=["app_id", "-id"], name="customer_newest"),
            models.Index(fields=["app_id", "domain_index"], name="customer_domain"),
        )

    @property
    def subject_id(self) -> UUID:
        """Return whose data this is: their own."""
        return self.id


class Organization(AppOwned):
    """Customers of one app who share a subscription."""

    id_prefix = "org"

    # Under a key of its own, as a person's is: an organization can be erased too.
    name = Sealed(subject="id")
    slug = models.CharField(max_length=80)
    metadata = Sealed(subject="id", as_json=True)
    created_at = models.DateTimeField(default=wall_clock)
    deleted_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id", "slug"], name="one_organization_per_slug"),)


class OrganizationMember(AppOwned):
    """A customer's place in an organization."""

    id_prefix = "omem"

    class Role(models.TextChoices):
        OWNER = "owner"
        ADMIN = "admin"
        MEMBER = "member"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    role = models.CharField(max_length=10, choices=Role)
    created_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["organization", "customer"], name="one_place_per_organization"),)


class DeveloperLink(Row):
    """A developer's sign-in link that was asked for.

    The request stores the row without a token; the worker mints it, stores its hash and mails it.
    Spending deletes the row.
    """

    user_id = models.UUIDField(null=True)
    email = Sealed()
    email_index = models.BinaryField()
    token_digest = models.BinaryField(null=True, unique=True)
    code_digest = models.BinaryField(null=True)
    tries_left = models.PositiveSmallIntegerField(default=5)
    browser_digest = models.BinaryField(null=True)
    purpose = models.CharField(max_length=20, default="sign_in")
    detail = Sealed(as_json=True, null=True)
    next_path = models.CharField(max_length=255, blank=True)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=wall_clock)

    unscoped: ClassVar[models.Manager[DeveloperLink]] = models.Manager()

    class Meta:
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        indexes = (models.Index(fields=["email_index"], name="developerlink_email"),)

    @property
    def tenant_id(self) -> UUID:
        """Return whose keys this row lies under."""
        return PLATFORM


class MagicLink(AppOwned):
    """A customer's sign-in link that was asked for. Minted and mailed by the worker."""

    id_prefix = "mlk"

    email = Sealed()
    email_index = models.BinaryField()
    token_digest = models.BinaryField(null=True)
    code_digest = models.BinaryField(null=True)
    tries_left = models.PositiveSmallIntegerField(default=5)
    browser_digest = models.BinaryField(null=True)
    redirect_url = models.CharField(max_length=2048)
    organization_id = models.UUIDField(null=True)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id", "token_digest"], name="one_link_per_token"),)
        indexes = (
            models.Index(fields=["app_id", "email_index"], name="magiclink_email"),
            models.Index(fields=["expires_at"], name="magiclink_expiry"),
        )


class SpentToken(Row):
    """What stays of a spent link until it would have expired: its random id, nothing of the token."""

    expires_at = models.DateTimeField(db_index=True)

    unscoped: ClassVar[models.Manager[SpentToken]] = models.Manager()

    class Meta:
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"


class OneTimeCode(AppOwned):
    """What a confirmed link turns into: a code on the app's callback URL that lives 60 seconds."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    digest = models.BinaryField()
    redirect_url = models.CharField(max_length=2048)
    organization_id = models.UUIDField(null=True)
    # How the customer was proven (RFC 8176), in words with spaces between; the session takes it over.
    amr = models.CharField(max_length=60, blank=True, default="")
    expires_at = models.DateTimeField(db_index=True)

    class Meta(AppOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id", "digest"], name="one_row_per_code"),)


class CustomerSession(AppOwned):
    """A signed-in customer: what `sid` in a session token names."""

    id_prefix = "sess"

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    organization_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(default=wall_clock)
    last_seen_at = models.DateTimeField(default=wall_clock)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    address = models.CharField(max_length=45, blank=True)
    country = models.CharField(max_length=2, blank=True, default="")
    user_agent_family = models.CharField(max_length=40, blank=True)
    # How the customer was proven (RFC 8176), in words with spaces between, and when a factor was last given.
    amr = models.CharField(max_length=60, blank=True, default="")
    proven_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        indexes = (models.Index(fields=["customer", "-id"], name="session_of_customer"),)


class RefreshToken(AppOwned):
    """One link in a session's chain of refresh tokens. Only the newest is good."""

    session = models.ForeignKey(CustomerSession, models.CASCADE, related_name="+")
    digest = models.BinaryField()
    used_at = models.DateTimeField(null=True)
    successor = models.BinaryField(null=True)
    expires_at = models.DateTimeField()

    class Meta(AppOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id", "digest"], name="one_row_per_refresh_token"),)


class SigningKey(AppOwned):
    """An app's Ed25519 key pair for session tokens. The private half is sealed.

    It is published when it is made, signs from `activates_at` on, and verifies until `retired_at`.
    """

    id_prefix = "kid"

    private = Sealed()
    public = models.BinaryField()
    created_at = models.DateTimeField(default=wall_clock)
    activates_at = models.DateTimeField(default=wall_clock)
    retired_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["app_id"],
                condition=models.Q(retired_at__isnull=True),
                name="one_current_signing_key",
            ),
        )
