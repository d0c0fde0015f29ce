"""The same two routes, served by whichever peer this process is."""

from django.conf import settings
from django.urls import path
from django.utils.module_loading import import_string

if settings.PEER == "plain":
    check, track = import_string("bench.peers.plain.check"), import_string("bench.peers.plain.track")
else:
    check = import_string("bench.peers.handrolled.Check").as_view()
    track = import_string("bench.peers.handrolled.Track").as_view()

urlpatterns = [path("v1/entitlements/check/<str:feature>", check), path("v1/usage/track", track)]
if settings.PEER == "drf":
    urlpatterns += [
        path("v1/session/token", import_string("bench.peers.signed_in.ByToken").as_view()),
        path("v1/session/jwt", import_string("bench.peers.signed_in.ByJwt").as_view()),
    ]
