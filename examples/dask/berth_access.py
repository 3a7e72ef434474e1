"""Dask Gateway's authenticator for JupyterHub, which also tells people in words why it does not let them in.

    c.DaskGateway.authenticator_class = berth_access.Authenticator
"""

from aiohttp import web
from dask_gateway_server.auth import JupyterHubAuthenticator

NO_RIGHT = "You may not use Dask Gateway. Ask your administrators for the right to it."
NOT_KNOWN = "The hub does not take the token of this server, perhaps because it was revoked. Start your server anew."


class Authenticator(JupyterHubAuthenticator):
    async def authenticate(self, request):
        try:
            return await super().authenticate(request)
        except web.HTTPUnauthorized:
            if self.get_token(request) is None:
                # The client asks again, with its token.
                raise
            raise refused(NO_RIGHT) from None
        except web.HTTPInternalServerError:
            raise refused(NOT_KNOWN) from None


def refused(words):
    # Of this status the client shows the words.
    return web.HTTPUnprocessableEntity(reason=words)
