"""Augmentation: laws that all obey, answers worked by hand, audiomentations as oracle."""

import pickle
import random
import re
import sys
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skasd import augmentation
from skasd.augmentation import (
    Augmentation,
    Batch,
    FeatureExchange,
    Mixup,
    SevenBandParametricEQ,
    SpecAugment,
    StatisticsExchange,
)
from skasd.clips import Clips

needs_audiomentations = pytest.mark.skipif(find_spec("audiomentations") is None, reason="extra augment not installed")
AUGMENTATIONS = {
    "mixup": Mixup(),
    "mixup-target": Mixup(alpha=1.0, probability=0.8, target_share=0.5),
    "mixup-half": Mixup(alpha=1.0, probability=0.5),
    "statistics-exchange": StatisticsExchange(),
    "feature-exchange": FeatureExchange(branch_sizes=(2, 4, 3)),
    "spec-augment-default": SpecAugment(),
    "spec-augment": SpecAugment(freq_mask=4, time_mask=20),
    "spec-augment-frequency": SpecAugment(freq_mask=4, n_time_masks=0, fill=-80.0),
    "spec-augment-time": SpecAugment(time_mask=20, n_freq_masks=0),
    "equalizer": SevenBandParametricEQ(sample_rate=16000),
    "equalizer-new-class": SevenBandParametricEQ(sample_rate=16000, new_class=True, probability=0.7),
}
PARAMETERS = [
    pytest.param(value, id=name, marks=[needs_audiomentations] if "equalizer" in name else [])
    for name, value in AUGMENTATIONS.items()
]
each_augmentation = pytest.mark.parametrize("augment", PARAMETERS)
each_device = pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make_batch(augment, n_clips=12, dtype=torch.float32, device="cpu"):
    shape = {"waveform": (1600,), "embedding": (9,)}.get(augment.works_on, (16, 40))
    rows = torch.arange(n_clips, device=device)
    x = 0.1 * torch.randn(n_clips, *shape, generator=seeded(1)).to(device, dtype)
    return Batch.from_labels(x, (rows % 6, rows % 4), (6, 4), domain=(rows < 3).long())


def assert_same(left, right):
    for ours, theirs in zip((left.x, *left.targets), (right.x, *right.targets), strict=True):
        assert torch.equal(ours, theirs)


# -------------------------------------------------------------------------------------------------------------- laws


def test_every_public_augmentation_obeys_the_laws():
    public = {getattr(augmentation, name) for name in augmentation.__all__} - {Augmentation, Batch}
    assert {type(augment) for augment in AUGMENTATIONS.values()} == public


@each_augmentation
@each_device
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shape_dtype_and_device_stay(augment, device, dtype):
    batch = make_batch(augment, dtype=dtype, device=device)
    augmented = augment(batch, seeded())
    assert (augmented.x.shape, augmented.x.dtype, augmented.x.device) == (batch.x.shape, dtype, batch.x.device)
    assert augmented.x.isfinite().all()
    assert not torch.equal(augmented.x, batch.x)


@each_augmentation
def test_targets_stay_soft_and_have_the_announced_classes(augment):
    augmented = augment(make_batch(augment), seeded())
    assert tuple(target.shape[1] for target in augmented.targets) == augment.n_classes((6, 4))
    for target in augmented.targets:
        torch.testing.assert_close(target.sum(dim=1), torch.ones(12))
        assert (target >= 0).all()


@each_augmentation
def test_same_seed_same_result(augment):
    batch, generator = make_batch(augment), seeded(7)
    first = augment(batch, generator)
    for twin in (augment, clone(augment), pickle.loads(pickle.dumps(augment))):
        params = twin.draw(batch, seeded(7))
        assert all(value.device.type == "cpu" for value in params.values())
        for result in (twin.apply(batch, params), twin.apply(batch, params), twin(batch, seeded(7))):
            assert_same(result, first)
    for other in (generator, seeded(8)):
        assert not torch.equal(augment(batch, other).x, first.x)


@each_augmentation
def test_the_input_stays_as_it_is(augment):
    batch = make_batch(augment)
    copy = Batch(batch.x.clone(), tuple(target.clone() for target in batch.targets), batch.domain)
    augment(batch, seeded())
    assert_same(batch, copy)


