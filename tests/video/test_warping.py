"""Warping errors on clips whose flow is known, and against values known by hand."""

import numpy as np
import pytest

from stya2k_jax.evaluation.clips.measure import warping_error_1, warping_error_2
from stya2k_jax.evaluation.clips.rendered import moving_window
from stya2k_jax.video.warping import known_points, occluded, warp

ERRORS = (warping_error_1, warping_error_2)


def photograph(height: int = 90, width: int = 120) -> np.ndarray:
    skimage_data = pytest.importorskip("skimage.data")
    return skimage_data.astronaut()[:height, 150 : 150 + width] / 255


def constant(flow: tuple[float, float], height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.array(flow), (height, width, 2))


def test_warping_fetches_from_where_the_flow_leads_bilinearly():
    picture = np.random.default_rng(0).uniform(size=(7, 9, 2))
    flow = np.random.default_rng(1).uniform(-3, 3, (7, 9, 2))
    warped, inside = warp(picture, flow)
    for i in range(7):
        for j in range(9):
            x, y = j + flow[i, j, 0], i + flow[i, j, 1]
            assert inside[i, j] == (0 <= x <= 8 and 0 <= y <= 6)
            if inside[i, j]:
                expected = sum(
                    picture[p, q] * max(0, 1 - abs(x - q)) * max(0, 1 - abs(y - p))
                    for p in range(7)
                    for q in range(9)
                )
                np.testing.assert_allclose(warped[i, j], expected, atol=1e-12)


@pytest.mark.parametrize("interval", [1, 10])
@pytest.mark.parametrize(("velocity", "tolerance"), [((2, -1), 1e-15), ((1.5, 0.25), 2e-3)])
def test_a_clip_of_known_flow_has_no_error_but_for_resampling(velocity, tolerance, interval):
    clip, flow = moving_window(photograph(), (60, 80), velocity, frames=11)
    flow = interval * flow
    mask = known_points(flow, None)
    assert mask.mean() > 0.4
    assert warping_error_2(clip[0], clip[interval], flow, mask) < tolerance
    wrong = warping_error_2(clip[0], clip[interval], -flow, known_points(-flow, None))
    assert wrong > 3 * tolerance  # the direction of the flow matters


@pytest.mark.parametrize("flow", [(0.0, 0.0), (3.0, -2.0), (0.5, 0.0), (1.25, -0.4)])
def test_white_noise_has_the_error_that_its_variance_says(flow):
    noise = np.random.default_rng(0).normal(0, 0.2, (2, 300, 300, 3))
    field = constant(flow, 300, 300)
    mask = known_points(field, None)
    # A value is weighted by w in one frame and 1 in the other: v (1 + sum of squared weights).
    a, b = (abs(x) % 1 for x in flow)
    left = ((1 - a) ** 2 + a**2) * ((1 - b) ** 2 + b**2)
    expected = 0.2**2 * (1 + left)
    np.testing.assert_allclose(warping_error_2(*noise, field, mask), expected, rtol=0.01)
    expected = np.sqrt(expected * mask.mean())
    np.testing.assert_allclose(warping_error_1(*noise, field, mask), expected, rtol=0.01)


def test_what_is_masked_adds_nothing_and_counts_in_the_first_error_only():
    frame, other = np.zeros((4, 4, 3)), np.ones((4, 4, 3))
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    flow = constant((0, 0), 4, 4)
    assert warping_error_1(frame, other, flow, mask) == np.sqrt(0.5)
    assert warping_error_2(frame, other, flow, mask) == 1
    nothing = np.zeros((4, 4), bool)
    assert warping_error_1(frame, other, flow, nothing) == 0
    assert np.isnan(warping_error_2(frame, other, flow, nothing))


def test_steady_motion_hides_nothing_inside_the_frame():
    assert not occluded(constant((2.0, 1.0), 9, 9), constant((-2.0, -1.0), 9, 9)).any()


def test_points_whose_way_back_leads_elsewhere_are_hidden():
    forward, backward = constant((2.0, 0.0), 9, 12), np.array(constant((-2.0, 0.0), 9, 12))
    backward[:, 6] = 1.0  # |w_f + w_b|^2 = 10 > 0.01 (4 + 2) + 0.5
    hidden = occluded(forward, backward)
    assert hidden[:, 4].all() and not hidden[:, :4].any() and not hidden[:, 5:].any()


def test_points_where_the_motion_breaks_are_left_out():
    flow = np.zeros((6, 12, 2))
    flow[:, 6:, 0] = 0.2  # too little to be seen as hidden
    left_out = occluded(flow, -flow)
    assert left_out[:, 5:7].all() and not left_out[:, :5].any() and not left_out[:, 7:].any()


@pytest.mark.parametrize("speed", [0.0, 3.0, -5.0])
def test_the_way_back_may_miss_by_half_a_square_pixel_and_a_hundredth_of_the_motion(speed):
    # A miss e is hidden if e^2 > 0.01 (s^2 + (e - s)^2) + 0.5: from the positive root on.
    a, b, c = 0.99, 0.02 * speed, -(0.02 * speed**2 + 0.5)
    limit = (-b + np.sqrt(b**2 - 4 * a * c)) / (2 * a)
    for miss, expected in ((0.999 * limit, False), (1.001 * limit, True)):
        forward, backward = constant((0, speed), 19, 5), constant((0, miss - speed), 19, 5)
        assert occluded(forward, backward)[9, 2] == expected


@pytest.mark.parametrize("speed", [0.0, 2.0, 5.0])
def test_motion_may_change_by_a_hundredth_of_its_square_and_a_little(speed):
    limit = np.sqrt(0.01 * speed**2 + 0.002)  # of the gradient, in pixels a pixel
    for slope, expected in ((0.999 * limit, False), (1.001 * limit, True)):
        flow = np.zeros((19, 9, 2))
        flow[..., 0], flow[..., 1] = slope * (np.arange(9) - 4), speed
        assert occluded(flow, -flow)[9, 4] == expected


def test_a_window_that_leaves_the_photograph_is_refused():
    with pytest.raises(ValueError, match="window of 60x80 that moves 0 down and 50 right leaves"):
        moving_window(np.zeros((60, 100, 3)), (60, 80), (5, 0), frames=11)
