"""Make users with a DRF token and a simplejwt access token each; print the tokens as JSON."""

import json
import sys

import django
from django.core.management import call_command


def main():
    django.setup()
    from django.contrib.auth.models import User  # noqa: PLC0415  # models exist after setup() alone
    from rest_framework.authtoken.models import Token  # noqa: PLC0415
    from rest_framework_simplejwt.tokens import AccessToken  # noqa: PLC0415

    call_command("migrate", run_syncdb=True, verbosity=0)
    people = [User(username=f"person-{n}", email=f"person-{n}@example.com") for n in range(int(sys.argv[1]))]
    people = User.objects.bulk_create(people)
    made = {"token": [], "jwt": []}
    for person in people:
        access = AccessToken.for_user(person)
        access.set_exp(lifetime=access.lifetime * 100)
        made["jwt"].append(str(access))
        made["token"].append(Token.objects.create(user=person).key)
    print(json.dumps(made))


main()
