"""Optimizers, regimes, schedules, mixing and policy: each option alone, against what it is defined to be."""

import copy
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.optim.swa_utils import AveragedModel

from components.dataset import Dataset
from components.errors import RecipeError
from components.models.build import MODELS, build_model
from components.models.records import ModelRecipe
from components.models.stages import freeze_below, stages
from components.training.losses import compute_loss, distillation, soft_targets
from components.training.mixing import cutmix, mix
from components.training.module import TrainingModule, moving_average
from components.training.optimizer import build_optimizer
from components.training.policy import OPERATIONS, apply_policy
from components.training.recipes import load_preset, override, tiny
from components.training.records import AugmentRecipe, LossRecipe, OptimizerRecipe, ScheduleRecipe
from components.training.schedule import Schedule
from tests.training.conftest import run


def small(name: str):
    return build_model(ModelRecipe(name=name, width=32, depth=3, heads=2, cnn_width=0.0625))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MODELS)
def test_stages_hold_every_parameter_once_and_end_with_the_head(name: str) -> None:
    model = small(name)
    parts = stages(model)
    assert sorted(id(p) for part in parts for p in part) == sorted(id(p) for p in model.parameters())
    assert {id(p) for p in parts[-1]} == {id(p) for p in model.head.parameters()}
    assert len(parts) >= 5


@pytest.mark.parametrize("name", MODELS)
def test_the_head_alone_is_trained_and_nothing_below_it_moves(name: str) -> None:
    model = small(name)
    recipe = override(tiny(load_preset("quick")), ["regime=head", "optimizer.weight_decay=0.1"])
    images = torch.randint(0, 256, (8, 48, 48), dtype=torch.uint8)
    module = TrainingModule(model, images.numpy(), torch.ones(7).numpy(), recipe).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = build_optimizer(model, recipe.optimizer)
    module(torch.arange(8), torch.arange(8) % 7, torch.zeros(8, dtype=torch.bool))["loss"].backward()
    optimizer.step()
    moved = {k.split(".")[0] for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"head"}


def test_the_top_blocks_are_trained_with_the_head() -> None:
    model = small("compact-vit")
    frozen = freeze_below(model, 2)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert {name.split(".")[2] for name in trained if ".layers." in name} == {"1", "2"}
    assert any(name.startswith("backbone.norm") for name in trained)
    assert model.backbone.stem in frozen
    assert model.backbone.layers[1] not in frozen


@pytest.mark.parametrize(("name", "kind"), [("adamw", "AdamW"), ("adam", "Adam"), ("sgd", "SGD")])
def test_an_optimizer_spares_vectors_and_lowers_the_rate_stage_by_stage(name: str, kind: str) -> None:
    model = small("compact-vit")
    recipe = OptimizerRecipe(name=name, lr=1e-2, weight_decay=0.05, layer_decay=0.5)  # type: ignore[arg-type]
    optimizer = build_optimizer(model, recipe)
    assert type(optimizer).__name__ == kind
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for depth, part in enumerate(reversed(stages(model))):
        assert {rates[id(p)] for p in part} == {1e-2 * 0.5**depth}
    for group in optimizer.param_groups:
        assert {p.ndim <= 1 for p in group["params"]} == {group["weight_decay"] == 0}


def test_steps_fall_as_torchs_step_lr_does() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = torch.optim.lr_scheduler.StepLR(optimizer, 20, 0.3)
    recipe = ScheduleRecipe(after="step", warmup_epochs=0, multiplier=1, step_epochs=2, step_factor=0.3)
    schedule = Schedule(recipe, 10, 10)
    for step in range(100):
        assert schedule(step) == pytest.approx(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()


def test_plateau_equals_torchs_reduce_lr_on_plateau() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    schedule = Schedule(ScheduleRecipe(warmup_epochs=0, multiplier=1, plateau_patience=1), 10, 50)
    generator = torch.Generator().manual_seed(1)
    for loss in torch.rand(50, generator=generator).tolist():
        reference.step(loss)
        schedule.observe(loss, 100)
        assert schedule(100) == pytest.approx(reference.get_last_lr()[0])


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_of_the_policy_stays_in_range_and_changes_images(name: str) -> None:
    faces = torch.rand(32, 24, 24) * 200 + 20
    strength = torch.tensor([-0.5, 0.5]).repeat(16)
    changed = OPERATIONS[name](faces, strength).clamp(0, 255)
    assert changed.shape == faces.shape
    assert changed.isfinite().all()
    assert not torch.equal(changed, faces)


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"autocontrast", "posterise", "solarise"}))
def test_an_operation_of_no_strength_leaves_the_image(name: str) -> None:
    faces = torch.rand(4, 24, 24) * 255
    assert torch.allclose(OPERATIONS[name](faces, torch.zeros(4)), faces, atol=1e-2)


