"""What the routes stand on: tiles without seams, turns, frames around drawings."""

import asyncio
import itertools
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from starlette.exceptions import HTTPException
from starlette.requests import Request
from tiny_release import make_release

from genga.errors import DataError
from genga.tags import columns
from models.batches import to_signed, to_uint8
from models.networks.upscaler import Upscaler
from serve import current
from serve.current import Current
from serve.enlarge import Enlargement, spans
from serve.metrics import Metrics
from serve.reading import Frame, fit_square, frame_of, kind_of_drawing, read_ink
from serve.turns import LETS_BY, MAX_WAITING, CallerLeftError, Turns


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    torch.manual_seed(0)
    network = Upscaler(width=8, blocks=3).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    return network


def noise(height: int, width: int, channels: int = 3) -> Any:
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), dtype=np.uint8)


def enlarge(upscaler: Upscaler, picture: Any, tile: int) -> Any:
    work = Enlargement(upscaler, picture, tile)
    for each in work.tiles():
        work.draw(each)
    return work.picture()


# --- tiles


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 90), (5, 130), (1, 40)])
def test_tiles_give_what_the_whole_picture_gives(upscaler: Upscaler, height: int, width: int) -> None:
    picture = noise(height, width)
    whole = to_uint8(upscaler(to_signed(torch.from_numpy(picture[None]))))[0].astype(int)
    tiled = enlarge(upscaler, picture, tile=32).astype(int)
    assert tiled.shape == (4 * height, 4 * width, 3)
    assert np.abs(tiled - whole).max() <= 1
    assert tiled.std() > 10


