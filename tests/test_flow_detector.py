import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm
from zuko.distributions import DiagNormal
from zuko.lazy import Flow, UnconditionalDistribution
from zuko.nn import MaskedMLP

from skasd.clips import Clips
from skasd.detectors import FlowDetector
from skasd.detectors._flow import AutoregressiveStep, SectionFlow

TRAINING = {
    "max_epochs": 30,
    "lr": 0.01,
    "lr_schedule": "cosine",
    "validation_fraction": 0.0,
    "device": "cpu",
    "random_state": 0,
}


def make_flow(n_features=4, n_sections=2, transforms=3, hidden_features=(16,)):
    """A flow with weights that are far from those of the identity."""
    varies = np.ones(n_features, dtype=bool)
    flow = SectionFlow(
        np.arange(n_features) - 1.0, np.arange(n_features) + 0.5, varies, n_sections, transforms, hidden_features
    )
    generator = torch.Generator().manual_seed(0)
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=generator)
    return flow.double()


# The density, whatever the weights are


@pytest.mark.parametrize("transforms", [1, 2, 5])
@pytest.mark.parametrize("n_features", [1, 2, 6])
def test_log_likelihood_is_that_of_zuko_on_the_same_network(transforms, n_features):
    flow = make_flow(n_features, transforms=transforms)
    x, section = torch.randn(7, n_features, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 0, 1, 0])
    zeros, ones = torch.zeros(n_features, dtype=torch.float64), torch.ones(n_features, dtype=torch.float64)
    oracle = Flow(flow.transform, UnconditionalDistribution(DiagNormal, zeros, ones, buffer=True))
    context = torch.nn.functional.one_hot(section, 2).double()
    wanted = oracle(context).log_prob((x - flow.mean) / flow.scale) - flow.scale.log().sum()
    torch.testing.assert_close(flow.log_prob(x, section), wanted)
    torch.testing.assert_close(flow(x, section), -wanted)


@pytest.mark.parametrize("transforms", [1, 4])
def test_log_likelihood_is_that_of_the_jacobian(transforms):
    flow = make_flow(5, transforms=transforms)
    x, section = torch.randn(5, dtype=torch.float64), torch.tensor([1])

    def base(x):
        context = torch.nn.functional.one_hot(section, 2).double()
        return flow.transform(context)(((x - flow.mean) / flow.scale)[None])[0]

    _, volume = torch.linalg.slogdet(torch.autograd.functional.jacobian(base, x))
    wanted = norm.logpdf(base(x).detach().numpy()).sum() + volume.item()
    assert flow.log_prob(x[None], section).item() == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("transforms", [1, 3])
def test_density_integrates_to_one(transforms):
    flow = make_flow(2, transforms=transforms)
    grid = torch.linspace(-25, 25, 1001, dtype=torch.float64)
    points = torch.cartesian_prod(grid, grid)
    with torch.no_grad():
        density = flow.log_prob(points, torch.ones(len(points), dtype=torch.int64)).exp()
    assert density.sum().item() * 0.05**2 == pytest.approx(1, abs=1e-3)


def test_transform_can_be_inverted():
    flow = make_flow(5)
    x, context = torch.randn(6, 5, dtype=torch.float64), torch.eye(2, dtype=torch.float64)[[0, 1] * 3]
    transform = flow.transform(context)
    torch.testing.assert_close(transform.inv(transform(x)), x)


# Who sees whom


@pytest.mark.parametrize("hidden_features", [(100,), (100, 50), (1000,)])
@pytest.mark.parametrize("reverse", [False, True])
def test_every_feature_sees_all_its_parents_and_no_other(hidden_features, reverse):
    order = torch.arange(640)
    order = order.flip(0) if reverse else order
    step = AutoregressiveStep(order, 3, hidden_features).double()
    for parameter in step.parameters():
        torch.nn.init.normal_(parameter)

    def shifts_and_scales(inputs):
        transform = step(inputs[640:]).meta(inputs[:640])
        return torch.stack([transform.base.shift, transform.base.scale])

    jacobian = torch.func.jacrev(shifts_and_scales)(torch.randn(643, dtype=torch.float64))
    allowed = torch.cat([order[:, None] > order, torch.ones(640, 3, dtype=torch.bool)], dim=1)
    assert torch.equal((jacobian != 0).any(dim=0), allowed)


