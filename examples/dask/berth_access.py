"""Dask Gateway's authenticator for JupyterHub, which also tells people in words why it does not let them in.

    c.DaskGateway.authenticator_class = berth_access.Authenticator
"""

import aiohttp
from aiohttp import web
from dask_gateway_server.auth import JupyterHubAuthenticator

NO_RIGHT = (
    "You may not use Dask Gateway by this token. Your administrators give the right to it; who has it starts a server "
    "of a profile for the farm, which carries it."
)
NOT_KNOWN = (
    "The hub does not take this token: it was revoked, or its server has been stopped. In a notebook, stop the server "
    "and start it anew; in a program of your own, make a new token on the hub's page Tokens."
)
NO_HUB = (
    "The hub does not answer, and so does not tell Dask Gateway who you are. Clusters that run go on. Try again in a "
    "minute; if it stays so, tell your administrators."
)


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
        except (web.HTTPBadGateway, aiohttp.ClientError):
            # Of this status the client shows the words, too, and others see that it is no fault of theirs.
            raise web.HTTPInternalServerError(reason=NO_HUB) from None


def refused(words):
    # Of this status the client shows the words.
    return web.HTTPUnprocessableEntity(reason=words)
