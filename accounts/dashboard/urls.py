"""URLs of the dashboard's pages about accounts, apps and customers."""

from __future__ import annotations

from django.urls import URLPattern, path

from accounts.dashboard import apps, customers, files, home, members, overview, security

APP = "dashboard/<str:app_id>"
MEMBER = f"{APP}/members/<str:member_id>"
INVITATION = f"{APP}/invitations/<str:invitation_id>"
OWN = "account/security"

PAGES: list[URLPattern] = [
    path("", home.home, name="home"),
    path("dashboard/", overview.Start.as_view(), name="dashboard"),
    path("dashboard/new", apps.NewApp.as_view(), name="dashboard-app-new"),
    path(f"{APP}/", overview.Overview.as_view(), name="dashboard-overview"),
    path(f"{APP}/customers", customers.Customers.as_view(), name="dashboard-customers"),
    path(f"{APP}/customers/files", files.Files.as_view(), name="dashboard-files"),
    path(f"{APP}/customers/files/export", files.Export.as_view(), name="dashboard-files-export"),
    path(f"{APP}/customers/files/<str:file_id>", files.OneFile.as_view(), name="dashboard-file"),
    path(f"{APP}/customers/files/<str:file_id>/download", files.Download.as_view(), name="dashboard-file-download"),
    path(f"{APP}/customers/<str:customer_id>", customers.OneCustomer.as_view(), name="dashboard-customer"),
    path(
        f"{APP}/customers/<str:customer_id>/delete",
        customers.DeleteCustomer.as_view(),
        name="dashboard-customer-delete",
    ),
    path(
        f"{APP}/customers/<str:customer_id>/sign-out",
        customers.SignOut.as_view(),
        name="dashboard-customer-sign-out",
    ),
    path(
        f"{APP}/customers/<str:customer_id>/factors",
        customers.ResetFactors.as_view(),
        name="dashboard-customer-factors",
    ),
    path(
        f"{APP}/customers/<str:customer_id>/mail",
        customers.MailAgain.as_view(),
        name="dashboard-customer-mail",
    ),
    path(f"{APP}/settings", apps.Settings.as_view(), name="dashboard-settings"),
    path(f"{APP}/settings/archive", apps.Archive.as_view(), name="dashboard-app-archive"),
    path(f"{APP}/members", members.Members.as_view(), name="dashboard-members"),
    path(f"{APP}/members/leave", members.Leave.as_view(), name="dashboard-member-leave"),
    path(MEMBER, members.OneMember.as_view(), name="dashboard-member"),
    path(f"{MEMBER}/role", members.ChangeRole.as_view(), name="dashboard-member-role"),
    path(f"{MEMBER}/remove", members.Remove.as_view(), name="dashboard-member-remove"),
    path(f"{MEMBER}/transfer", members.Transfer.as_view(), name="dashboard-member-transfer"),
    path(f"{INVITATION}/resend", members.Resend.as_view(), name="dashboard-invitation-resend"),
    path(f"{INVITATION}/revoke", members.RevokeInvitation.as_view(), name="dashboard-invitation-revoke"),
    path("account/invitations", security.Invitations.as_view(), name="account-invitations"),
    path(OWN, security.Security.as_view(), name="account-security"),
    path(f"{OWN}/authenticator", security.Authenticator.as_view(), name="account-authenticator"),
    path(f"{OWN}/authenticator/remove", security.RemoveAuthenticator.as_view(), name="account-authenticator-remove"),
    path(f"{OWN}/passkeys", security.Passkeys.as_view(), name="account-passkeys"),
    path(f"{OWN}/passkeys/<str:passkey_id>/remove", security.RemovePasskey.as_view(), name="account-passkey-remove"),
    path(f"{OWN}/recovery-codes", security.RecoveryCodes.as_view(), name="account-recovery-codes"),
    path(f"{OWN}/browsers/end-others", security.EndOtherDevices.as_view(), name="account-browsers-end"),
    path(f"{OWN}/browsers/<str:device_id>/end", security.EndDevice.as_view(), name="account-browser-end"),
]