@pytest.mark.parametrize("hidden_features", [(8,), (8, 6), (8, 6, 4)])
def test_a_flow_that_is_not_trained_is_a_gaussian(hidden_features):
    mean, scale = np.array([1.0, -2.0, 0.0]), np.array([0.5, 2.0, 3.0])
    flow = SectionFlow(mean, scale, np.ones(3, dtype=bool), 2, 3, hidden_features).double()
    x = np.random.default_rng(0).normal(size=(7, 3))
    found = flow.log_prob(torch.from_numpy(x), torch.tensor([0, 1, 1, 0, 0, 1, 0])).detach()
    np.testing.assert_allclose(found, norm(mean, scale).logpdf(x).sum(axis=1))
    assert flow.gaussian_entropy() == pytest.approx(norm(mean, scale).entropy().sum())


@pytest.mark.parametrize(("transforms", "sees"), [(1, np.tri(4)), (2, np.ones((4, 4)))])
def test_features_come_in_their_order_and_then_in_the_opposite_order(transforms, sees):
    flow, context = make_flow(4, transforms=transforms), torch.eye(2, dtype=torch.float64)[0]
    jacobian = torch.func.jacrev(flow.transform(context))(torch.randn(4, dtype=torch.float64)).detach()
    np.testing.assert_array_equal(jacobian != 0, sees.astype(bool))


def test_the_section_may_be_left_out_where_there_is_one():
    x, flow = torch.randn(7, 4, dtype=torch.float64), make_flow(n_sections=1)
    torch.testing.assert_close(flow(x), -flow.log_prob(x, torch.zeros(7, dtype=torch.int64)))
    with pytest.raises(ValueError, match="2 sections"):
        make_flow(n_sections=2)(x)


def seen_through(layers):
    """Number of inputs that each output sees through these layers."""
    seen = torch.eye(640)
    for layer in list(layers)[::2]:
        seen = layer.mask.float() @ seen
    return (seen[::2] > 0).sum(dim=1)


def test_hidden_units_end_evenly_along_the_features():
    missing = torch.arange(640) - seen_through(AutoregressiveStep(torch.arange(640), 0, (100,)).hidden)
    assert missing.min() == 0
    assert missing.max() == 6  # 100 units from 0 to 639 are 6.45 apart


def test_the_network_that_was_replaced_has_the_trap():
    below = torch.arange(640)[:, None] > torch.arange(640)
    assert seen_through(MaskedMLP(below.repeat_interleave(2, dim=0), hidden_features=(100,))).max() == 100


# Densities with a known answer


def gaussian(n, rng):
    mean, root = np.array([5.0, -60, 0]), np.array([[1.0, 0, 0], [0.5, 8, 0], [-1, 0.3, 0.1]])
    X = mean + rng.normal(size=(n, 3)) @ root.T
    truth = multivariate_normal(mean, root @ root.T)
    return X, truth.logpdf(X), truth.entropy()


def banana(n, rng):
    x = rng.normal(size=(n, 2)) * [2.0, 0.5]
    log_density = norm.logpdf(x, scale=[2.0, 0.5]).sum(axis=1)
    return x + np.array([0.0, 0.5]) * x[:, :1] ** 2, log_density, norm.entropy(scale=[2.0, 0.5]).sum()


@pytest.mark.parametrize("transforms", [1, 2, 5])
@pytest.mark.parametrize("density", [gaussian, banana])
def test_a_known_density_is_learnt_to_its_entropy(density, transforms):
    rng = np.random.default_rng(0)
    (X, _, entropy), (test, wanted, _) = density(4000, rng), density(4000, rng)
    detector = FlowDetector(transforms=transforms, hidden_features=(32,), **TRAINING).fit(X)
    scores = detector.score_samples(test)
    assert 0 < wanted.mean() - scores.mean() < 0.08  # the Kullback-Leibler divergence, in nats
    assert scores.mean() == pytest.approx(-entropy, abs=0.12)
    assert np.corrcoef(scores, wanted)[0, 1] > 0.9


