"""How far a queue is labeled."""

from dataclasses import dataclass

from genga.params import LabelStudioParams
from labeling.account import Home, connect, one_sentence, url_of
from labeling.projects import Project, oldest_projects
from labeling.push import Present, queue_number, tasks_of

Queues = dict[str, int]  # kind -> the number of its queue


@dataclass(frozen=True)
class Progress:
    """In tasks; `labeled`: as many people answered as are asked; `passed`: not so many, but the others skipped it."""

    labeled: int
    total: int
    passed: int = 0

    @property
    def left(self) -> int:
        return self.total - self.labeled - self.passed


def newest_queues(home: Home) -> Queues:
    """The queue that `genga label queue` wrote last, of each project that has one."""
    found: Queues = {}
    for project, tasks in _tasks(home):
        number = max((queue_number(task.data) for task in tasks), default=0)
        if number:
            found[project.kind.name] = number
    return found


def progress_of(home: Home, queues: Queues, params: LabelStudioParams) -> Progress:
    """Of all tasks in these queues or in a later one, into which those without an answer go over, how many have as many answers as each is to get.
    A task that was deleted, or replaced by another, is no longer asked."""
    asked = [
        task for project, tasks in _tasks(home) if (first := queues.get(project.kind.name)) for task in tasks if queue_number(task.data) >= first
    ]
    people = params.annotators_per_task
    labeled = sum(task.answers >= people for task in asked)
    return Progress(labeled, len(asked), sum(task.answers + task.skips >= people for task in asked) - labeled)


def _tasks(home: Home) -> list[tuple[Project, list[Present]]]:
    url = url_of(home)
    with one_sentence(url):
        client = connect(home)
        return [(project, tasks_of(client, project)) for project in oldest_projects(client, url).values()]
