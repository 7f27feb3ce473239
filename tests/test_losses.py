"""Losses: answers worked by hand, the traps of published code, and laws that all of them obey."""

import copy
import io
import math
import pickle
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from skasd import losses
from skasd.losses import (
    AdaCosLoss,
    AdaProjLoss,
    ArcFaceLoss,
    ClassificationLoss,
    FeatureExchangeLoss,
    FocalLoss,
    MultiTargetLoss,
    SoftmaxLoss,
    SubclusterAdaCosLoss,
    SubspaceLoss,
)

pytestmark = pytest.mark.usefixtures("seeded")


def in_halves(make, **params):
    """A loss for a network with two branches."""
    return lambda size, n_classes: make(size, n_classes, branch_sizes=(size // 2, size // 2), **params)


SUBCLUSTER = partial(SubclusterAdaCosLoss, n_subclusters=4)
LOSSES = {
    "softmax": SoftmaxLoss,
    "arcface": ArcFaceLoss,
    "arcface-wide": partial(ArcFaceLoss, margin=2.0, scale=64.0),
    "adacos": AdaCosLoss,
    "adacos-fixed": partial(AdaCosLoss, dynamic=False),
    "subcluster": SUBCLUSTER,
    "subcluster-trainable": partial(SUBCLUSTER, trainable=True),
    "subcluster-fixed": partial(SUBCLUSTER, dynamic=False),
    "subcluster-of-one": partial(SUBCLUSTER, n_subclusters=1),
    "adaproj": partial(AdaProjLoss, subspace_size=3),
    "adaproj-fixed": partial(AdaProjLoss, subspace_size=2, dynamic=False, trainable=True),
    "adaproj-of-one": partial(AdaProjLoss, subspace_size=1, initial_scale="classes"),
    "subspace": in_halves(SubspaceLoss),
    "subspace-adaproj": in_halves(SubspaceLoss, loss=AdaProjLoss, loss_params={"dynamic": False}),
    "feature-exchange": in_halves(FeatureExchangeLoss),
    "focal-softmax": partial(FocalLoss, loss=SoftmaxLoss),
    "focal-arcface": partial(FocalLoss, loss=ArcFaceLoss, gamma=0.5),
    "focal-adacos": FocalLoss,
    "focal-subcluster": partial(FocalLoss, loss=SUBCLUSTER, alpha=0.25),
}
ONE_HEAD = {name: make for name, make in LOSSES.items() if name.partition("-")[0] not in ("subspace", "feature")}
WITHOUT_MARGIN = {name: make for name, make in ONE_HEAD.items() if "arcface" not in name and "focal" not in name} | {
    "arcface-margin-0": partial(ArcFaceLoss, margin=0.0),
    "focal-gamma-0": partial(FocalLoss, gamma=0.0),
}
each_loss = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
SMALLEST_SCALE = math.sqrt(2) * math.log(2)


def soft_targets(n_clips, n_classes, dtype=torch.float32):
    return torch.rand(n_clips, n_classes, dtype=dtype).softmax(dim=1)


def angles(*radians):
    """Unit vectors of the plane."""
    return torch.tensor([[math.cos(angle), math.sin(angle)] for angle in radians])


def value(loss, embedding, target):
    """The loss, from the same random numbers each time."""
    torch.manual_seed(1)
    return loss(embedding, target)


def with_centers(loss, centers):
    loss.load_state_dict(loss.state_dict() | {"weight": centers})
    return loss


# ---------------------------------------------------------------------------------------------------- worked by hand


def test_softmax_is_the_cross_entropy_of_a_linear_layer():
    loss = SoftmaxLoss(2, 3)
    loss.load_state_dict({"linear.weight": torch.eye(3, 2), "linear.bias": torch.tensor([0.0, 0.0, 1.0])})
    expected = math.log(math.e**2 + 1 + math.e) - 2  # logits (2, 0, 1)
    assert loss(torch.tensor([[2.0, 0.0]]), torch.tensor([0])).item() == pytest.approx(expected, rel=1e-6)


def test_arcface_adds_the_margin_to_the_target_alone():
    loss = with_centers(ArcFaceLoss(2, 2, margin=0.5, scale=4.0), torch.eye(2))
    embedding = 7 * angles(math.pi / 3)  # 60 degrees from class 0, 30 degrees from class 1
    target, other = 4 * math.cos(math.pi / 3 + 0.5), 4 * math.cos(math.pi / 6)
    assert loss(embedding, torch.tensor([0])).item() == pytest.approx(math.log1p(math.exp(other - target)), rel=1e-5)
    torch.testing.assert_close(loss.logits(embedding), torch.tensor([[2.0, other]]))


@pytest.mark.parametrize("angle", [math.pi - 0.4, math.pi])
def test_arcface_goes_on_falling_beyond_pi_minus_the_margin(angle):
    loss = with_centers(ArcFaceLoss(2, 1, margin=0.5, scale=1.0), torch.tensor([[1.0, 0.0]]))
    expected = math.cos(angle) - 0.5 * math.sin(math.pi - 0.5)
    assert loss.training_logits(angles(angle), torch.ones(1, 1)).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_arcface_target_logit_never_rises_with_the_angle(share):
    loss = with_centers(ArcFaceLoss(2, 1, margin=0.7), torch.tensor([[1.0, 0.0]]))
    logits = loss.training_logits(angles(*torch.linspace(0, math.pi, 200).tolist()), torch.full((200, 1), share))
    assert (logits.diff(dim=0) < 1e-4).all()


def test_arcface_gives_each_class_of_a_soft_target_its_share_of_the_margin():
    loss = with_centers(ArcFaceLoss(2, 3, margin=0.8, scale=2.0), angles(0.0, 1.0, 2.0))
    cosines = [math.cos(0.25 + 0.2), math.cos(0.75 + 0.6), math.cos(1.75)]
    sum_of_exponentials = sum(math.exp(2 * cosine) for cosine in cosines)
    expected = math.log(sum_of_exponentials) - 0.25 * 2 * cosines[0] - 0.75 * 2 * cosines[1]
    value = loss(angles(0.25), torch.tensor([[0.25, 0.75, 0.0]]))
    assert value.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("n_classes", "scale"), [(1, 0.980), (2, 0.980), (3, 0.980), (6, 2.276), (39, 5.144)])
def test_adacos_starts_at_the_published_scale(n_classes, scale):
    assert AdaCosLoss(8, n_classes).scale.item() == pytest.approx(scale, abs=5e-4)


def test_adacos_scale_after_one_batch():
    loss = with_centers(AdaCosLoss(6, 6), torch.eye(6))
    embedding = torch.zeros(2, 6)
    embedding[:, :2] = angles(0.3, 0.5)  # from class 0 towards class 1
    before = math.sqrt(2) * math.log(5)
    b = (4 + math.exp(before * math.sin(0.3)) + 4 + math.exp(before * math.sin(0.5))) / 2
    loss(embedding, torch.tensor([0, 0]))
    assert loss.scale.item() == pytest.approx(math.log(b) / math.cos(0.4), rel=1e-5)


def test_adacos_median_is_over_the_angles_to_the_target_and_stops_at_45_degrees():
    loss = with_centers(AdaCosLoss(6, 6), torch.eye(6))
    before = loss.scale.item()
    loss(torch.eye(6)[[1, 1, 1]], torch.tensor([1, 0, 0]))  # angles 0, 90, 90 degrees; over all classes: mostly 90
    b = (5 + 2 * (4 + math.exp(before))) / 3
    assert loss.scale.item() == pytest.approx(math.sqrt(2) * math.log(b), rel=1e-5)


def test_adacos_scale_of_a_soft_batch():
    loss = with_centers(AdaCosLoss(6, 6), torch.eye(6))
    before, angle = loss.scale.item(), 0.1
    embedding = torch.zeros(1, 6)
    embedding[:, :2] = angles(angle)
    target = torch.tensor([[0.75, 0.25, 0.0, 0.0, 0.0, 0.0]])
    b = 0.25 * math.exp(before * math.cos(angle)) + 0.75 * math.exp(before * math.sin(angle)) + 4
    median = 0.75 * angle + 0.25 * (math.pi / 2 - angle)
    loss(embedding, target)
    assert loss.scale.item() == pytest.approx(math.log(b) / math.cos(median), rel=1e-5)


def test_subcluster_adacos_adds_the_softmax_of_a_class_up():
    loss = with_centers(SubclusterAdaCosLoss(4, 2, n_subclusters=2, dynamic=False), torch.eye(4))
    scale = math.sqrt(2) * math.log(3)
    softmax = torch.tensor([math.exp(scale), 1.0, 1.0, 1.0]) / (math.exp(scale) + 3)
    probability = loss.logits(torch.eye(4)[:1]).softmax(dim=1)
    torch.testing.assert_close(probability, torch.stack([softmax[:2].sum(), softmax[2:].sum()])[None])


def test_subcluster_adacos_scale_after_one_batch():
    loss = with_centers(SubclusterAdaCosLoss(4, 2, n_subclusters=2), torch.eye(4))
    before = math.sqrt(2) * math.log(3)
    embedding = torch.zeros(1, 4)
    embedding[0, 1], embedding[0, 2] = math.cos(0.3), math.sin(0.3)  # nearest centre: the second of class 0
    b = 2 + math.exp(before * math.cos(0.3)) + math.exp(before * math.sin(0.3))  # the target counts
    loss(embedding, torch.tensor([0]))
    assert loss.scale.item() == pytest.approx(math.log(b) / math.cos(0.3), rel=1e-5)


@pytest.mark.parametrize("n_classes, n_subclusters", [(6, 1), (6, 16), (39, 16), (342, 16)])
def test_scales_of_all_centers(n_classes, n_subclusters):
    expected = pytest.approx(math.sqrt(2) * math.log(n_classes * n_subclusters - 1))
    fixed = SubclusterAdaCosLoss(8, n_classes, n_subclusters=n_subclusters, dynamic=False, trainable=True)
    fixed(torch.randn(32, 8), torch.randint(n_classes, (32,)))
    assert fixed.scale.item() == expected
    assert AdaProjLoss(8, n_classes, subspace_size=n_subclusters).scale.item() == expected


def test_adaproj_scale_conventions():
    scales = [AdaProjLoss(8, 6, subspace_size=16, initial_scale=each).scale for each in ("vectors", "classes", 12)]
    assert [scale.item() for scale in scales] == pytest.approx(
        [math.sqrt(2) * math.log(95), math.sqrt(2) * math.log(5), 12.0]
    )


def test_adaproj_is_the_cosine_with_the_projection_onto_the_subspace_of_each_class():
    """The subspaces of two classes are the x-y plane and, from vectors that are 60 degrees apart, the y-z plane."""
    plane, oblique = torch.eye(3)[:2], torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.5, math.sqrt(0.75)]])
    loss = with_centers(AdaProjLoss(3, 2, subspace_size=2, initial_scale=2.0), torch.cat([5 * plane, oblique]))
    embedding = torch.tensor([[3.0, 0.0, 4.0]])  # unit vector (0.6, 0, 0.8)
    share = 0.8 * math.sqrt(0.75)  # of the second vector of the second class; the first has none
    torch.testing.assert_close(loss.logits(embedding), torch.tensor([[2 * 0.6, 2 * share]]))