@each_augmentation
def test_global_randomness_is_neither_used_nor_moved(augment):
    batch = make_batch(augment)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    first = augment(batch, seeded())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]
    random.random(), np.random.random(), torch.rand(1)
    assert_same(first, augment(batch, seeded()))


@each_augmentation
def test_row_i_is_still_clip_i(augment):
    if isinstance(augment, SpecAugment):
        augment = clone(augment).set_params(fill=-80.0)  # the mean would be that of all clips
    batch = make_batch(augment)
    params = augment.draw(batch, seeded())
    other = batch._replace(x=batch.x.clone())
    other.x[5] += 0.05
    changed = (augment.apply(batch, params).x != augment.apply(other, params).x).flatten(1).any(dim=1)
    partners = params.get("partners", params.get("partner", torch.empty(0, len(batch.x)))).view(-1, len(batch.x))
    expected = {5, *(partners == 5).any(dim=0).nonzero().ravel().tolist()}
    assert set(changed.nonzero().ravel().tolist()) <= expected
    assert torch.equal(augment.apply(batch, params).domain, batch.domain)


@each_augmentation
def test_with_probability_0_nothing_changes(augment):
    batch = make_batch(augment)
    augmented = clone(augment).set_params(probability=0.0)(batch, seeded())
    assert torch.equal(augmented.x, batch.x)
    assert torch.equal(augmented.targets[0][:, :6], batch.targets[0])


@each_augmentation
def test_a_single_clip(augment):
    batch = make_batch(augment, n_clips=1)
    assert augment(batch, seeded()).x.shape == batch.x.shape


@each_augmentation
def test_whole_numbers_are_refused(augment):
    batch = make_batch(augment)._replace(x=torch.zeros(12, 1600, dtype=torch.int16))
    with pytest.raises(TypeError, match=r"torch\.int16.*32768"):
        augment.draw(batch, seeded())


@each_augmentation
def test_other_shapes_are_refused(augment):
    if augment.works_on != "any":
        shape = (5, 3, 4) if augment.works_on == "waveform" else (5, 1600)
        with pytest.raises(ValueError, match=rf"{type(augment).__name__} wants .*got .*{re.escape(str(shape))}"):
            augment.draw(Batch(torch.zeros(shape), ()), seeded())


@each_augmentation
def test_clips_that_hold_nothing_are_refused(augment):
    batch = make_batch(augment)
    with pytest.raises(ValueError, match=rf"{type(augment).__name__} was given clips that hold nothing"):
        augment.draw(batch._replace(x=batch.x[..., :0]), seeded())


@each_augmentation
@pytest.mark.parametrize("target", [torch.arange(12), torch.ones(12), torch.ones(12, 6, dtype=torch.int64)])
def test_targets_that_are_not_soft_are_refused(augment, target):
    batch = make_batch(augment)._replace(targets=(target,))
    if isinstance(augment, SpecAugment) or not getattr(augment, "new_class", True):
        assert augment(batch, seeded()).targets == (target,)
        return
    with pytest.raises(TypeError, match=rf"{type(augment).__name__} wants soft targets .*{target.dtype}"):
        augment(batch, seeded())


def test_seeds_are_of_32_bits():
    drawn = {Mixup().draw(Batch(torch.zeros(1, 1), ()), seeded(seed))["weight"].item() for seed in range(200)}
    assert len(drawn) == 200


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (Mixup(alpha=0), "'alpha' .* Mixup"),
        (Mixup(target_share=1.5), "'target_share' .* Mixup"),
        (SpecAugment(time_mask=-1), "'time_mask' .* SpecAugment"),
        (SpecAugment(fill="zero"), "'fill' .* SpecAugment"),
        (SevenBandParametricEQ(sample_rate=0), "'sample_rate' .* SevenBandParametricEQ"),
        (SevenBandParametricEQ(sample_rate=16000, min_gain_db=3, max_gain_db=1), "min_gain_db=3.*max_gain_db=1"),
        (SpecAugment(time_mask=1.5), "'time_mask' .* SpecAugment"),
        (SpecAugment(freq_mask=27.0), "'freq_mask' .* SpecAugment"),
        (StatisticsExchange(probability=2), "'probability' .* StatisticsExchange"),
        (FeatureExchange(branch_sizes=9), "'branch_sizes' .* FeatureExchange"),
        (FeatureExchange(branch_sizes=(9,)), r"branch_sizes=\(9,\).*\(12, 9\)"),
        (FeatureExchange(branch_sizes=(4, 4)), r"branch_sizes=\(4, 4\).*\(12, 9\)"),
    ],
)
def test_wrong_parameters_are_named(augment, message):
    with pytest.raises(ValueError, match=message):
        augment.draw(make_batch(augment), seeded())


