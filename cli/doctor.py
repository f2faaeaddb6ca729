"""`genga doctor`: is this machine ready, and if not, what to do."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING

from genga.errors import GengaError, ParamsError

if TYPE_CHECKING:
    from genga.params import Params  # what a check needs is imported late: it may be what is missing

LOCK, FIGURES = Path("requirements.lock"), Path("data/figures")
SETUP = "run `make setup` in the project's folder"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MIN_DISK_GB, MIN_MEMORY_GB = 5, 4
TRAINING_GB = 2  # of memory: a training without its drawings, DVC and the system


def find_browser() -> str | None:
    """A Chromium for the browser tests: GENGA_CHROMIUM, one on PATH, or the one that Playwright downloaded."""
    if named := os.environ.get("GENGA_CHROMIUM"):
        return named
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise GengaError(f"no Chromium found, and no playwright that could have brought one ({error}); {SETUP}") from error
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).is_file() else None


def ensure_browser() -> None:
    """Debian's chromium by apt where this user may, else Playwright's download; one sentence when neither works."""
    if find_browser():
        return
    attempts: list[list[str]] = []
    if shutil.which("apt-get") and os.geteuid() == 0:
        attempts += [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]]
    attempts.append([sys.executable, "-m", "playwright", "install", "chromium"])
    for attempt in attempts:
        print(f"browser for the tests: {' '.join(attempt[-3:])}", flush=True)
        subprocess.run(attempt, check=False, stdout=subprocess.DEVNULL)
        if find_browser():
            return
    raise GengaError(
        "no Chromium found and none could be installed, the browser tests need one; "
        "install `chromium` (Debian: apt-get install chromium) or point GENGA_CHROMIUM at one"
    )


def _pins() -> str | None:
    wrong = []
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        name, found, version = line.partition("==")
        if found and metadata.version(name).partition("+")[0] != version:
            wrong.append(f"{name} {metadata.version(name)} instead of {version}")
    return f"{', '.join(wrong)}; run `make setup`" if wrong else None


def _python() -> str | None:
    return None if sys.version_info[:2] == (3, 11) else f"Python {sys.version.split()[0]} found, expected 3.11; run `make setup PYTHON=python3.11`"


def _load() -> "Params":
    from genga.params import load_params

    return load_params()


def _params() -> str | None:
    from stages.references import check_references

    check_references(_load())
    return None


def figures_gb(params: "Params") -> float:
    """What draw_figures writes."""
    sticks, mannequins = params.draw_figures.sticks, params.draw_figures.mannequins
    stick, mannequin = sticks.size**2 * (3 if sticks.palette else 1), mannequins.size**2 + mannequins.line_art**2
    return (sticks.count * stick + mannequins.count * mannequin) / 1e9


def disk_gb(params: "Params", drawn_gb: float = 0) -> float:
    """The figures lie in data/ and once more in DVC's cache. `drawn_gb`: so much of them is there already."""
    return MIN_DISK_GB + 2 * max(0, figures_gb(params) - drawn_gb)


def memory_gb(params: "Params") -> float:
    """A training of a pose network holds every drawing; each mannequin is drawn in two ways."""
    drawings = {"stick": params.draw_figures.sticks.count, "figure": 2 * params.draw_figures.mannequins.count}
    held = max(drawings[kind] * network.model.resolution**2 for kind, network in params.train_pose.items())
    return max(MIN_MEMORY_GB, TRAINING_GB + held / 1e9)


def _disk() -> str | None:
    free = shutil.disk_usage(".").free / 1e9
    needed = disk_gb(_load(), sum(path.stat().st_size for path in FIGURES.rglob("*.npy")) / 1e9)
    if free > needed:
        return None
    return (
        f"{free:.1f} GB free, expected {needed:.1f}, {needed - MIN_DISK_GB:.1f} of them for figures; "
        "make room, remove old data with `dvc gc --workspace`, or lower draw_figures.mannequins.count in params.yaml"
    )


def _memory() -> str | None:
    total, needed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, memory_gb(_load())
    if total > needed:
        return None
    return (
        f"{total:.1f} GB of memory, expected {needed:.1f}; "
        "lower the batch sizes, draw_figures.mannequins.count or train_pose.figure.model.resolution in params.yaml"
    )


def _git() -> str | None:
    return None if shutil.which("git") else "no git found, runs then carry no commit; install git"


def _browser() -> str | None:
    return (
        None if find_browser() else "no Chromium found, `make test` needs one; it installs one itself where it may (Debian: apt-get install chromium)"
    )


def _port() -> str | None:
    with socket.socket() as probe:
        return None if probe.connect_ex(("127.0.0.1", 8000)) else "port 8000 is taken; serve on another one with `genga serve --port 8001`"


def _release() -> str | None:
    from flows.standing import RELEASE, undeployed
    from genga.registry import Registry

    if not (RELEASE / "release.json").is_file():
        return "no release yet; make one with `genga repro`"
    waiting = undeployed(Registry())
    return (
        f"it does not serve the champion of {', '.join(waiting)}, perhaps since a promotion was killed; deploy with `genga repro`"
        if waiting
        else None
    )


def _torch() -> str | None:
    import_module("torch")
    return None


def _speed() -> str:
    import torch

    from models.precision import uses_bf16

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else f"no GPU, {torch.get_num_threads()} threads"
    bf16 = "yes" if uses_bf16("auto") else "no: trainings run in float32, several times slower"
    return f"torch {torch.__version__}, {device}, bf16 {bf16}"


CHECKS: dict[str, Callable[[], str | None]] = {
    "python": _python,
    "packages": _pins,
    "params.yaml": _params,
    "git": _git,
    "disk": _disk,
    "memory": _memory,
    "browser": _browser,
    "port 8000": _port,
    "release": _release,
    "torch": _torch,
}
MAY_FAIL = {"git", "browser", "port 8000", "release"}  # advice, not a fault


def doctor() -> None:
    failed = []
    for name, check in CHECKS.items():
        try:
            advice = check()
        except ParamsError as error:
            advice = str(error) if name == "params.yaml" else "what is needed follows from params.yaml; mend that first"
        except GengaError as error:
            advice = str(error)
        except (ImportError, FileNotFoundError) as error:
            advice = f"{error}; {SETUP}"
        if advice is not None and name not in MAY_FAIL:
            failed.append(name)
        print(f"{'ok  ' if advice is None else 'note' if name in MAY_FAIL else 'FAIL'} {name}{': ' + advice if advice else ''}")
    if "torch" not in failed:
        print(f"     {_speed()}")
    if failed:
        raise GengaError(f"{len(failed)} of {len(CHECKS)} checks failed; do what the lines marked FAIL say and run `genga doctor` again")
