"""Prefect reads its settings where it is first imported, which is after this."""

import os

os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")  # its own 20 are too few for a first start on two cores