def test_the_base_says_what_is_missing():
    with pytest.raises(NotImplementedError, match=r"Augmentation .*draw\(batch, generator\)"):
        Augmentation()(make_batch(Augmentation()), seeded())
    with pytest.raises(NotImplementedError, match=r"Augmentation .*apply\(batch, params\)"):
        Augmentation().apply(make_batch(Augmentation()), {})


def test_batch_from_labels():
    batch = Batch.from_labels(torch.zeros(2, 4), (torch.tensor([2, 0]), torch.tensor([0, 1])), (3, 2))
    assert batch.targets[0].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert batch.targets[1].tolist() == [[1, 0], [0, 1]]
    assert batch.domain is None


# ---------------------------------------------------------------------------------------------------- mixup, batches


def test_mixup_by_hand():
    batch = Batch(torch.tensor([[0.0, 8.0], [4.0, 0.0]]), (torch.eye(2),))
    mixed = Mixup().apply(batch, {"partner": torch.tensor([1, 0]), "weight": torch.tensor([0.75, 0.5])})
    assert mixed.x.tolist() == [[1.0, 6.0], [2.0, 4.0]]
    assert mixed.targets[0].tolist() == [[0.75, 0.25], [0.5, 0.5]]


def test_mixup_mixes_inputs_and_targets_alike():
    batch = make_batch(Mixup())
    sound_of_class = torch.randn(6, 50, generator=seeded())
    mixed = Mixup()(batch._replace(x=batch.targets[0] @ sound_of_class), seeded())
    torch.testing.assert_close(mixed.x, mixed.targets[0] @ sound_of_class)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_mixup_weights_follow_the_beta_distribution(alpha):
    batch = Batch(torch.zeros(4000, 1), ())
    weight = Mixup(alpha=alpha).draw(batch, seeded())["weight"].numpy()
    assert kstest(weight, beta(alpha, alpha).cdf).pvalue > 0.001