def test_adaproj_with_one_vector_a_class_is_adacos_without_sign():
    adaproj = AdaProjLoss(8, 5, subspace_size=1, dynamic=False)
    adacos = AdaCosLoss(8, 5, dynamic=False)
    adacos.load_state_dict(adaproj.state_dict())
    embedding = torch.randn(10, 8)
    torch.testing.assert_close(adaproj.logits(embedding), adacos.logits(embedding).abs())


def test_adaproj_at_right_angles_to_a_class_is_zero_with_a_gradient():
    loss = with_centers(AdaProjLoss(3, 2, subspace_size=1), torch.eye(3)[:2])
    embedding = torch.eye(3)[2:].requires_grad_()
    assert loss.logits(embedding).tolist() == [[0.0, 0.0]]
    loss(embedding, torch.tensor([0])).backward()
    assert embedding.grad.isfinite().all()


def test_adaproj_scale_adapts_as_that_of_adacos():
    loss = with_centers(AdaProjLoss(6, 6, subspace_size=1, initial_scale="classes"), torch.eye(6))
    embedding = torch.zeros(1, 6)
    embedding[:, :2] = angles(0.3)
    before = math.sqrt(2) * math.log(5)
    loss(embedding, torch.tensor([0]))
    assert loss.scale.item() == pytest.approx(math.log(4 + math.exp(before * math.sin(0.3))) / math.cos(0.3), rel=1e-5)


