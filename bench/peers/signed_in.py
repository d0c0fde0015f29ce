"""The two ways in which DRF usually knows who is signed in, with the user's row read in each request."""

from rest_framework.authentication import TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication


class ByToken(APIView):
    authentication_classes = (TokenAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request):
        return Response({"valid": True, "customer": {"id": request.user.id, "email": request.user.email}})


class ByJwt(ByToken):
    authentication_classes = (JWTAuthentication,)
