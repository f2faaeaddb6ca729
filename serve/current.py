"""The engine that answers now, and the watcher that takes over a new release without dropping a request.

The new one is opened and verified beside the old one; then one reference changes. Requests under way end on the engine they began with.
One that is refused is tried again: a copy may bring release.json before the folders that it names. So is one that would take the tagger away.
"""

import asyncio
import logging
import time
from pathlib import Path

from genga.errors import ReleaseError
from genga.release import Release, read_document
from serve.engine import Engine
from serve.metrics import Metrics

POLL_SECONDS, RETRY_SECONDS = 0.5, 5.0
Identity = tuple[int, int, int]
log = logging.getLogger("serve")


class Current:
    def __init__(self, release_dir: Path, metrics: Metrics) -> None:
        self._release_dir, self._metrics = release_dir, metrics
        self._refused: tuple[Identity, str] | None = None  # what was refused last, and why
        self._tried = 0.0
        self._seen = _identity(release_dir)  # before opening: a file replaced meanwhile is then seen as new
        self.engine = Engine(Release.open(release_dir))
        self._show()

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Takes over a release that was written since, or that was refused and is whole by now."""
        identity = _identity(self._release_dir)
        again = self._refused is not None and time.monotonic() >= self._tried + RETRY_SECONDS
        if identity is not None and (identity != self._seen or again):
            self._seen = identity
            self._take_over(identity)
            self._tried = time.monotonic()

    def _take_over(self, identity: Identity) -> None:
        try:
            engine = self._open_other()
        except Exception as error:  # whatever is wrong with the new release, the old one goes on
            self._refuse(identity, str(error))
            return
        self._refused = None
        if engine is not None:
            log.info("release %s takes over from %s", engine.release.id[:12], self.engine.release.id[:12])
            self.engine = engine
            self._metrics.swaps.inc()
            self._show()

    def _refuse(self, identity: Identity, why: str) -> None:
        """Said and counted once for each reason, however often it is tried."""
        if self._refused != (identity, why):
            self._refused = (identity, why)
            ours = self.engine.release.id[:12]
            log.error("the new release in %s is refused, tried again every %g s, and %s goes on: %s", self._release_dir, RETRY_SECONDS, ours, why)
            self._metrics.refusals.inc()

    def _open_other(self) -> Engine | None:
        """None where release.json was written again with the same content."""
        if read_document(self._release_dir)["release"] == self.engine.release.id:
            return None
        engine = Engine(Release.open(self._release_dir))
        if lost := engine.left_out.keys() & self.engine.release.families.keys():
            raise ReleaseError(f"its {lost.pop()} knows other tags than this server, which read genga/tags.yaml as it started; start that again")
        return engine

    def _show(self) -> None:
        for why in self.engine.left_out.values():
            log.warning("release %s is served in part: %s", self.engine.release.id[:12], why)
        self._metrics.show_versions({name: released.version for name, released in self.engine.release.families.items()})


def _identity(release_dir: Path) -> Identity | None:
    """Changes whenever release.json is replaced; None while there is none."""
    try:
        status = (release_dir / "release.json").stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
