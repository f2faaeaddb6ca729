"""Commands over the registry: compare, promote, rollback. A changed champion is deployed at once."""

import getpass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from genga.params import load_params
from genga.registry import Registry
from stages.deploy import deploy

RELEASE = Path("release")