def test_the_policy_draws_for_every_image_by_itself_and_repeats_from_the_seed() -> None:
    one = torch.rand(1, 24, 24) * 255
    draws = []
    for _ in range(2):
        torch.manual_seed(5)
        draws.append(apply_policy(one.repeat(64, 1, 1), 2, 0.5))
    assert torch.equal(*draws)
    assert len(torch.unique(draws[0].reshape(64, -1), dim=0)) > 10
    assert torch.equal(apply_policy(one, 0, 0.5), one)


@given(alpha=st.floats(0.1, 4), seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=40)
def test_cutmix_shares_the_targets_by_area(alpha: float, seed: int) -> None:
    torch.manual_seed(seed)
    images = torch.arange(4.0)[:, None, None].expand(-1, 16, 16)
    mixed, targets = cutmix(images, torch.eye(4), alpha)
    for image, target in zip(mixed, targets, strict=True):
        shares = torch.bincount(image.long().flatten(), minlength=4) / 256
        assert torch.allclose(shares, target, atol=1e-5)


def test_half_of_the_batches_are_mixed() -> None:
    torch.manual_seed(0)
    images, targets = torch.rand(8, 8, 8), torch.eye(8)
    recipe = AugmentRecipe(mixup=0.4, cutmix=1.0)
    untouched = sum(torch.equal(mix(images, targets, recipe)[0], images) for _ in range(400))
    assert 150 < untouched < 260
    assert all(mix(images, targets, AugmentRecipe())[0] is images for _ in range(20))


def test_distillation_is_zero_for_equal_answers_and_scales_as_its_equation() -> None:
    student, teacher = torch.randn(16, 7), torch.randn(16, 7)
    assert float(distillation(teacher, teacher, 3.0)) == pytest.approx(0, abs=1e-6)
    p, q = (teacher / 3).softmax(-1), (student / 3).softmax(-1)
    expected = 9 * (p * (p / q).log()).sum(-1).mean()
    assert float(distillation(student, teacher, 3.0)) == pytest.approx(float(expected), rel=1e-5)


def test_answers_of_a_face_and_its_mirror_image_are_the_same_with_flips() -> None:
    model = small("compact-vit").eval()
    faces = torch.randint(0, 256, (4, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.allclose(model.answer(faces, True), model.answer(faces.flip(-1), True), atol=1e-6)
        assert torch.equal(model.answer(faces, False), model(faces))


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("optimizer.name=adamax", "optimizer.name"),
        ("schedule.after=linear", "schedule.after"),
        ("regime=half", "regime"),
        ("test_flips=maybe", "true or false"),
        ("optimizer.layer_decay=1.5", "optimizer.layer_decay"),
        ("augment.policy_operations=-1", "augment.policy_operations"),
        ("pretrain.mask=1", "pretrain.mask"),
        ("distill.temperature=0", "distill.temperature"),
    ],
)
def test_a_value_out_of_range_is_named(assignment: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        override(load_preset("quick"), [assignment])


def test_the_published_scheduler_and_ours_agree_at_every_epoch() -> None:
    """GradualWarmupScheduler of ildoonet/pytorch-gradual-warmup-lr, by its formula: base ((m - 1) e / T + 1)."""
    schedule = Schedule(ScheduleRecipe(warmup_epochs=3, multiplier=10), 100, 15)
    for epoch in (1, 2, 3):
        assert math.isclose(schedule(epoch * 100 - 1), (10 - 1) * epoch / 3 + 1)
    assert schedule(300) == 10


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("label", [0, 1])
def test_focal_loss_and_its_gradient_are_finite_for_a_saturated_answer(gamma: float, label: int) -> None:
    """Right (label 0) and wrong; a right one is as good as it gets and pulls no more."""
    for height in (18.0, 60.0):
        logits = torch.tensor([[height, -height, 0, 0, 0, 0, 0]], requires_grad=True)
        recipe = LossRecipe(name="focal", focal_gamma=gamma)
        loss = compute_loss(logits, soft_targets(torch.tensor([label]), 7, 0.0), recipe, torch.ones(7))
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite()
        assert gradient.isfinite().all()
        expected = torch.zeros(7) if label == 0 else torch.tensor([0.25, -0.25, 0, 0, 0, 0, 0])
        assert torch.allclose(gradient[0], expected, atol=1e-6)


def test_a_young_average_forgets_its_first_weights() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    average = AveragedModel(network, multi_avg_fn=moving_average(0.9))
    expected = 0.0
    for step in range(200):
        torch.nn.init.constant_(network.weight, float(step))
        average.update_parameters(network)
        decay = min(0.9, (1 + step) / (10 + step)) if step else 0.0
        expected = decay * expected + (1 - decay) * step
    assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)
    assert 189 < expected < 191  # a ramp is followed at a distance of decay / (1 - decay) = 9 steps


