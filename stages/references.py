"""What params.yaml names and genga/params.py cannot know: tags, joints, styles and files. Asked before anything of the graph runs."""

from genga.errors import ParamsError
from genga.params import Params, judged_by, named
from genga.tags import check_column
from stages.draw_figures import check_palette, check_styles


def check_references(params: Params) -> None:
    """ParamsError where these name a tag, a joint, a style, a palette or a file that there is none of."""
    check_column(params.transfer_tag.tag, "transfer_tag.tag")
    check_styles(params.draw_figures.held_out_styles)
    check_palette(params.draw_figures.sticks.palette)
    for family, rule in params.gate.items():
        known = named(family, judged_by(family, inception=params.evaluate.inception is not None))
        if rule.metric not in known:
            raise ParamsError(f"gate.{family}.metric is {rule.metric}, expected one of {', '.join(known)}; correct it in params.yaml")
    if params.evaluate.inception:
        params.evaluate.inception.read()
