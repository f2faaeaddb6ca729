"""Label Studio -> annotations/: one export snapshot per project, exactly the JSON that Label Studio gives.

Where and who come from the environment: LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY (a personal access token).
"""

import json
import os
from pathlib import Path

from genga.errors import GengaError

ALL_PROJECTS = 1000  # on one page: the SDK's pager asks for pages until one is empty, Label Studio answers 404 there


def pull_labels(annotations_dir: Path) -> int:
    """Writes `project-<id>.json` for every project where it changed; gives the number of files written."""
    try:
        url, api_key = os.environ["LABEL_STUDIO_URL"], os.environ["LABEL_STUDIO_API_KEY"]
    except KeyError as missing:
        raise GengaError(f"{missing.args[0]} is not set, it tells which Label Studio to pull from; export it and run again") from missing
    from label_studio_sdk import LabelStudio
    from label_studio_sdk.core.api_error import ApiError

    try:
        label_studio = LabelStudio(base_url=url, api_key=api_key)
        projects = label_studio.projects.list(page_size=ALL_PROJECTS).items or []
        exports = {project.id: label_studio.projects.exports.as_json(project.id) for project in projects}
    except ApiError as error:
        raise GengaError(f"Label Studio at {url} answered {error.status_code}: {error.body}; check LABEL_STUDIO_API_KEY and run again") from error
    annotations_dir.mkdir(exist_ok=True)
    num_written = 0
    for project_id, tasks in exports.items():
        labeled = sorted((task for task in tasks if task["annotations"]), key=lambda task: task["id"])
        text = json.dumps(labeled, indent=1, sort_keys=True, ensure_ascii=False)
        path = annotations_dir / f"project-{project_id}.json"
        if labeled and not (path.is_file() and path.read_text(encoding="utf-8") == text):
            partial = path.with_suffix(".partial")
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
            num_written += 1
    return num_written
