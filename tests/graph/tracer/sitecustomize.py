"""Put on PYTHONPATH by tests: every `python -m stages.x` writes which files of this project it had imported when it ended."""

import atexit
import hashlib
import json
import os
import sys
from pathlib import Path


def write() -> None:
    main = getattr(sys.modules.get("__main__"), "__spec__", None)
    if main is None or not main.name.startswith("stages."):
        return
    here = Path.cwd()
    paths = [Path(module.__file__) for module in sys.modules.values() if getattr(module, "__file__", None)]
    files = sorted(str(path.relative_to(here)) for path in paths if path.is_relative_to(here) and path.stat().st_size)
    command = ["python", "-m", main.name, *sys.argv[1:]]
    name = hashlib.sha256(" ".join(command).encode()).hexdigest()[:16]
    Path(os.environ["GENGA_TRACES"], f"{name}.json").write_text(json.dumps({"command": " ".join(command), "files": files}))


if "GENGA_TRACES" in os.environ:
    atexit.register(write)