def test_subspace_loss_is_the_sum_over_the_whole_and_its_parts():
    loss = SubspaceLoss(8, 3, branch_sizes=(2, 5, 1), loss_params={"n_subclusters": 4, "dynamic": False})
    embedding, target = torch.randn(7, 8), soft_targets(7, 3)
    parts = zip(loss.branches, embedding.split((2, 5, 1), dim=1), strict=True)
    expected = loss.whole(embedding, target) + sum(branch(part, target) for branch, part in parts)
    torch.testing.assert_close(loss(embedding, target), expected)
    assert [head.weight.shape for head in (loss.whole, *loss.branches)] == [(12, 8), (12, 2), (12, 5), (12, 1)]
    assert [head.weight.requires_grad for head in (loss.whole, *loss.branches)] == [False, True, True, True]
    torch.testing.assert_close(loss.logits(embedding), loss.whole.logits(embedding))


def test_feature_exchange_loss_adds_a_second_head_in_training_only():
    params = {"n_subclusters": 2, "dynamic": False}
    loss = FeatureExchangeLoss(8, 3, branch_sizes=(2, 3, 3), loss_params=params, probability=0.0)
    embedding, target = torch.randn(7, 8), torch.randint(3, (7,))
    assert loss.exchanged.weight.shape == (2 * 3 * 4, 8)
    assert (loss.whole.weight.requires_grad, loss.exchanged.weight.requires_grad) == (False, True)
    torch.testing.assert_close(
        loss(embedding, target), loss.whole(embedding, target) + loss.exchanged(embedding, target)
    )
    assert loss.eval()(embedding, target) == loss.whole(embedding, target)


