"""Dask in a notebook and in its jobs speaks by TLS, with a certificate of the person's own.

Read by Jupyter Server when it starts, as jupyter_server_config.py. Every notebook may reach the ports of workers and
schedulers on the farm; with this, they listen to their owner alone. Jobs inherit the environment, and find the
certificate in HOME.
"""

import os
import tempfile
import time
from pathlib import Path

# Dask's temporary certificates are good for a year; what runs has some time left.
RENEWED_AFTER = 300 * 24 * 3600


def make(file):
    """Writes key and certificate, all at once: another server of the person's may do the same."""
    from distributed.security import Security

    made = Security.temporary()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, beside = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(number, "w") as out:
        out.write(made.tls_client_key + made.tls_client_cert)
    os.replace(beside, file)


def told(file):
    """Dask's settings as environment."""
    tls = {f"{role}__{part}": file for role in ("SCHEDULER", "WORKER", "CLIENT") for part in ("KEY", "CERT")}
    settings = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(file) for name in ("CA_FILE", *tls)}
    settings["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] = "True"
    settings["DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME"] = "tls"
    address, ports = os.environ.get("BERTH_FARM_ADDRESS"), os.environ.get("BERTH_FARM_PORTS")
    if address and ports:
        scheduler = "DASK_JOBQUEUE__SLURM__SCHEDULER_OPTIONS__"
        settings[scheduler + "PROTOCOL"] = "tls://"
        settings[scheduler + "HOST"] = "tls://0.0.0.0"
        settings[scheduler + "CONTACT_ADDRESS"] = f"tls://{address}:{ports.split(',')[0]}"
    return settings


certificate = Path.home() / ".config" / "dask-tls" / "own.pem"
if not certificate.exists() or time.time() - certificate.stat().st_mtime > RENEWED_AFTER:
    make(certificate)
os.environ.update(told(certificate))
