# An unmodified JupyterHub in front of the test `test_end_to_end.py`: it starts the proxy itself, as
# at any site, finds it on PATH as configurable-http-proxy, and culls by the proxy's activity alone.
import os
import sys

c = get_config()  # noqa: F821
c.JupyterHub.bind_url = os.environ["TEST_BIND_URL"]
c.ConfigurableHTTPProxy.api_url = os.environ["TEST_PROXY_API_URL"]
c.JupyterHub.hub_bind_url = os.environ["TEST_HUB_URL"]
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.cookie_secret = os.urandom(32)
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"admin"}
c.JupyterHub.spawner_class = "simple"
c.Spawner.cmd = ["jupyterhub-singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.http_timeout = c.Spawner.start_timeout = 120
# Servers report nothing themselves within the life of the test.
c.Spawner.environment = {"JUPYTERHUB_ACTIVITY_INTERVAL": "86400"}
c.JupyterHub.last_activity_interval = 1
c.JupyterHub.services = [{"name": "tester", "api_token": os.environ["TEST_TOKEN"]}]
c.JupyterHub.load_roles = [
    {
        "name": "tester",
        "services": ["tester"],
        "scopes": ["list:users", "read:users", "read:servers", "delete:servers", "servers", "access:servers", "tokens"],
    }
]