def test_feature_exchange_loss_follows_torchs_seed():
    loss = FeatureExchangeLoss(8, 3, branch_sizes=(4, 4))
    loss.whole.dynamic = loss.exchanged.dynamic = False
    embedding, target = torch.randn(20, 8), torch.randint(3, (20,))
    assert value(loss, embedding, target) == value(loss, embedding, target) != loss(embedding, target)


def test_one_subcluster_a_class_is_adacos_with_a_fixed_scale():
    subcluster = SubclusterAdaCosLoss(8, 5, n_subclusters=1, dynamic=False)
    adacos = AdaCosLoss(8, 5, dynamic=False)
    adacos.load_state_dict(subcluster.state_dict())
    embedding, target = torch.randn(10, 8), soft_targets(10, 5)
    torch.testing.assert_close(subcluster(embedding, target), adacos(embedding, target))


def test_focal_loss_of_equal_logits():
    loss = FocalLoss(8, 4, loss=SoftmaxLoss, gamma=2.0)
    torch.nn.init.zeros_(loss.loss.linear.weight)
    torch.nn.init.zeros_(loss.loss.linear.bias)
    value = loss(torch.randn(3, 8), torch.tensor([0, 1, 3]))
    assert value.item() == pytest.approx(0.75**2 * math.log(4), rel=1e-6)


def test_focal_loss_of_a_soft_target_is_the_weighted_mean_over_its_classes():
    loss = FocalLoss(8, 4, loss=ArcFaceLoss, loss_params={"margin": 0.0}, alpha=[1.0, 2.0, 3.0, 4.0])
    embedding = torch.randn(1, 8)
    first, third = (loss(embedding, torch.tensor([target])) for target in (0, 2))
    mixed = loss(embedding, torch.tensor([[0.3, 0.0, 0.7, 0.0]]))
    torch.testing.assert_close(mixed, 0.3 * first + 0.7 * third)


def test_focal_alpha_weighs_the_classes():
    plain, weighted = FocalLoss(8, 2, loss=SoftmaxLoss), FocalLoss(8, 2, loss=SoftmaxLoss, alpha=[1.0, 3.0])
    weighted.loss.load_state_dict(plain.loss.state_dict())
    embedding = torch.randn(1, 8)
    for target, weight in [(0, 1.0), (1, 3.0)]:
        target = torch.tensor([target])
        torch.testing.assert_close(weighted(embedding, target), weight * plain(embedding, target))


def test_multi_target_loss_is_the_sum_over_its_heads():
    loss = MultiTargetLoss(8, (6, 39), loss=FocalLoss, loss_params={"loss": ArcFaceLoss})
    embedding = torch.randn(5, 8)
    section, attribute = torch.randint(6, (5,)), soft_targets(5, 39)
    expected = loss.losses[0](embedding, section) + loss.losses[1](embedding, attribute)
    torch.testing.assert_close(loss(embedding, (section, attribute)), expected)
    assert [tuple(logits.shape) for logits in loss.logits(embedding)] == [(5, 6), (5, 39)]


