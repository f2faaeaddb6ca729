"""The two labeling screens. That of poses is a file; that of tags follows genga/tags.yaml, so that both always name the same.

Rows of choices lie on rows of the keyboard: what stands side by side on the screen is typed side by side.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from genga import tags
from labeling.keypoints import VERDICT, VERDICTS
from labeling.tasks import FLAGS

POSES_XML = Path(__file__).parent / "configs" / "poses.xml"
TITLES = {FLAGS: "tick what is there", VERDICT: "this picture is"}
HEADER = "font-size: 14px; margin: 0"
MARKED = "border-left: 4px solid #f5a623; padding-left: 8px; margin-bottom: 4px"
KEYBOARD = ("1234567890-=", "qwertyuiop[]", "asdfghjkl", "zxcvbnm")


def poses_config() -> str:
    return POSES_XML.read_text(encoding="utf-8").strip()


def tags_config() -> str:
    """What the task asks for, in words; then one-of groups as radio buttons, yes/no tags as boxes to tick: one asked for and not ticked is a no."""
    questions = {**tags.groups(), FLAGS: tags.flags(), VERDICT: list(VERDICTS)}
    keys = hotkeys(questions)
    style = "display: flex; gap: 24px; align-items: flex-start"
    lines = [f'<View style="{style}">', '  <View style="flex: 0 0 320px">']
    lines += ['    <Image name="image" value="$image" width="320px" height="320px" zoom="false" zoomControl="false"/>', "  </View>"]
    lines += ['  <View style="flex: 1 1 400px">', f'    <View style="{MARKED}"><Header value="$question" style="{HEADER}"/></View>']
    for name, values in questions.items():
        choice = "multiple" if name in (FLAGS, VERDICT) else "single-radio"
        lines.append(f'    <Header value="{escape(TITLES.get(name, name.replace("_", " ")))}" style="{HEADER}"/>')
        lines.append(f'    <Choices name="{escape(name)}" toName="image" choice="{choice}" showInline="true">')
        lines += [f'      <Choice value="{escape(value)}"{_hotkey(keys[name].get(value))}/>' for value in values]
        lines.append("    </Choices>")
    return "\n".join([*lines, "  </View>", "</View>"])


def _hotkey(key: str | None) -> str:
    return f' hotkey="{escape(key)}"' if key else ""


def hotkeys(questions: Mapping[str, list[str]]) -> dict[str, dict[str, str]]:
    """Question -> value -> key. Each question takes neighbouring keys of one row, the longest first, in the row that it fills best;
    one that fits no row has none."""
    free = [list(row) for row in KEYBOARD]
    given: dict[str, dict[str, str]] = {}
    for name, values in sorted(questions.items(), key=lambda item: -len(item[1])):
        fitting = [row for row in free if len(row) >= len(values)]
        row = min(fitting, key=len, default=[])
        given[name] = dict(zip(values, row, strict=False))
        del row[: len(values)]
    return given