def test_mixup_probability():
    weight = Mixup(probability=0.3).draw(Batch(torch.zeros(4000, 1), ()), seeded())["weight"]
    assert (weight < 1).double().mean().item() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(("share", "expected"), [(None, 0.01), (0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_mixup_favours_the_target_domain(share, expected):
    domain = torch.zeros(4000, dtype=torch.int64)
    domain[:40] = 1
    domain[40:80] = -1  # unknown counts as not target
    partner = Mixup(target_share=share).draw(Batch(torch.zeros(4000, 1), (), domain), seeded())["partner"]
    assert (partner < 40).double().mean().item() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("only", [0, 1])
def test_mixup_takes_what_there_is_where_a_domain_is_missing(only):
    batch = Batch(torch.zeros(50, 1), (), torch.full((50,), only))
    partner = Mixup(target_share=0.5).draw(batch, seeded())["partner"]
    assert sorted(partner.tolist()) == list(range(50))


# ------------------------------------------------------------------------------------------------ mixup, transformer


def make_clips(n_clips=60, **fields):
    """Each clip's embedding and waveform say which clips are in it, and how loud."""
    rows = np.arange(n_clips)
    return Clips(
        path=[f"{row}.wav" for row in rows],
        waveform=np.eye(n_clips, dtype=np.float32),
        embedding=np.eye(n_clips),
        section=np.array(["00", "01", "02"])[rows % 3],
        **fields,
    )


def parts(mixed):
    """The clips that are in each clip."""
    return [np.flatnonzero(row) for row in mixed["embedding"]]


def test_transform_gives_clips_back():
    clips = make_clips()
    mixup = Mixup().fit(clips)
    assert mixup.transform(clips) is clips
    array = np.arange(12.0).reshape(3, 4)
    mixup = Mixup().fit(array)
    given_back = mixup.transform(array.tolist())
    assert isinstance(given_back, np.ndarray) and np.array_equal(given_back, array)
    for wrong, message in (
        (array[:, 1:], "3 features"),
        (np.full((3, 4), np.nan), "NaN"),
        (array.astype("U"), "numeric"),
    ):
        with pytest.raises(ValueError, match=message):
            mixup.transform(wrong)
    assert Mixup().fit(clips).n_features_in_ == clips["waveform"].shape[1]


def test_fit_transform_mixes_every_sound_field_with_the_same_weights():
    mixed = Mixup(random_state=0).fit_transform(make_clips())
    assert sum(len(part) == 2 for part in parts(mixed)) > 40
    np.testing.assert_allclose(mixed["embedding"].sum(axis=1), 1)
    np.testing.assert_allclose(mixed["waveform"], mixed["embedding"], rtol=1e-6)
    assert (mixed["waveform"].dtype, mixed["embedding"].dtype) == (np.float32, np.float64)


def test_fit_transform_keeps_the_fields_of_the_louder_clip():
    mixed = Mixup(random_state=0, alpha=1.0).fit_transform(make_clips())
    louder = mixed["embedding"].argmax(axis=1)
    assert mixed["path"].tolist() == [f"{row}.wav" for row in louder]
    assert (louder != np.arange(60)).any()


def test_partners_have_the_same_machine_section_label_and_y():
    rows = np.arange(60)
    machine, label, y = np.where(rows < 30, "fan", "valve"), (rows % 5 > 0).astype(int), rows % 2
    clips = make_clips(machine=machine, label=label)
    for part in parts(Mixup(random_state=0).fit_transform(clips, y)):
        for values in (machine, label, y, clips["section"]):
            assert len(set(values[part])) == 1


@pytest.mark.parametrize("how", ["y", "label"])
def test_anomalies_are_neither_mixed_nor_partners(how):
    label = np.where(np.arange(60) % 4 == 0, -1, 1)
    clips = make_clips(**({"label": label} if how == "label" else {}))
    mixed = Mixup(random_state=0).fit_transform(clips, label if how == "y" else None)
    assert np.array_equal(mixed["embedding"][label == -1], clips["embedding"][label == -1])
    assert not mixed["embedding"][label == 1][:, label == -1].any()


@pytest.mark.parametrize("y", [np.arange(60) % 2, np.where(np.arange(60) % 2, "on", "off"), None])
def test_plain_arrays(y):
    mixed = Mixup(random_state=0).fit_transform(np.eye(60), y)
    assert isinstance(mixed, np.ndarray)
    assert (np.count_nonzero(mixed, axis=1) == 2).sum() > 40
    if y is not None:
        assert all(len(set(y[np.flatnonzero(row)])) == 1 for row in mixed)


def test_spectrograms_and_int16():
    spectrograms = np.random.RandomState(0).normal(size=(5, 4, 3)).astype(np.float32)
    assert Mixup(random_state=0).fit_transform(spectrograms).shape == (5, 4, 3)
    clips = Clips(waveform=np.array([[32767, -32768], [0, 1]], dtype=np.int16))
    mixup = Mixup(random_state=2, alpha=1.0)
    exact = mixup.fit_transform(clips["waveform"].astype(float))
    mixed = mixup.fit_transform(clips)["waveform"]
    assert mixed.dtype == np.int16
    assert np.array_equal(mixed, np.rint(exact))
    assert not np.array_equal(mixed, clips["waveform"])


def test_fit_transform_favours_the_target_domain():
    domain = np.where(np.arange(60) < 6, "target", "source")
    mixed = Mixup(random_state=0, target_share=1.0).fit_transform(make_clips(domain=domain))
    assert all((part < 6).any() for part in parts(mixed) if len(part) == 2)
    assert set(mixed["domain"]) == {"source", "target"}


def test_domains_are_needed_to_favour_one():
    mixup = Mixup(target_share=0.5)
    calls = [partial(mixup.fit_transform, X) for X in (make_clips(), np.eye(5))]
    for call in (*calls, partial(mixup.draw, Batch(torch.zeros(5, 1), ()), seeded())):
        with pytest.raises(ValueError, match=r"target_share=0\.5 .*'domain'"):
            call()


def test_fit_transform_is_repeatable_and_leaves_its_input_alone():
    clips = make_clips()
    first = Mixup(random_state=3).fit_transform(clips)
    assert np.array_equal(clips["embedding"], np.eye(60))
    assert np.array_equal(first["embedding"], Mixup(random_state=3).fit_transform(clips)["embedding"])
    assert not np.array_equal(first["embedding"], Mixup(random_state=4).fit_transform(clips)["embedding"])


def test_in_a_pipeline_only_the_training_data_are_mixed():
    X = np.random.RandomState(0).normal(size=(40, 3))
    pipeline = make_pipeline(Mixup(random_state=0), StandardScaler()).fit(X)
    scaler = StandardScaler().fit(Mixup(random_state=0).fit_transform(X))
    assert np.array_equal(pipeline.transform(X), scaler.transform(X))


def test_clips_without_sound_are_named():
    with pytest.raises(ValueError, match=r"Mixup .*'waveform' or 'log_mel'.*section"):
        Mixup().fit(Clips(section=["00"]))


# ------------------------------------------------------------------------------------------------------ spec augment


def masked(augment, n_clips=400, n_mels=32, n_frames=60, seed=0):
    """Which bands and frames are masked, each (n_clips, size)."""
    params = augment.draw(Batch(torch.zeros(n_clips, n_mels, n_frames), ()), seeded(seed))
    return params["bands"].numpy(), params["frames"].numpy()


def test_one_stripe_has_any_width_up_to_the_widest_at_any_place():
    bands, frames = masked(SpecAugment(freq_mask=5, n_freq_masks=1, time_mask=9, n_time_masks=1), n_clips=4000)
    for stripes, widest in ((bands, 5), (frames, 9)):
        widths = stripes.sum(axis=1)
        assert np.bincount(widths) / len(widths) == pytest.approx(np.full(widest + 1, 1 / (widest + 1)), abs=0.03)
        edges = np.diff(np.pad(stripes.astype(int), ((0, 0), (1, 1))), axis=1)
        assert ((edges == 1).sum(axis=1) <= 1).all()
        assert stripes.any(axis=0).all()


def test_several_stripes():
    bands, frames = masked(SpecAugment(freq_mask=3, n_freq_masks=2, time_mask=4, n_time_masks=3))
    assert bands.sum(axis=1).max() == 6
    assert 9 <= frames.sum(axis=1).max() <= 12


@pytest.mark.parametrize(("n_freq_masks", "n_time_masks"), [(0, 2), (2, 0), (0, 0)])
def test_one_kind_of_mask_only(n_freq_masks, n_time_masks):
    bands, frames = masked(SpecAugment(n_freq_masks=n_freq_masks, n_time_masks=n_time_masks))
    assert (bands.any(), frames.any()) == (n_freq_masks > 0, n_time_masks > 0)


def test_masks_are_limited_to_the_size_of_the_input():
    augment = SpecAugment(freq_mask=1000, n_freq_masks=1, time_mask=1000, n_time_masks=1)
    bands, frames = masked(augment, n_mels=4, n_frames=7)
    assert (bands.sum(axis=1).max(), frames.sum(axis=1).max()) == (4, 7)
    _, frames = masked(augment.set_params(max_time_share=0.2), n_frames=50)
    assert frames.sum(axis=1).max() == 10


def test_each_clip_has_masks_of_its_own():
    bands, _ = masked(SpecAugment(probability=0.5))
    assert len(np.unique(bands, axis=0)) > 50
    assert bands.any(axis=1).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 1, 3, 4), (2, 2, 3, 4)])