def test_multi_target_loss_trains_every_head_and_its_scale():
    loss = MultiTargetLoss(8, (6, 39))
    before = [head.scale.item() for head in loss.losses]
    loss(torch.randn(5, 8), (torch.randint(6, (5,)), torch.randint(39, (5,)))).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in loss.parameters())
    assert all(head.scale.item() != old for head, old in zip(loss.losses, before, strict=True))


# ------------------------------------------------------------------------------------------------------------- traps


@pytest.mark.parametrize("make", [AdaCosLoss, SUBCLUSTER], ids=["adacos", "subcluster"])
def test_adaptive_scale_moves_in_training_only(make):
    loss = make(8, 6).eval()
    before = loss.scale.clone()
    embedding, target = torch.randn(32, 8), torch.randint(6, (32,))
    loss(embedding, target)
    loss.train().logits(embedding)
    assert loss.scale == before
    loss(embedding, target)
    assert loss.scale != before
    assert not loss.scale.requires_grad


@pytest.mark.parametrize("make", [AdaCosLoss, SUBCLUSTER], ids=["adacos", "subcluster"])
def test_no_gradient_flows_through_the_adaptive_scale(make):
    loss = make(8, 6).double()
    embedding, target = torch.randn(16, 8, dtype=torch.float64, requires_grad=True), torch.randint(6, (16,))
    (adapting,) = torch.autograd.grad(loss(embedding, target), embedding)
    (frozen,) = torch.autograd.grad(loss.eval()(embedding, target), embedding)
    torch.testing.assert_close(adapting, frozen)


def test_two_forwards_before_one_backward():
    loss = AdaCosLoss(8, 6)
    first, second = (loss(torch.randn(4, 8), torch.randint(6, (4,))) for _ in range(2))
    (first + second).backward()  # the scale of the first must not have changed under its graph
    assert loss.weight.grad.isfinite().all()


@pytest.mark.parametrize("make", [AdaCosLoss, SUBCLUSTER], ids=["adacos", "subcluster"])
def test_adaptive_scale_survives_full_mixup(make):
    loss = make(8, 6)
    for _ in range(20):
        loss(torch.randn(16, 8), soft_targets(16, 6))
    assert SMALLEST_SCALE <= loss.scale.item() < 64


def test_adaptive_scale_survives_a_batch_that_overflowed():
    loss = AdaCosLoss(8, 6)
    before = loss.scale.item()
    assert loss(torch.full((4, 8), torch.nan), torch.zeros(4, dtype=torch.int64)).isnan()
    assert loss.scale.item() == before


def test_adaptive_scale_moves_though_rounding_put_targets_above_one():
    loss = AdaCosLoss(8, 6)
    before = loss.scale.item()
    loss(torch.randn(4, 8), F.one_hot(torch.arange(4), 6) * (1 + 1e-6))
    assert loss.scale.item() != before


def test_adaptive_scale_moves_though_rounding_put_cosines_above_one():
    loss = AdaCosLoss(8, 50)
    before, centers = loss.scale.item(), loss.weight.detach()
    assert (F.normalize(centers).square().sum(dim=1) > 1).any()
    loss(centers, torch.arange(50))
    assert loss.scale.item() != before


def test_two_classes_told_apart_do_not_turn_the_scale_negative():
    loss = with_centers(AdaCosLoss(2, 2), angles(0.0, math.pi))
    loss(angles(0.0, math.pi), torch.tensor([0, 1]))  # the rule gives minus the scale before
    assert loss.scale.item() == pytest.approx(SMALLEST_SCALE)


def test_subcluster_scale_cannot_run_away():
    loss = with_centers(SubclusterAdaCosLoss(4, 2, n_subclusters=2), torch.eye(4))
    loss.scale.fill_(60.0)
    loss(torch.eye(4)[[3]], torch.tensor([0]))  # the rule gives 60 * sqrt(2), and more with every batch
    assert loss.scale.item() == 64


# -------------------------------------------------------------------------------------------------------------- laws


def test_every_public_loss_obeys_the_laws():
    public = {getattr(losses, name) for name in losses.__all__} - {ClassificationLoss, MultiTargetLoss}
    assert {type(make(8, 3)) for make in LOSSES.values()} == public


@pytest.mark.parametrize("make", ONE_HEAD.values(), ids=ONE_HEAD)
def test_losses_with_one_head_fit_into_others(make):
    assert isinstance(make(8, 5), ClassificationLoss)


