"""Our two projects in Label Studio, made and migrated by code: same call, same result; annotations stay.

They are found by the questions that they ask, not by their title, so that people may rename them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree.ElementTree import tostring

from defusedxml.ElementTree import fromstring

from genga.params import LabelStudioParams
from genga.tags import PROJECT_GROUP
from labeling.account import Home, LabelStudioError
from labeling.configs import poses_config, tags_config
from labeling.keypoints import JsonObject

KindName = Literal["poses", "tags"]
ALL_PROJECTS = 1000  # on one page: the SDK's pager asks for pages until one is empty, Label Studio answers 404 there
QUEUE_VIEW = "Queue"


@dataclass(frozen=True)
class Kind:
    """`asks`: a question by which its project is known; `families`: the models whose guess it shows."""

    name: KindName
    title: str
    asks: str
    config: Callable[[], str]
    families: tuple[str, ...]
    instruction: str


KINDS: dict[str, Kind] = {
    "poses": Kind(
        "poses", "Genga: poses", "joints", poses_config, ("stick-pose", "figure-pose"),
        "Drag each joint to its place; gray lines show what the model guessed. Left and right are the figure's own. To place a missing joint let go "
        "of a chosen one (Esc), which its key would rename, then press its key (1-9, 0, q) and click. A joint that one does not see: "
        "choose it, place it where it must be, press x. Then Submit (Ctrl+Enter).",
    ),
    "tags": Kind(
        "tags", "Genga: tags", PROJECT_GROUP, tags_config, ("tagger",),
        "Above stands what this picture is asked for; the model has filled in its guess of that: correct what is wrong. A box asked for that stays "
        "empty is a no. Leave a group open where nothing fits; what is not asked for may stay open. Then Submit (Ctrl+Enter).",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Project:
    id: int
    kind: Kind
    url: str

    def task_url(self, task_id: int) -> str:
        return f"{self.url}/projects/{self.id}/data?task={task_id}"


def kind_of(project: Any) -> Kind | None:
    """None where the project is not ours."""
    asked = set(project.parsed_label_config or {})
    return next((kind for kind in KINDS.values() if kind.asks in asked), None)


def our_projects(client: Any, url: str) -> list[Project]:
    """The oldest first."""
    found = client.projects.list(page_size=ALL_PROJECTS).items or []
    ours = [Project(project.id, kind, url) for project in found if (kind := kind_of(project))]
    return sorted(ours, key=lambda project: project.id)


def oldest_projects(client: Any, url: str) -> dict[KindName, Project]:
    """One of each kind that there is."""
    return {project.kind.name: project for project in reversed(our_projects(client, url))}


def project_of(client: Any, url: str, kind: Kind) -> Project:
    if project := oldest_projects(client, url).get(kind.name):
        return project
    raise LabelStudioError(f"Label Studio at {url} has no project for {kind.name}; `genga label push` makes it")


def ensure_project(client: Any, url: str, kind: Kind, home: Home, params: LabelStudioParams) -> Project:
    """The project with today's screen, a door to its pictures and the view that shows tasks in the queue's order."""
    settings = {
        "label_config": kind.config(),
        "expert_instruction": kind.instruction,
        "maximum_annotations": params.annotators_per_task,
        "sampling": "Sequential sampling",
    }
    if project := oldest_projects(client, url).get(kind.name):
        _migrate(client, project, settings)
    else:
        made = client.projects.create(title=kind.title, show_collab_predictions=True, evaluate_predictions_automatically=False, **settings)
        project = Project(made.id, kind, url)
    _open_pictures(client, project, home)
    queue_view(client, project)
    return project


def _migrate(client: Any, project: Project, settings: JsonObject) -> None:
    """Label Studio keeps every annotation, also of words that today's screen no longer has; the labels stage then lists them. A question that
    somebody answered may not go: it stays where nobody sees it."""
    now = client.projects.get(project.id)
    settings = settings | {"label_config": with_gone(settings["label_config"], now.label_config)}
    changed = {name: value for name, value in settings.items() if getattr(now, name, None) != value}
    if changed:
        client.projects.update(project.id, **changed)


def with_gone(config: str, before: str) -> str:
    """Today's screen, and hidden in it the questions that only the one `before` has."""
    today = {element.get("name") for element in fromstring(config).iter()}
    gone = [element for element in fromstring(before).iter() if element.get("toName") and element.get("name") not in today]
    gone = [element for element in gone if not any(element in other.iter() for other in gone if other is not element)]
    if not gone:
        return config
    for element in gone:
        element.tail = None
        for part in element.iter():
            for name in ("hotkey", "required"):
                part.attrib.pop(name, None)
    kept = "\n".join(tostring(element, encoding="unicode") for element in gone)
    return f'{config.removesuffix("</View>")}<View style="display: none">\n{kept}\n</View>\n</View>'


def _open_pictures(client: Any, project: Project, home: Home) -> None:
    from label_studio_sdk.core.api_error import ApiError

    folder = (home.pictures / project.kind.name).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    storages = client.import_storage.local.list(project=project.id)
    if any(storage.path == str(folder) for storage in storages):
        return
    try:
        client.import_storage.local.create(project=project.id, title="pictures", path=str(folder), use_blob_urls=True, regex_filter=r".*\.png")
    except ApiError as error:
        if error.status_code != 400:
            raise
        detail = " ".join(str(error.body).split())[:300]
        raise LabelStudioError(
            f"Label Studio at {project.url} does not serve the pictures in {folder} ({detail}), expected one that runs on this machine with "
            f"LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={folder.parent}; start it so, or unset "
            "LABEL_STUDIO_URL and run `make label-studio`"
        ) from error


def queue_view(client: Any, project: Project) -> int:
    """The id of the view that shows tasks in the queue's order, made where it is missing."""
    for view in client.views.list(project=project.id):
        if (view.data or {}).get("title") == QUEUE_VIEW:
            return int(view.id)
    data = {
        "title": QUEUE_VIEW,
        "type": "list",
        "target": "tasks",
        "ordering": ["-tasks:data.queue"],
        "gridWidth": 4,
        "columnsWidth": {},
        "hiddenColumns": {
            "explore": ["tasks:data.id", "tasks:data.asks", "tasks:data.guess", "tasks:inner_id"],
            "labeling": ["tasks:data.id", "tasks:data.asks", "tasks:data.guess"],
        },
    }
    return int(client.views.create(project=project.id, data=data).id)


def labeling_url(client: Any, project: Project) -> str:
    """Opens the next task of the queue at once."""
    return f"{project.url}/projects/{project.id}/data?tab={queue_view(client, project)}&labeling=1"