def test_spec_augment_by_hand(shape):
    x = torch.arange(float(np.prod(shape))).view(shape)
    params = {
        "bands": torch.tensor([[False, True, False], [False, False, False]]),
        "frames": torch.tensor([[True, False, False, False], [False, False, False, True]]),
    }
    expected, mean = x.clone(), x.mean(dim=(0, -1))  # of each band over the batch
    expected[0, ..., 1, :] = mean[..., 1, None]
    expected[0, ..., 0] = mean
    expected[1, ..., 3] = mean
    torch.testing.assert_close(SpecAugment().apply(Batch(x, ()), params).x, expected)
    quiet = SpecAugment(fill=-80.0).apply(Batch(x, ()), params).x
    assert (quiet[0, ..., 0] == -80).all() and (quiet == -80).sum() == (expected != x).sum()


@pytest.mark.parametrize("size", [(64, 79), (64, 94), (128, 32), (128, 313), (224, 313)])
def test_no_size_of_input_loses_more_than_a_third_by_default(size):
    bands, frames = masked(SpecAugment(), n_clips=2000, n_mels=size[0], n_frames=size[1])
    share = 1 - (~bands).mean(axis=1) * (~frames).mean(axis=1)  # of each clip
    assert 0.1 < share.mean() < 1 / 3
    assert share.max() < 0.5