def test_a_mixture_is_learnt_section_by_section():
    def draw(seed):
        rng = np.random.default_rng(seed)
        number = np.arange(6000) % 3
        x = rng.normal(size=(6000, 2))
        x[:, 1] += np.array([-2.0, 0.0, 2.0])[number] * x[:, 0]
        log_density = norm.logpdf(rng.normal(size=0)).sum() + norm.logpdf(x[:, 0])
        log_density += norm.logpdf(x[:, 1] - np.array([-2.0, 0.0, 2.0])[number] * x[:, 0])
        scale, mean = np.array([0.1, 1.0, 10.0])[number], np.array([0.0, 10.0, -10.0])[number]
        X = np.stack([mean + scale * x[:, 0], x[:, 1]], axis=1)
        return Clips(embedding=X, section=np.array(["00", "01", "04"])[number]), log_density - np.log(scale)

    (clips, _), (test, wanted) = draw(0), draw(1)
    detector = FlowDetector(transforms=2, hidden_features=(32,), **TRAINING).fit(clips)
    assert detector.sections_.tolist() == ["00", "01", "04"]
    scores = detector.score_samples(test)
    for section in detector.sections_:
        rows = test["section"] == section
        assert scores[rows].mean() == pytest.approx(wanted[rows].mean(), abs=0.06)
    swapped = test.with_fields(section=np.roll(test["section"], 1))
    assert detector.score_samples(swapped).mean() < scores.mean() - 5


def test_two_humps_need_more_than_one_step():
    def draw(n, seed):
        rng = np.random.default_rng(seed)
        return np.stack([rng.choice([-4.0, 4.0], n) + rng.normal(size=n), rng.normal(size=n)], axis=1)

    X, test = draw(4000, 0), draw(4000, 1)
    truth = np.logaddexp(norm.logpdf(test[:, 0] - 4), norm.logpdf(test[:, 0] + 4)) - np.log(2) + norm.logpdf(test[:, 1])
    one, many = (
        FlowDetector(transforms=transforms, hidden_features=(32,), **TRAINING).fit(X).score_samples(test).mean()
        for transforms in (1, 5)
    )
    assert one < truth.mean() - 0.5  # a step is Gaussian in the first feature
    assert truth.mean() - 0.2 < many < truth.mean()


# What the data do to it


def test_the_unit_of_the_embedding_shifts_the_score_by_its_logarithm():
    X = np.random.default_rng(0).normal(size=(200, 3)) @ np.array([[1.0, 1, 0], [0, 1, 0], [0, 0, 3]])
    params = TRAINING | {"max_epochs": 3, "transforms": 2}
    scores = FlowDetector(**params).fit(X).score_samples(X)
    factor = np.array([0.125, 4.0, 1024.0])  # powers of two, so that nothing is rounded otherwise
    scaled = FlowDetector(**params).fit(X * factor).score_samples(X * factor)
    np.testing.assert_allclose(scaled, scores - np.log(factor).sum(), rtol=1e-5, atol=1e-5)


def test_features_that_never_vary_are_left_out():
    X = np.random.default_rng(0).normal(size=(200, 3))
    params = TRAINING | {"max_epochs": 3, "transforms": 2}
    wanted = FlowDetector(**params).fit(X).score_samples(X)
    wide = np.insert(X, [0, 2], [-80.0, 0.1], axis=1)
    detector = FlowDetector(**params).fit(wide)
    assert detector.network_.features.tolist() == [1, 2, 4]
    np.testing.assert_allclose(detector.score_samples(wide), wanted, rtol=1e-12)
    with pytest.raises(ValueError, match="the same"):
        FlowDetector().fit(np.full((5, 2), 3.0))


def test_one_feature_is_a_gaussian():
    X = np.random.default_rng(0).normal(3, 2, size=(2000, 1))
    scores = FlowDetector(transforms=1, **TRAINING).fit(X).score_samples(X)
    np.testing.assert_allclose(scores, norm(X.mean(), X.std()).logpdf(X[:, 0]), atol=0.05)


def test_wide_windows_with_outliers_stay_finite():
    rng = np.random.default_rng(0)
    X = rng.standard_t(2, size=(300, 200)).astype(np.float32).cumsum(axis=1)  # neighbours alike, heavy tails
    X[:, 50] = X[:, 49]  # no density on its own
    detector = FlowDetector(max_epochs=5, batch_size=64, validation_fraction=0.0, device="cpu", random_state=0).fit(X)
    assert detector.history_[-1]["train_loss"] < detector.network_.gaussian_entropy()
    assert np.isfinite(detector.score_samples(1000 * X)).all()
    assert detector.score_samples(1000 * X).max() < detector.score_samples(X).min()
