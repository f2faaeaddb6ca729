"""A running Label Studio, as tests hold it."""

import socket
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

from genga.params import LabelStudioParams
from labeling.account import Account, Home
from labeling.backend import disconnect
from labeling.projects import KINDS, KindName, Project, ensure_project

PATIENCE_MS = 30_000


@dataclass(frozen=True)
class Studio:
    home: Home
    account: Account
    params: LabelStudioParams
    client: Any

    def project(self, kind: KindName) -> Project:
        return ensure_project(self.client, self.account.url, KINDS[kind], self.home, self.params)

    def fresh(self, kind: KindName) -> Project:
        """The project without any task and any model."""
        project = self.project(kind)
        disconnect(self.client, project)
        self.client.tasks.delete_all_tasks(project.id)
        return project


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def log_in(page: Page, url: str, username: str, password: str) -> None:
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", username)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "/login" not in address)
