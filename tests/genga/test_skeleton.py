import numpy as np
import pytest

from genga.errors import DataError
from genga.skeleton import JOINTS, STICKS, J, fit_into, from_vector, mirror, normalise, pck, pdj, swap_limbs, to_vector

STANDING = np.array(
    [[0.5, 0.1], [0.5, 0.2], [0.6, 0.3], [0.4, 0.3], [0.65, 0.45], [0.35, 0.45], [0.5, 0.5], [0.55, 0.7], [0.45, 0.7], [0.55, 0.9], [0.45, 0.9]]
)


def test_a_pose_has_11_joints_and_10_sticks_that_reach_every_joint() -> None:
    assert len(JOINTS) == 11
    assert len(STICKS) == 10
    assert {joint for stick in STICKS for joint in stick} == set(range(11))


def test_the_vector_is_x0_y0_x1_y1_and_goes_both_ways() -> None:
    vector = to_vector(STANDING)
    assert vector.shape == (22,)
    assert vector[:4].tolist() == [0.5, 0.1, 0.5, 0.2]
    assert np.array_equal(from_vector(vector), STANDING)
    assert to_vector(np.stack([STANDING] * 3)).shape == (3, 22)


@pytest.mark.parametrize("shape", [(10, 2), (11, 3), (22,)])
def test_a_pose_of_another_shape_is_refused_with_what_was_expected(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"expected \(\.\.\., 11, 2\)"):
        to_vector(np.zeros(shape))


def test_normalise_forgets_position_and_size_only() -> None:
    moved = STANDING * 0.3 + [0.1, 0.6]
    assert np.allclose(normalise(moved), normalise(STANDING))
    assert np.ptp(normalise(STANDING), axis=0).max() == pytest.approx(1)
    leaning = STANDING + np.linspace(0, 0.2, 11)[:, None] * [1, 0]
    assert not np.allclose(normalise(leaning), normalise(STANDING), atol=0.01)


def test_fit_into_keeps_the_margin_and_the_shape() -> None:
    fitted = fit_into(STANDING, 0.1)
    assert fitted[:, 1].min() == pytest.approx(0.1)
    assert fitted[:, 1].max() == pytest.approx(0.9)
    assert np.allclose(normalise(fitted), normalise(STANDING))


def test_mirror_swaps_sides_and_twice_is_the_same() -> None:
    pose = STANDING.copy()
    pose[J["l_wrist"]] = [0.9, 0.1]
    flipped = mirror(pose)
    assert np.allclose(flipped[J["r_wrist"]], [0.1, 0.1])
    assert np.allclose(mirror(flipped), pose)


def test_pck_counts_joints_within_alpha_times_the_reference_length() -> None:
    truth = np.stack([STANDING, STANDING])
    found = truth.copy()
    found[0, J["head"]] += [0.07, 0]  # box side 0.8, torso 0.3
    assert pck(found, truth, 0.1, "bbox")[J["head"]] == 1.0
    assert pck(found, truth, 0.05, "bbox")[J["head"]] == 0.5
    assert pdj(found, truth, 0.2)[J["head"]] == 0.5
    assert pdj(found, truth, 0.3)[J["head"]] == 1.0


def test_limbs_may_swap_limb_by_limb_but_never_half_a_limb() -> None:
    found = STANDING.copy()
    arms = [J["l_elbow"], J["r_elbow"], J["l_wrist"], J["r_wrist"]]
    found[arms] = STANDING[[J["r_elbow"], J["l_elbow"], J["r_wrist"], J["l_wrist"]]]
    assert np.allclose(swap_limbs(found, STANDING), STANDING)
    assert np.allclose(swap_limbs(np.stack([found, STANDING]), STANDING), STANDING)  # each pose of a stack for itself
    assert pck(found[None], STANDING[None], 0.05, "bbox").mean() < 1
    assert pck(found[None], STANDING[None], 0.05, "bbox", limbs_may_swap=True).mean() == 1
    half = STANDING.copy()
    half[[J["l_wrist"], J["r_wrist"]]] = STANDING[[J["r_wrist"], J["l_wrist"]]]
    assert pck(half[None], STANDING[None], 0.05, "bbox", limbs_may_swap=True).mean() < 1