def test_widths_are_shares_as_floats_and_counts_as_ints():
    wide, narrow = SpecAugment(time_mask=1.0, freq_mask=0.25), SpecAugment(time_mask=1, freq_mask=2)
    bands, frames = (each.sum(axis=1).max() for each in masked(wide.set_params(n_time_masks=1, n_freq_masks=1)))
    assert (bands, frames) == (8, 60)
    bands, frames = (each.sum(axis=1).max() for each in masked(narrow.set_params(n_time_masks=1, n_freq_masks=1)))
    assert (bands, frames) == (2, 1)


# ---------------------------------------------------------------------------------------------------------- exchange


def test_feature_exchange_by_hand():
    """Three clips of the classes 0, 1 and a mixture; parts of 1, 2 and 1 numbers; the first clip stays as it is."""
    x = torch.tensor([[1.0, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]])
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    params = {"partners": torch.tensor([[1, 2, 0], [2, 0, 1]]), "exchanged": torch.tensor([False, True, True])}
    exchanged = FeatureExchange(branch_sizes=(1, 2, 1)).apply(Batch(x, (target,)), params)
    assert exchanged.x.tolist() == [[1, 1, 1, 1], [2, 3, 3, 1], [3, 1, 1, 2]]
    third, sixth = 1 / 3, 1 / 6
    expected = [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, third, sixth, sixth, third, 0],  # parts of clips 1, 2 and 0
        [0, 0, sixth, sixth, third, 0, 0, third],  # parts of clips 2, 0 and 1
    ]
    torch.testing.assert_close(exchanged.targets[0], torch.tensor(expected))


def test_feature_exchange_permutes_each_part_by_itself():
    augment = FeatureExchange(branch_sizes=(1, 1, 1), probability=1.0)
    x = torch.arange(50.0)[:, None].expand(50, 3)
    exchanged = augment(Batch(x, ()), seeded()).x
    assert torch.equal(exchanged[:, 0], x[:, 0])
    for part in exchanged.T[1:]:
        assert torch.equal(part.sort().values, x[:, 0])
        assert not torch.equal(part, x[:, 0])
    assert not torch.equal(exchanged[:, 1], exchanged[:, 2])


@pytest.mark.parametrize("shape", [(2, 2, 4), (2, 1, 2, 4)])
def test_statistics_exchange_by_hand(shape):
    """The bands of the first clip get the mean and spread of those of the second, which stays as it is."""
    x = torch.tensor([[[1.0, 3, 1, 3], [5, 5, 5, 5]], [[0, 0, 8, 8], [-3, -1, -1, -3]]]).view(shape)
    params = {"partners": torch.tensor([[1, 0]]), "exchanged": torch.tensor([True, False])}
    exchanged = StatisticsExchange().apply(Batch(x, (torch.eye(2),)), params)
    assert exchanged.x.view(2, 2, 4).tolist() == [[[0, 8, 0, 8], [-2, -2, -2, -2]], x[1].view(2, 4).tolist()]
    assert exchanged.targets[0].tolist() == [[0, 0, 0.5, 0, 0, 0.5], [0, 1, 0, 0, 0, 0]]


