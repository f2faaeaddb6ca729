"""A Kaggle dataset's archive, fetched once into kagglehub's cache (KAGGLEHUB_CACHE, by default ~/.cache/kagglehub).

kagglehub's own `dataset_download` unpacks the archive file by file. Here it stays whole, so that it takes half the room and goes through
the same checks as every other archive. A download that was interrupted goes on where it stopped.
Credentials come from where kagglehub looks: KAGGLE_API_TOKEN, KAGGLE_USERNAME with KAGGLE_KEY, or ~/.kaggle/kaggle.json.
"""

import logging
from pathlib import Path
from typing import Any

from genga.errors import DataError

log = logging.getLogger(__name__)


def fetch(dataset: str, version: int) -> Path:
    from kagglehub.cache import get_cached_archive_path
    from kagglehub.handle import parse_dataset_handle

    handle = parse_dataset_handle(f"{dataset}/versions/{version}")
    partial_path = Path(get_cached_archive_path(handle))
    archive_path = partial_path.with_suffix(".whole")
    if archive_path.is_file():
        return archive_path
    _check_credentials(dataset)
    partial_path.parent.mkdir(parents=True, exist_ok=True)
    log.info("kaggle: fetching %s, version %d", dataset, version)
    _download(handle, partial_path)
    return partial_path.replace(archive_path)


def _check_credentials(dataset: str) -> None:
    from kagglehub.config import get_kaggle_credentials

    try:
        found = get_kaggle_credentials()
    except ValueError as error:
        raise DataError(f"the Kaggle credentials are damaged: {error}; fetch a new kaggle.json from kaggle.com/settings") from error
    if found is None:
        raise DataError(
            f"no Kaggle credentials were found, {dataset} needs them; make a token at kaggle.com/settings and export KAGGLE_USERNAME and KAGGLE_KEY, "
            "or put kaggle.json into ~/.kaggle"
        )


def _download(handle: Any, partial_path: Path) -> None:
    import requests
    from kagglehub.clients import build_kaggle_client, download_file
    from kagglehub.exceptions import DataCorruptionError
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest  # type: ignore[import-untyped]

    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug, request.dataset_version_number = handle.owner, handle.dataset, handle.version
    where = f"{handle.owner}/{handle.dataset}, version {handle.version}"
    try:
        with build_kaggle_client() as client:
            download_file(client.datasets.dataset_api_client.download_dataset(request), str(partial_path), handle)
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "no status"
        raise DataError(f"Kaggle answered {status} for {where}; check name, version, credentials, and the terms at {handle.to_url()}") from error
    except requests.RequestException as error:
        arrived = partial_path.stat().st_size if partial_path.is_file() else 0
        raise DataError(f"the download of {where} stopped after {arrived} bytes ({error}); run again and it goes on from there") from error
    except DataCorruptionError as error:
        raise DataError(f"{where} arrived damaged and was dropped; run again to fetch it anew") from error