def test_a_smaller_margin_would_show_seams(upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = noise(64, 64)
    whole = enlarge(upscaler, picture, tile=64).astype(int)
    monkeypatch.setattr(upscaler, "margin", 1)
    assert np.abs(enlarge(upscaler, picture, tile=32).astype(int) - whole).max() > 1


@pytest.mark.parametrize("length", [1, 31, 32, 33, 100])
def test_spans_keep_every_pixel_once_and_read_their_surroundings(length: int) -> None:
    found = spans(length, 32, 7)
    assert [pixel for span in found for pixel in range(span.start, span.stop)] == list(range(length))
    assert all((span.low, span.high) == (max(span.start - 7, 0), min(span.stop + 7, length)) for span in found)


def test_unseen_colours_of_transparent_places_do_not_reach_the_edges(upscaler: Upscaler) -> None:
    red_on_nothing = np.zeros((48, 48, 4), np.uint8)
    red_on_nothing[:, :24] = (200, 40, 40, 255)
    black_below, white_below = red_on_nothing.copy(), red_on_nothing.copy()
    white_below[:, 24:, :3] = 255
    one, other = (enlarge(upscaler, picture, tile=32) for picture in (black_below, white_below))
    np.testing.assert_array_equal(one, other)
    assert one.shape == (192, 192, 4) and set(np.unique(one[:, :88, 3])) == {255} and set(np.unique(one[:, 104:, 3])) == {0}


# --- turns


def request(*, left: bool = False) -> Request:
    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def with_turns(play: Callable[[Turns], Any]) -> Any:
    async def run() -> Any:
        turns = Turns()
        try:
            return await asyncio.wait_for(play(turns), timeout=20)
        finally:
            turns.close()

    return asyncio.run(run())


def test_results_come_in_order_and_work_runs_without_gradients_on_one_thread_each() -> None:
    async def play(turns: Turns) -> Any:
        return await turns.take_each(
            request(), [partial(lambda n: (n, torch.is_inference_mode_enabled(), torch.get_num_threads()), n) for n in range(20)]
        )

    assert with_turns(play) == [(n, True, 1) for n in range(20)]


def test_a_short_wish_does_not_wait_for_all_of_a_long_one() -> None:
    done: list[str] = []

    async def play(turns: Turns) -> None:
        gate = threading.Event()

        def piece(name: str) -> None:
            gate.wait(10)
            done.append(name)

        long = asyncio.create_task(turns.take_each(request(), [partial(piece, "tile")] * 60))
        await asyncio.sleep(0.05)
        short = asyncio.create_task(turns.take(request(), partial(piece, "preview")))
        await asyncio.sleep(0.05)
        gate.set()
        await asyncio.gather(long, short)

    with_turns(play)
    assert len(done) == 61
    assert done.index("preview") < 30


def with_cores(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("serve.turns.os.sched_getaffinity", lambda _: set(range(count)))


def test_no_tile_comes_between_the_pieces_of_a_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cores(monkeypatch, 2)
    begun: list[str] = []

    async def play(turns: Turns) -> None:
        gate = threading.Event()

        def piece(name: str) -> None:
            begun.append(name)
            gate.wait(10)

        async def enlarge() -> None:
            caller = request()
            async with turns.long_work(caller):
                await turns.take_each(caller, [partial(piece, "tile")] * 40)

        enlarging = asyncio.create_task(enlarge())
        await asyncio.sleep(0.05)
        sketching = asyncio.gather(
            turns.take_each(request(), [partial(piece, "preview")] * 6),
            turns.take(request(), partial(piece, "preview")),
        )
        await asyncio.sleep(0.05)
        gate.set()
        await asyncio.gather(enlarging, sketching)

    with_turns(play)
    assert (begun.count("preview"), len(begun)) == (7, 47)
    # the two that were under way; one more may overtake the last piece on its way to its thread
    assert "".join(begun).rindex("preview") <= len("tile" * 3 + "preview" * 6)


def test_an_enlargement_goes_on_however_many_previews_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cores(monkeypatch, 1)
    begun: list[str] = []

    async def play(turns: Turns) -> None:
        gate, caller = threading.Event(), request()
        async with turns.long_work(caller):
            under_way = asyncio.create_task(turns.take(caller, partial(gate.wait, 10)))
            tile = asyncio.create_task(turns.take(caller, partial(begun.append, "tile")))
            await asyncio.sleep(0.05)
            previews = [asyncio.create_task(turns.take(request(), partial(begun.append, "preview"))) for _ in range(3 * LETS_BY)]
            await asyncio.sleep(0.05)
            gate.set()
            await asyncio.gather(under_way, tile, *previews)

    with_turns(play)
    assert begun.index("tile") == LETS_BY and len(begun) == 3 * LETS_BY + 1


def test_a_piece_that_is_given_up_while_it_waits_leaves_the_turn_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cores(monkeypatch, 1)

    async def play(turns: Turns) -> int:
        gate = threading.Event()
        under_way = asyncio.create_task(turns.take(request(), partial(gate.wait, 10)))
        waiting = asyncio.create_task(turns.take(request(), lambda: 0))
        await asyncio.sleep(0.05)
        waiting.cancel()
        gate.set()
        await under_way
        return await turns.take(request(), lambda: 7)

    assert with_turns(play) == 7


def test_nothing_is_made_for_a_caller_who_left() -> None:
    made: list[int] = []

    async def play(turns: Turns) -> None:
        with pytest.raises(CallerLeftError):
            await turns.take(request(left=True), lambda: made.append(1))

    with_turns(play)
    assert made == []


def test_an_error_in_one_piece_is_the_callers_and_leaves_the_turn_free() -> None:
    def fail() -> None:
        raise DataError("no")

    async def play(turns: Turns) -> int:
        for _ in range(10):
            with pytest.raises(DataError):
                await turns.take(request(), fail)
        return await turns.take(request(), lambda: 7)

    assert with_turns(play) == 7


async def long(turns: Turns, caller: Request, name: int, begun: list[int]) -> None:
    async with turns.long_work(caller):
        begun.append(name)
        await asyncio.sleep(0.001)


def test_long_works_wait_in_line_and_those_beyond_it_are_turned_away() -> None:
    begun: list[int] = []

    async def play(turns: Turns) -> None:
        async with turns.long_work(request()):
            waiting = [asyncio.create_task(long(turns, request(), number, begun)) for number in range(MAX_WAITING)]
            await asyncio.sleep(0.01)
            with pytest.raises(HTTPException, match="8 others wait already, and no more are taken; try again in a minute") as full:
                await long(turns, request(), 99, begun)
            assert full.value.status_code == 503 and full.value.headers == {"Retry-After": "60"}
            assert begun == []
        await asyncio.gather(*waiting)

    with_turns(play)
    assert begun == list(range(MAX_WAITING))


def test_a_caller_who_leaves_the_line_gives_the_place_free() -> None:
    async def play(turns: Turns) -> None:
        async with turns.long_work(request()):
            for _ in range(2 * MAX_WAITING):
                with pytest.raises(CallerLeftError):
                    await long(turns, request(left=True), 0, [])

    with_turns(play)


# --- releases


def test_a_release_whose_folders_come_late_is_refused_once_and_taken_over_when_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_release(tmp_path / "release", version="1", families=["gallery"])
    metrics = Metrics()
    now = Current(tmp_path / "release", metrics)
    make_release(tmp_path / "release", version="2", families=["gallery"])
    folder = tmp_path / "release" / "gallery" / "2"
    folder.rename(tmp_path / "late")
    now.refresh()
    (tmp_path / "late").rename(folder)
    now.refresh()
    assert now.engine.version("gallery") == "gallery/1", "it is not tried at every poll"
    monkeypatch.setattr(current, "RETRY_SECONDS", 0.0)
    folder.rename(tmp_path / "late")
    now.refresh()
    assert b"genga_release_refusals_total 1.0" in metrics.text()
    (tmp_path / "late").rename(folder)
    now.refresh()
    assert now.engine.version("gallery") == "gallery/2"
    assert b"genga_release_refusals_total 1.0" in metrics.text() and b"genga_release_swaps_total 1.0" in metrics.text()


def test_a_release_whose_tagger_knows_a_newer_tag_waits_for_the_server_to_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_release(tmp_path / "release", version="1", families=["tagger", "gallery"])
    now = Current(tmp_path / "release", Metrics())
    monkeypatch.setattr("tiny_release.columns", lambda: [*columns(), "hat"])
    make_release(tmp_path / "release", version="2", families=["tagger", "gallery"])
    now.refresh()
    assert now.engine.version("tagger") == "tagger/1"
    assert "its tagger knows other tags than this server, which read genga/tags.yaml as it started; start that again" in caplog.text


def test_a_server_without_its_tagger_takes_over_the_one_that_knows_today_s_tags(tmp_path: Path, add_a_tag: Callable[[], None]) -> None:
    make_release(tmp_path / "release", version="1", families=["tagger", "gallery"])
    add_a_tag()
    now = Current(tmp_path / "release", Metrics())
    make_release(tmp_path / "release", version="2", families=["tagger", "gallery"])
    now.refresh()
    assert now.engine.version("tagger") == "tagger/2" and now.engine.left_out == {}


# --- drawings


def paper_with(*lines: tuple[tuple[int, int], tuple[int, int]], width: int = 4, size: tuple[int, int] = (200, 300)) -> Any:
    paper = np.full((*size, 3), 255, np.uint8)
    for start, end in lines:
        cv2.line(paper, start, end, (0, 0, 0), width)
    return paper


def test_ink_is_dark_on_light_and_light_on_dark_and_faint_lines_count_whole() -> None:
    picture = paper_with(((100, 20), (100, 180)))
    faint = 255 - (255 - picture) // 4
    for each in (picture, 255 - picture, faint):
        ink = read_ink(each)
        assert ink.shape == (200, 300) and ink[100, 100] == pytest.approx(1) and ink[100, 200] == pytest.approx(0)


def test_paper_of_one_shade_is_refused() -> None:
    with pytest.raises(DataError, match="no drawing"):
        read_ink(np.random.default_rng(0).integers(230, 250, (50, 50, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(24, 4000), (4000, 24), (9, 9)])
def test_odd_proportions_are_read(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 255, np.uint8)
    picture[size[0] // 3 : size[0] // 2, size[1] // 3 : size[1] // 2] = 0
    ink = read_ink(picture)
    assert frame_of(ink).cut(ink, 64).shape == (64, 64)


def test_the_frame_holds_the_drawing_in_its_middle_and_leads_back() -> None:
    ink = read_ink(paper_with(((250, 10), (250, 110)), ((290, 10), (290, 110))))
    frame = frame_of(ink)
    cut = frame.cut(ink, 120)
    rows, columns = np.nonzero(cut > 0.5)
    assert rows.min() + rows.max() == pytest.approx(119, abs=3) and columns.min() + columns.max() == pytest.approx(119, abs=3)
    assert rows.max() - rows.min() == pytest.approx(120 / 1.2, abs=4)
    top_left_of_ink = np.array([[columns.min() / 120, rows.min() / 120]])
    np.testing.assert_allclose(frame.to_picture(top_left_of_ink, ink), [[249 / 300, 9 / 200]], atol=0.015)


def test_joints_outside_the_picture_are_moved_to_its_edge() -> None:
    frame = Frame(left=-50, top=0, side=200)
    np.testing.assert_array_equal(frame.to_picture(np.array([[0.0, 0.5], [0.5, 0.5]]), np.zeros((200, 100), np.float32)), [[0, 0.5], [0.5, 0.5]])


def test_pen_width_and_size_do_not_change_the_kind() -> None:
    sticks = [((100, 60), (100, 120)), ((100, 70), (60, 100)), ((100, 70), (140, 100)), ((100, 120), (70, 180)), ((100, 120), (130, 180))]
    for width, scale in itertools.product((1, 2, 4, 7), (0.5, 1, 10)):
        picture = cv2.resize(paper_with(*sticks, width=width), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        assert kind_of_drawing(read_ink(picture)) == "stick"
    hairlines = paper_with(*(((10 * x, 10 * y), (10 * u, 10 * v)) for (x, y), (u, v) in sticks), width=2, size=(2000, 3000))
    assert kind_of_drawing(read_ink(hairlines)) == "stick"
    outlines = [((x + dx, y), (u + dx, v)) for (x, y), (u, v) in sticks for dx in (-5, 5)]
    assert kind_of_drawing(read_ink(paper_with(*outlines, width=2))) == "figure"
    assert kind_of_drawing(read_ink(cv2.circle(paper_with(), (150, 100), 60, (0, 0, 0), -1))) == "figure"


def test_the_middle_square_is_taken_and_a_square_of_the_right_size_stays() -> None:
    picture = noise(64, 100)
    np.testing.assert_array_equal(fit_square(picture, 64), picture[:, 18:82])