def test_exchanged_clips_have_the_statistics_of_their_partners():
    batch = Batch(torch.randn(20, 4, 50, generator=seeded()) * 5 - 40, ())
    params = StatisticsExchange(probability=1.0).draw(batch, seeded())
    exchanged, (partner,) = StatisticsExchange().apply(batch, params).x, params["partners"]
    torch.testing.assert_close(exchanged.mean(dim=2), batch.x[partner].mean(dim=2))
    torch.testing.assert_close(exchanged.std(dim=2), batch.x[partner].std(dim=2))


@pytest.mark.parametrize("level", [0.0, -156.5, 1e-3])
def test_a_band_that_is_constant_but_for_rounding_becomes_the_mean_of_the_partner(level):
    x = torch.full((2, 1, 313), level)
    x[0, 0, ::7] *= 1 + 2e-7
    x[1] = torch.randn(313, generator=seeded())
    params = {"partners": torch.tensor([[1, 0]]), "exchanged": torch.tensor([True, True])}
    exchanged = StatisticsExchange().apply(Batch(x, ()), params).x
    torch.testing.assert_close(exchanged[0, 0], x[1, 0].mean().expand(313))
    assert exchanged[1].isfinite().all()


def test_gradients_through_a_constant_band_are_finite():
    x = torch.zeros(2, 1, 5, requires_grad=True)
    params = {"partners": torch.tensor([[1, 0]]), "exchanged": torch.tensor([True, True])}
    StatisticsExchange().apply(Batch(x, ()), params).x.sum().backward()
    assert x.grad.isfinite().all()


def test_exchanges_have_classes_of_their_own():
    assert FeatureExchange(branch_sizes=(128,) * 4).n_classes((6, 39)) == (30, 195)
    assert StatisticsExchange().n_classes((6, 39)) == (18, 117)


# --------------------------------------------------------------------------------------------------------- equalizer


@needs_audiomentations
def test_equalizer_is_that_of_audiomentations():
    from audiomentations import SevenBandParametricEQ as Oracle

    waveform = 0.1 * torch.randn(1, 8000, generator=seeded())
    oracle = Oracle(p=1.0)
    random_state = random.getstate(), np.random.get_state()
    random.seed(0), np.random.seed(0)
    expected = oracle(waveform[0].numpy(), 16000)
    random.setstate(random_state[0]), np.random.set_state(random_state[1])
    bands = [oracle.low_shelf_filter, *oracle.peaking_filters, oracle.high_shelf_filter]
    params = {
        name: torch.tensor([[band.parameters[name] for band in bands]], dtype=torch.float64)
        for name in ("center_freq", "gain_db", "q_factor")
    }
    equalized = SevenBandParametricEQ(sample_rate=16000).apply(
        Batch(waveform, ()), params | {"rows": torch.tensor([0])}
    )
    assert np.array_equal(equalized.x[0].numpy(), expected)
    assert not np.allclose(expected, waveform[0].numpy())


@needs_audiomentations
def test_equalizer_draws_the_published_ranges():
    batch = Batch(torch.zeros(4000, 10), ())
    params = SevenBandParametricEQ(sample_rate=48000, probability=0.5).draw(batch, seeded())
    assert len(params["rows"]) == pytest.approx(2000, abs=100)
    low, high = params["center_freq"].amin(dim=0), params["center_freq"].amax(dim=0)
    assert low.tolist() == pytest.approx([42, 91, 196, 421, 909, 1957, 4216], rel=0.01)
    assert high.tolist() == pytest.approx([95, 204, 441, 948, 2045, 4404, 9486], rel=0.01)
    assert kstest(params["gain_db"].ravel().numpy(), "uniform", args=(-12, 24)).pvalue > 0.001
    assert (params["q_factor"][:, [0, 6]] < 1).all() and (params["q_factor"][:, 1:6] >= 0.5).all()
    mel = 2595 * torch.log10(1 + params["center_freq"][:, 6] / 700)
    edges = 2595 * np.log10(1 + np.array([4216, 9486]) / 700)
    assert kstest(mel.numpy(), "uniform", args=(edges[0], np.diff(edges)[0])).pvalue > 0.001


