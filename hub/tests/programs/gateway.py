"""Dask's gateway as a site with a JupyterHub configures it, on ports that the kernel picks."""

c.DaskGateway.address = "127.0.0.1:0"  # noqa: F821: the gateway defines c
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.JupyterHubAuthenticator"  # noqa: F821
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"  # noqa: F821
c.Proxy.address = "127.0.0.1:0"  # noqa: F821
c.Proxy.tcp_address = "127.0.0.1:0"  # noqa: F821