@each_loss
def test_loss_is_a_scalar_and_logits_have_a_column_a_class(make):
    loss = make(8, 5)
    assert loss(torch.randn(7, 8), torch.randint(5, (7,))).shape == ()
    assert loss.logits(torch.randn(7, 8)).shape == (7, 5)


@each_loss
def test_one_hot_is_the_whole_number(make):
    by_number = make(8, 5)
    by_share = copy.deepcopy(by_number)
    embedding, target = torch.randn(7, 8), torch.randint(5, (7,))
    assert value(by_number, embedding, target) == value(by_share, embedding, F.one_hot(target, 5).float())


@pytest.mark.parametrize("make", WITHOUT_MARGIN.values(), ids=WITHOUT_MARGIN)
def test_without_margin_the_loss_is_the_cross_entropy_of_the_logits(make):
    loss = make(8, 5).eval()
    embedding, target = torch.randn(7, 8), soft_targets(7, 5)
    torch.testing.assert_close(loss(embedding, target), F.cross_entropy(loss.logits(embedding), target))


def test_arcface_without_margin_is_the_softmax_of_scaled_cosines():
    loss = ArcFaceLoss(8, 5, margin=0.0, scale=16.0)
    embedding, target = torch.randn(7, 8), torch.randint(5, (7,))
    cosine = F.cosine_similarity(embedding[:, None], loss.weight[None], dim=2)
    torch.testing.assert_close(loss(embedding, target), F.cross_entropy(16 * cosine, target))


def test_a_wider_margin_makes_the_loss_larger():
    weight, embedding, target = torch.randn(5, 8), torch.randn(7, 8), torch.randint(5, (7,))
    values = [
        with_centers(ArcFaceLoss(8, 5, margin=margin), weight)(embedding, target).item() for margin in (0, 0.3, 0.7)
    ]
    assert values == sorted(set(values))


@each_loss
def test_mean_over_the_batch(make):
    loss = make(8, 5).eval()
    embedding, target = torch.randn(6, 8), torch.randint(5, (6,))
    each = [loss(embedding[[row]], target[[row]]) for row in range(6)]
    torch.testing.assert_close(loss(embedding, target), torch.stack(each).mean())


@each_loss
def test_gradient_is_right(make):
    loss = make(4, 3).double().eval()
    target = soft_targets(5, 3, torch.float64)
    embedding = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    parameters = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    assert torch.autograd.gradcheck(lambda embedding, *_: loss(embedding, target), (embedding, *parameters))


@each_loss
def test_gradient_reaches_the_embedding_and_every_trainable_parameter(make):
    loss = make(8, 5)
    embedding = torch.randn(7, 8, requires_grad=True)
    loss(embedding, torch.randint(5, (7,))).backward()
    trainable = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    assert all(tensor.grad.isfinite().all() and tensor.grad.abs().sum() > 0 for tensor in [embedding, *trainable])


@each_loss
def test_saved_and_loaded_loss_gives_the_same_value(make):
    loss = make(8, 5)
    for _ in range(3):
        loss(torch.randn(7, 8), torch.randint(5, (7,)))
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    loaded = make(8, 5)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    unpickled = pickle.loads(pickle.dumps(loss))
    embedding, target = torch.randn(7, 8), torch.randint(5, (7,))
    for twin in (loaded, unpickled):
        assert torch.equal(twin.logits(embedding), loss.logits(embedding))
    assert value(loaded, embedding, target) == value(unpickled, embedding, target) == value(loss, embedding, target)


@each_loss
@pytest.mark.parametrize("n_classes", [1, 2, 5])
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_value_and_gradient_are_finite_at_the_edges(make, n_classes, soft):
    loss = make(8, n_classes)
    centers = loss.state_dict().get("weight", loss.state_dict().get("loss.weight", torch.randn(n_classes, 8)))
    embedding = torch.cat([centers, -centers, 1e4 * centers]).requires_grad_()  # parallel and antiparallel
    target = torch.arange(len(embedding)) % n_classes
    target = soft_targets(len(embedding), n_classes) if soft else target
    for _ in range(3):
        found = loss(embedding, target)
        found.backward()
    assert found.isfinite()
    assert embedding.grad.isfinite().all()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in loss.parameters())