@pytest.mark.parametrize("after", ["plateau", "cosine", "step", "constant"])
def test_without_a_warm_up_the_multiplier_does_nothing(after) -> None:
    schedules = [Schedule(ScheduleRecipe(after=after, warmup_epochs=0, multiplier=m), 10, 4) for m in (1.0, 10.0)]
    assert [schedules[0](step) for step in range(40)] == [schedules[1](step) for step in range(40)]
    assert schedules[0](0) == 1


def test_a_dropped_layer_is_skipped_by_its_share_of_the_images_and_keeps_the_expectation() -> None:
    """The last layer at the recipe's rate, the first one never (Huang et al. 2016)."""
    torch.manual_seed(0)
    model = build_model(ModelRecipe(name="compact-vit", width=32, depth=3, heads=2, drop_path=0.4))
    first, last = model.backbone.layers[0], model.backbone.layers[-1]
    torch.nn.init.zeros_(last.mlp[-1].weight)  # one branch of its two
    torch.nn.init.zeros_(last.mlp[-1].bias)
    x = torch.randn(1, 37, 32).expand(2000, -1, -1)
    with torch.no_grad():
        model.eval()
        whole, always = last(x), first(x)
        model.train()
        dropped = last(x)
        assert torch.equal(first(x), always)
    assert not (whole == x).flatten(1).all(1).any()
    skipped = (dropped == x).flatten(1).all(1)
    assert float(skipped.float().mean()) == pytest.approx(0.4, abs=0.04)
    assert torch.allclose(dropped[~skipped], (x + (whole - x) / 0.6)[~skipped], atol=1e-5)


@pytest.mark.parametrize("hidden", [64, 0])
def test_dropout_zeroes_its_share_of_the_head_in_training_alone(hidden: int) -> None:
    torch.manual_seed(0)
    model = build_model(ModelRecipe(name="compact-vit", width=256, depth=1, heads=2, head_hidden=hidden, dropout=0.3))
    given: list[torch.Tensor] = []
    model.head[-1].register_forward_hook(lambda _, inputs, __: given.append(inputs[0]))
    features = torch.rand(500, 256) + 0.1
    if hidden:
        torch.nn.init.constant_(model.head[0].bias, 10.0)  # no zeros of ReLU
    with torch.no_grad():
        answers = [model.head.train(mode)(features) for mode in (True, True, False, False)]
    assert not torch.equal(answers[0], answers[1])
    assert torch.equal(answers[2], answers[3])
    for zeroed in given[:2]:
        assert float((zeroed == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
        assert torch.allclose(zeroed[zeroed != 0], (given[2] / 0.7)[zeroed != 0])
    assert (given[2] != 0).all()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_momentum_is_torchs_nesterov(momentum: float) -> None:
    networks = [small("compact-vit")]
    networks += [copy.deepcopy(networks[0]) for _ in range(2)]
    recipe = OptimizerRecipe(name="sgd", lr=0.1, momentum=momentum, weight_decay=0)
    ours = build_optimizer(networks[0], recipe)
    with_it = torch.optim.SGD(networks[1].parameters(), lr=0.1, momentum=0.9, nesterov=True)
    without = torch.optim.SGD(networks[2].parameters(), lr=0.1)
    for _ in range(3):
        for network, optimizer in zip(networks, (ours, with_it, without), strict=True):
            for parameter in network.parameters():
                parameter.grad = torch.ones_like(parameter)
            optimizer.step()
    moved = [torch.cat([p.flatten() for p in network.parameters()]) for network in networks]
    assert torch.equal(moved[0], moved[1]) == (momentum == 0.9)
    assert torch.equal(moved[0], moved[2]) == (momentum == 0)


@pytest.mark.parametrize("limit", [0.01, 0.0])
def test_gradients_are_scaled_to_the_norm_before_a_step(limit: float, tiny_dataset: Dataset, tmp_path: Path) -> None:
    norms: list[float] = []

    def observe(optimizer: torch.optim.Optimizer, *_: object) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(gradients)))

    hook = register_optimizer_step_pre_hook(observe)
    run(tiny_dataset, tmp_path / "run", "epochs=1", f"optimizer.clip_norm={limit}")
    hook.remove()
    if limit:
        assert norms == pytest.approx([limit] * len(norms), rel=1e-2)
    else:
        assert max(norms) > 1.1  # which the default of 1 would have cut
    assert len(norms) > 1
