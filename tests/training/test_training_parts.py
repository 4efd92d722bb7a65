"""Losses, schedule and augmentation, each against its equation."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss
from torchvision.transforms.functional import InterpolationMode, rotate

from components.errors import RecipeError
from components.training.augment import OFF, augment, erase, only
from components.training.losses import compute_loss, soft_targets
from components.training.mixing import mixup
from components.training.records import AugmentRecipe, LossRecipe, ScheduleRecipe
from components.training.schedule import Schedule

NONE = torch.zeros(4, dtype=torch.bool)


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(16, 7, generator=generator) * 3, torch.randint(0, 7, (16,), generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_equals_torch(smoothing: float) -> None:
    logits, labels = batch()
    ours = compute_loss(logits, soft_targets(labels, 7, smoothing), LossRecipe(), torch.ones(7))
    assert torch.allclose(ours, F.cross_entropy(logits, labels, label_smoothing=smoothing), atol=1e-6)


def test_weighted_cross_entropy_equals_torch() -> None:
    logits, labels = batch()
    weights = torch.rand(7) + 0.1
    ours = compute_loss(logits, soft_targets(labels, 7, 0), LossRecipe(name="weighted"), weights)
    assert torch.allclose(ours, F.cross_entropy(logits, labels, weights), atol=1e-6)


@given(alpha=st.floats(0.05, 1), gamma=st.floats(0, 5), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_focal_loss_equals_its_equation(alpha: float, gamma: float, seed: int) -> None:
    logits, labels = batch(seed)
    p = logits.softmax(-1)[torch.arange(16), labels]
    recipe = LossRecipe(name="focal", focal_alpha=alpha, focal_gamma=gamma)
    ours = compute_loss(logits, soft_targets(labels, 7, 0), recipe, torch.ones(7))
    assert torch.allclose(ours, (-alpha * (1 - p) ** gamma * p.log()).mean(), rtol=1e-3, atol=1e-6)


def test_focal_loss_of_two_classes_equals_torchvisions() -> None:
    """A sigmoid of z is a softmax over (0, z); torchvision weighs the positive class by alpha."""
    z = torch.randn(64)
    logits, targets = torch.stack([torch.zeros(64), z], -1), torch.ones(64, dtype=torch.long)
    ours = compute_loss(logits, soft_targets(targets, 2, 0), LossRecipe(name="focal"), torch.ones(2))
    assert torch.allclose(ours, sigmoid_focal_loss(z, torch.ones(64), 0.25, 2, "mean"), atol=1e-6)


@pytest.mark.parametrize("step", [0, 10, 149, 299])
def test_warm_up_follows_the_published_formula(step: int) -> None:
    schedule = Schedule(ScheduleRecipe(warmup_epochs=3, multiplier=10), 100, 15)
    assert math.isclose(schedule(step), 9 * (step + 1) / 300 + 1)


def test_warm_up_without_a_multiplier_starts_from_nothing_and_ends_at_the_rate() -> None:
    schedule = Schedule(ScheduleRecipe(after="constant", warmup_epochs=2, multiplier=1), 5, 15)
    assert [schedule(step) for step in range(12)] == pytest.approx([*(t / 10 for t in range(1, 11)), 1, 1])


@pytest.mark.parametrize(("after", "later"), [("cosine", [5, 0]), ("step", [0.1, 0.001])])
def test_what_follows_the_warm_up_falls_from_its_peak(after: str, later: list[float]) -> None:
    """later: half-way through the 8 epochs that are left, and at their end."""
    recipe = ScheduleRecipe(after=after, warmup_epochs=2, multiplier=10, step_epochs=2)  # type: ignore[arg-type]
    schedule = Schedule(recipe, 10, 10)
    assert [schedule(step) for step in (19, 20, 60, 100)] == pytest.approx([10, 10, *later])


def test_plateau_does_not_count_what_it_sees_during_the_warm_up() -> None:
    schedule = Schedule(ScheduleRecipe(warmup_epochs=3, multiplier=10, plateau_patience=0), 10, 15)
    rates = []
    for loss, step in ((0.5, 10), (0.6, 20), (0.9, 30), (0.9, 40)):  # the warm-up ends with step 30
        schedule.observe(loss, step)
        rates.append(schedule(100))
    assert rates == [10, 10, 10, 5]


def test_plateau_lowers_the_rate_only_after_patience_is_used_up() -> None:
    schedule = Schedule(ScheduleRecipe(warmup_epochs=0, multiplier=1, plateau_patience=1), 10, 15)
    rates = []
    for loss in (1.0, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8):
        schedule.observe(loss, 100)
        rates.append(schedule(100))
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_cosine_starts_at_the_peak_and_ends_at_zero() -> None:
    schedule = Schedule(ScheduleRecipe(after="cosine", warmup_epochs=1, multiplier=1), 100, 10)
    assert schedule(100) == pytest.approx(1)
    assert schedule(1000) == pytest.approx(0)
    assert all(schedule(s) >= schedule(s + 1) for s in range(100, 999))


def images(n: int = 4) -> torch.Tensor:
    return torch.randint(0, 256, (n, 48, 48), dtype=torch.uint8)


def test_no_augmentation_leaves_the_pixels() -> None:
    x = images()
    assert torch.equal(augment(x, OFF, NONE), x.float())


def test_a_sure_flip_mirrors_every_image() -> None:
    x = images()
    assert torch.allclose(augment(x, only(flip=1), NONE), x.flip(-1).float(), atol=1e-2)


@pytest.mark.parametrize("field", ["rotation", "translation", "scale", "light", "blur", "noise", "erasing"])
@given(share=st.floats(0.1, 1))
@settings(deadline=None, max_examples=10)
def test_each_augmentation_alone_changes_images_and_stays_in_range(field: str, share: float) -> None:
    torch.manual_seed(0)  # some seeds draw no image of 64 at a share of 0.1
    x = images(64)
    changed = augment(
        x, only(**{field: share * {"rotation": 20, "noise": 40}.get(field, 1)}), torch.zeros(64, dtype=torch.bool)
    )
    assert changed.shape == x.shape
    assert float(changed.min()) >= -1e-3
    assert float(changed.max()) <= 255 + 1e-3
    assert not torch.equal(changed, x.float())


def test_images_of_a_batch_are_varied_independently() -> None:
    x = images(1).expand(32, -1, -1)
    rotated = augment(x, only(rotation=15), torch.zeros(32, dtype=torch.bool))
    assert len(torch.unique(rotated.reshape(32, -1), dim=0)) == 32


def test_strong_images_are_varied_more() -> None:
    torch.manual_seed(0)
    x = images(400)
    strong = torch.arange(400) % 2 == 0
    change = (augment(x, only(light=0.25), strong) - x).abs().mean((1, 2))
    assert change[strong].mean() > 1.4 * change[~strong].mean()


def test_light_never_turns_a_face_into_its_negative() -> None:
    torch.manual_seed(0)
    x = images(1).repeat(400, 1, 1)
    changed = augment(x, only(light=1), torch.ones(400, dtype=torch.bool))
    order = x[0].flatten().argsort()
    assert bool((changed.flatten(1)[:, order].diff() >= 0).all())
    assert len(torch.unique(changed.flatten(1), dim=0)) > 100


def test_augmentation_is_repeatable_from_torchs_seed() -> None:
    x = images(8)
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(augment(x, AugmentRecipe(erasing=0.5), torch.zeros(8, dtype=torch.bool)))
    assert torch.equal(*draws)


def angles(faces: torch.Tensor) -> torch.Tensor:
    """Direction of the longer axis of each pattern, by its second moments: degrees, [B]."""
    along = torch.arange(faces.shape[1]) - (faces.shape[1] - 1) / 2
    y, x = along[:, None], along[None, :]
    xx, yy, xy = ((faces * product).sum((1, 2)) for product in (x * x, y * y, x * y))
    return torch.rad2deg(torch.atan2(2 * xy, xx - yy)) / 2


@pytest.mark.parametrize("limit", [5.0, 20.0])
def test_images_are_turned_by_up_to_the_rotation_either_way(limit: float) -> None:
    along = torch.arange(96) - 47.5
    pattern = 255 * torch.exp(-((along[None, :] / 14) ** 2) - (along[:, None] / 4) ** 2)
    for known in (-20.0, 3.0, 12.5):
        turned = rotate(pattern[None], -known, InterpolationMode.BILINEAR)  # torchvision counts the other way
        assert float(angles(turned)) == pytest.approx(known, abs=0.5)
    torch.manual_seed(0)
    strong = torch.arange(800) % 2 == 0
    found = angles(augment(pattern.repeat(800, 1, 1), only(rotation=limit), strong))
    for chosen, largest in ((found[~strong], limit), (found[strong], 2 * limit)):
        assert float(chosen.max()) == pytest.approx(largest, abs=1)
        assert float(chosen.min()) == pytest.approx(-largest, abs=1)
        assert float(chosen.std()) == pytest.approx(largest / math.sqrt(3), rel=0.1)  # all angles alike


def test_erasing_fills_a_rectangle_of_2_to_25_percent_in_its_share_of_the_images() -> None:
    torch.manual_seed(0)
    x = torch.rand(800, 120, 120) * 255
    erased = erase(x, 0.4)
    holes = erased != x
    hit = holes.flatten(1).any(1)
    assert float(hit.float().mean()) == pytest.approx(0.4, abs=0.05)
    height, width = holes.any(2).sum(1), holes.any(1).sum(1)
    assert torch.equal(height * width, holes.sum((1, 2)))
    area = (height * width)[hit] / 120**2
    assert 0.0173 < float(area.min()) < 0.03  # a side may be a pixel longer or shorter
    assert 0.24 < float(area.max()) < 0.261
    assert float(area.mean()) == pytest.approx(0.135, abs=0.015)
    fill = torch.where(holes, erased, 0).amax((1, 2))[hit]
    assert torch.allclose(fill, x.mean((1, 2))[hit], atol=1e-2)


def test_noise_has_a_deviation_of_its_own_in_each_image_up_to_the_largest() -> None:
    torch.manual_seed(0)
    x = torch.full((256, 48, 48), 128, dtype=torch.uint8)
    deviation = augment(x, only(noise=20), torch.zeros(256, dtype=torch.bool)).std((1, 2))
    assert 0 <= float(deviation.min()) < 3
    assert 17 < float(deviation.max()) <= 21
    assert float(deviation.mean()) == pytest.approx(10, abs=1)


def test_blur_keeps_the_mean_and_lowers_the_detail() -> None:
    x = images(16)
    blurred = augment(x, only(blur=1), torch.zeros(16, dtype=torch.bool))
    assert np.allclose(blurred.mean((1, 2)), x.float().mean((1, 2)), atol=2)
    assert blurred.var() < x.float().var()


@given(alpha=st.floats(0.1, 2))
@settings(deadline=None, max_examples=20)
def test_mixup_mixes_images_and_targets_by_the_same_share(alpha: float) -> None:
    x, targets = torch.eye(7).reshape(7, 1, 7).expand(-1, 7, -1), torch.eye(7)
    mixed, soft = mixup(x, targets, alpha)
    assert torch.allclose(mixed[:, 0], soft, atol=1e-6)
    assert torch.allclose(soft.sum(-1), torch.ones(7), atol=1e-5)


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(AugmentRecipe)])
def test_a_negative_augmentation_is_refused(field: str) -> None:
    with pytest.raises(RecipeError, match=f"augment.{field}"):
        AugmentRecipe(**{field: -1.0})