@each_loss
def test_training_lowers_the_loss(make):
    loss = make(8, 3)
    embedding = torch.randn(30, 8, requires_grad=True)
    target = torch.arange(30) % 3
    optimizer = torch.optim.Adam([embedding, *loss.parameters()], lr=0.05)
    before = (loss.logits(embedding).argmax(dim=1) == target).float().mean()
    for _ in range(100):
        optimizer.zero_grad()
        loss(embedding, target).backward()
        optimizer.step()
    assert before < 0.9 < (loss.logits(embedding).argmax(dim=1) == target).float().mean()


@each_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_is_safe(make, dtype):
    loss = make(64, 5)
    embedding, target = torch.randn(16, 64).to(dtype), torch.randint(5, (16,))
    exact = value(copy.deepcopy(loss), embedding.float(), target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = value(loss, embedding, target)
        assert loss.logits(embedding).dtype == torch.float32
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact)


@each_loss
@pytest.mark.parametrize(
    ("embedding", "target", "message"),
    [
        (torch.zeros(3, 7), torch.zeros(3, dtype=torch.int64), r"\(batch, 8\).*\(3, 7\)"),
        (torch.zeros(3, 8, 2), torch.zeros(3, dtype=torch.int64), r"\(3, 8, 2\)"),
        (torch.zeros(3, 8), torch.zeros(4, dtype=torch.int64), r"\(3,\).*torch\.int64.*\(4,\)"),
        (torch.zeros(3, 8), torch.zeros(3, 4), r"\(3, 5\).*torch\.float32.*\(3, 4\)"),
        (torch.zeros(3, 8), torch.zeros(3), r"torch\.float32.*\(3,\)"),
    ],
)
def test_wrong_shapes_are_named(make, embedding, target, message):
    with pytest.raises(ValueError, match=message):
        make(8, 5)(embedding, target)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SoftmaxLoss(8, 0), "n_classes must be a whole number of at least 1; got 0"),
        (lambda: SoftmaxLoss(8.0, 2), "embedding_size must be a whole number of at least 1; got 8.0"),
        (lambda: ArcFaceLoss(8, 2, margin=-0.1), r"margin .*radians.*-0\.1"),
        (lambda: ArcFaceLoss(8, 2, margin=28.6), r"margin .*radians.*28\.6"),
        (lambda: ArcFaceLoss(8, 2, scale=0), "scale .*got 0"),
        (lambda: SubclusterAdaCosLoss(8, 2, n_subclusters=0), "n_subclusters .*0"),
        (lambda: FocalLoss(8, 2, gamma=-1), "gamma .*-1"),
        (lambda: FocalLoss(8, 2, alpha=[1.0, 2.0, 3.0]), "alpha .* 2 "),
        (lambda: FocalLoss(8, 2, alpha=-1.0), r"alpha .*-1\.0"),
        (lambda: MultiTargetLoss(8, 6), r"n_classes .*got 6"),
        (lambda: MultiTargetLoss(8, ()), r"n_classes .*\(\)"),
        (lambda: AdaProjLoss(8, 2, subspace_size=0), "subspace_size .*0"),
        (lambda: AdaProjLoss(8, 2, initial_scale=0.0), r"initial_scale .*0\.0"),
        (lambda: AdaProjLoss(8, 2, initial_scale="subclusters"), "initial_scale .*'subclusters'"),
        (lambda: SubspaceLoss(8, 2, branch_sizes=(4, 2)), r"branch_sizes .*8.*\(4, 2\)"),
        (lambda: FeatureExchangeLoss(8, 2, branch_sizes=(8, 8)), r"branch_sizes .*8.*\(8, 8\)"),
    ],
)
def test_wrong_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_targets_that_do_not_match_the_heads_are_named():
    with pytest.raises(ValueError, match=r"2 targets.* 1"):
        MultiTargetLoss(8, (6, 39))(torch.zeros(3, 8), [torch.zeros(3, dtype=torch.int64)])


def test_focal_loss_refuses_a_loss_with_several_heads():
    with pytest.raises(TypeError, match=r"ClassificationLoss.*SubspaceLoss"):
        FocalLoss(8, 2, loss=SubspaceLoss, loss_params={"branch_sizes": (4, 4)})


def test_a_loss_without_logits_says_what_is_missing():
    with pytest.raises(NotImplementedError, match=r"ClassificationLoss .*logits"):
        ClassificationLoss(8, 2)(torch.zeros(3, 8), torch.zeros(3, dtype=torch.int64))