@needs_audiomentations
@pytest.mark.parametrize("gain_db", [0.0, 6.0])
def test_equalizer_lifts_a_constant_by_the_gain_of_the_low_shelf(gain_db):
    equalizer = SevenBandParametricEQ(sample_rate=16000, min_gain_db=gain_db, max_gain_db=gain_db, probability=1.0)
    equalized = equalizer(Batch(torch.full((3, 1000), 0.1), ()), seeded())
    torch.testing.assert_close(equalized.x, torch.full((3, 1000), 0.1 * 10 ** (gain_db / 20)), rtol=1e-3, atol=0)


@needs_audiomentations
@pytest.mark.parametrize("sample_rate", [2000, 4000, 8000, 16000])
def test_equalizer_is_stable_where_a_centre_is_above_half_the_sample_rate(sample_rate):
    equalizer = SevenBandParametricEQ(sample_rate=sample_rate, probability=1.0)
    batch = Batch(0.1 * torch.randn(20, 4000, generator=seeded()), ())
    assert equalizer.draw(batch, seeded())["center_freq"].max() < sample_rate / 2
    assert equalizer(batch, seeded()).x.abs().max() < 20


@needs_audiomentations
def test_an_equalised_clip_is_a_new_class_of_the_first_target():
    equalizer = SevenBandParametricEQ(sample_rate=16000, new_class=True)
    batch = make_batch(equalizer)
    params = equalizer.draw(batch, seeded())
    equalized = equalizer.apply(batch, params)
    section = np.arange(12) % 6
    section[params["rows"]] += 6
    assert equalized.targets[0].argmax(dim=1).tolist() == section.tolist()
    assert 0 < len(params["rows"]) < 12
    assert torch.equal(equalized.targets[1], batch.targets[1])
    assert (equalizer.n_classes((6, 39)), SpecAugment().n_classes([6, 39])) == ((12, 39), (6, 39))
    untouched = np.delete(np.arange(12), params["rows"])
    assert torch.equal(equalized.x[untouched], batch.x[untouched])


def test_equalizer_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "audiomentations", None)
    with pytest.raises(ImportError, match=r"SevenBandParametricEQ .*pip install 'skasd\[augment\]'"):
        SevenBandParametricEQ(sample_rate=16000).draw(Batch(torch.zeros(5, 100), ()), seeded())


@pytest.mark.parametrize("dtype", ["bool", "complex64", "timedelta64[s]", object])
def test_mixup_mixes_numbers_alone(dtype):
    values = np.arange(8).reshape(4, 2).astype(dtype)
    with pytest.raises((ValueError, TypeError), match=r"Mixup|Complex"):
        Mixup(random_state=0).fit_transform(Clips(waveform=values))


def test_mixup_of_counts_is_not_rounded():
    counts = np.array([[0, 2**63], [2**64 - 1, 5], [7, 1], [0, 0]], dtype=np.uint64)
    mixed = Mixup(random_state=0).fit_transform(counts)
    np.testing.assert_allclose(mixed, Mixup(random_state=0).fit_transform(counts.astype(float)))


def test_statistics_are_exchanged_in_half_precision_as_in_single():
    x = torch.from_numpy(1e4 * np.random.default_rng(0).uniform(-1, 1, size=(6, 5, 12))).half()
    single, half = (
        StatisticsExchange(probability=1.0)(Batch(batch, (torch.eye(6),)), torch.Generator().manual_seed(0)).x
        for batch in (x.float(), x)
    )
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), single, rtol=2e-3, atol=1.0)


@pytest.mark.parametrize("shape", [(0, 5, 12), (0, 2, 5, 12)])
def test_masks_of_no_clips(shape):
    assert SpecAugment()(Batch(torch.zeros(shape), ()), torch.Generator().manual_seed(0)).x.shape == shape
