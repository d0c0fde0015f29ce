"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stackbe.settings")
django = get_wsgi_application()

# These read settings and models, which stand now.
from stackbe.kernel.bodies import WholeBodies  # noqa: E402
from stackbe.kernel.hot import HotRoutes  # noqa: E402
from stackbe.kernel.proxies import KnownProxies  # noqa: E402  # likewise
from stackbe.urls import ROUTES  # noqa: E402

application = KnownProxies(HotRoutes(WholeBodies(django), ROUTES))
