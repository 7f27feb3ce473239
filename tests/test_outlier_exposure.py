import pickle

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from torch import nn

from skasd.augmentation import Augmentation
from skasd.clips import Clips
from skasd.detectors import OutlierExposureDetector
from skasd.embedders import ClassificationEmbedder
from skasd.losses import SoftmaxLoss

CLASSES = ("01", "03", ("augmented", 0), ("augmented", 1))


def make_clips(n_clips=60, n_windows=3, n_classes=4, seed=0, anomalous=False):
    """Sections 01 and 03, the first two columns; anomalies look like the other section."""
    rng = np.random.default_rng(seed)
    number = np.arange(n_clips) % 2
    logits = rng.normal(size=(n_clips, n_windows, n_classes))
    logits[np.arange(n_clips), :, 1 - number if anomalous else number] += 4
    return Clips(
        logits=logits,
        section=np.where(number, "03", "01"),
        domain=np.where(np.arange(n_clips) % 10 < 8, "source", "target"),
    ).with_attrs(classes=CLASSES[:n_classes], target="section")


def test_log_odds_by_hand():
    # p = 1/2, 1/4, 1/4: odds 1, 1/3 and 1/3
    logits = np.log([[2.0, 1.0, 1.0]] * 3)
    clips = Clips(logits=logits, section=["00", "01", "02"]).with_attrs(classes=["00", "01", "02"])
    others = clips.with_fields(logits=logits + np.eye(3))
    detector = OutlierExposureDetector().fit(clips + others)
    np.testing.assert_allclose(detector.score_samples(clips), np.log([1, 1 / 3, 1 / 3]), atol=1e-12)


def test_it_is_the_log_odds_of_the_softmax_averaged_over_windows():
    clips = make_clips()
    p = softmax(clips["logits"], axis=2)[np.arange(60), :, np.arange(60) % 2]
    scores = OutlierExposureDetector().fit(clips).score_samples(clips)
    np.testing.assert_allclose(scores, np.log(p / (1 - p)).mean(axis=1), rtol=1e-9)


def test_certain_classes_are_not_rounded():
    clips = Clips(logits=np.array([[800.0, 0.0], [1000.0, 0.0], [0.0, 900.0]], np.float32), section=["00"] * 3)
    clips = clips.with_attrs(classes=("00", "01"))
    np.testing.assert_array_equal(OutlierExposureDetector().fit(clips).score_samples(clips), [800.0, 1000.0, -900.0])


def test_columns_are_found_by_the_names_of_sections_and_further_ones_are_other_classes():
    detector = OutlierExposureDetector().fit(make_clips())
    assert detector.models_ == {"01": 0, "03": 1}
    equalised = make_clips(seed=1)
    moved = equalised["logits"][:, :, [2, 3, 0, 1]]  # the network takes them for equalised copies of their section
    normal, odd = detector.score_samples(equalised), detector.score_samples(equalised.with_fields(logits=moved))
    assert roc_auc_score(np.repeat([1, 0], 60), np.concatenate([normal, odd])) > 0.99


def test_clips_of_the_other_section_score_lower():
    detector = OutlierExposureDetector().fit(make_clips())
    normal, odd = make_clips(seed=1), make_clips(seed=2, anomalous=True)
    scores = np.concatenate([detector.score_samples(normal), detector.score_samples(odd)])
    assert roc_auc_score(np.repeat([1, 0], 60), scores) > 0.99
    assert (detector.predict(odd) == -1).mean() > 0.95
    assert (detector.predict(make_clips()) == -1).mean() == pytest.approx(0.1)


def test_anomalies_set_no_threshold_and_no_columns():
    clips = make_clips()
    odd = make_clips(seed=3, anomalous=True).with_fields(section=np.full(60, "00"))
    label = np.repeat([-1, 1], 60)
    wanted = OutlierExposureDetector().fit(clips)
    for fitted in (
        OutlierExposureDetector().fit(odd + clips, label),
        OutlierExposureDetector().fit((odd + clips).with_fields(label=label)),
    ):
        assert fitted.offset_ == wanted.offset_
        assert fitted.models_ == wanted.models_


def test_domain_order_and_saving_change_nothing():
    detector, test = OutlierExposureDetector().fit(make_clips()), make_clips(seed=1)
    scores = detector.score_samples(test)
    np.testing.assert_array_equal(detector.score_samples(test.without("domain")), scores)
    np.testing.assert_array_equal(detector.score_samples(test[::-1]), scores[::-1])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(detector)).score_samples(test), scores)


class BandEnergies(nn.Sequential):
    """A network of a user: what it hears is how loud each band is."""

    def __init__(self):
        super().__init__(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.BatchNorm1d(8), nn.Linear(8, 8))


def test_with_an_embedder_it_finds_clips_that_sound_like_another_section():
    def make(n_clips, seed, shift):
        rng = np.random.default_rng(seed)
        log_mel = rng.normal(size=(n_clips, 8, 12)).astype(np.float32)
        number = np.arange(n_clips) % 3
        log_mel[np.arange(n_clips), (number + shift) % 3] += 3
        return Clips(log_mel=log_mel, section=np.array(["00", "01", "02"])[number])

    embedder = ClassificationEmbedder(
        BandEnergies, output="logits", max_epochs=30, lr=0.01, device="cpu", random_state=0, batch_size=32
    )
    system = make_pipeline(embedder, OutlierExposureDetector()).fit(make(96, 0, 0))
    scores = np.concatenate([system.score_samples(make(60, 1, 0)), system.score_samples(make(60, 2, 1))])
    assert roc_auc_score(np.repeat([1, 0], 60), scores) > 0.99


# Bad input


def named(n_classes, classes, target=None, section=("00", "01")):
    """Twelve clips with logits of so many columns, which have these names."""
    clips = Clips(logits=np.random.default_rng(0).normal(size=(12, n_classes)), section=np.resize(section, 12))
    return clips.with_attrs(classes=classes, target=target)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (named(1, ("00",), section=["00"]), "n_features=1"),
        (named(2, None), r"with_attrs\(classes"),
        (named(2, ("00", "02")), "no column for the section '01'"),
        (named(2, ("a", "b"), "attribute"), "'attribute'"),
        (named(3, ("00", "01")), "3 columns"),
        (named(3, ("00", "01", "00")), "3 columns"),
        (named(2, ("00", "01")).without("section"), "no field 'section'"),
    ],
)
def test_columns_that_nobody_can_tell_are_refused(clips, message):
    with pytest.raises(ValueError, match=message):
        OutlierExposureDetector().fit(clips)


def test_logits_with_other_columns_are_refused():
    detector = OutlierExposureDetector().fit(named(3, ("00", "01", "02")))
    with pytest.raises(ValueError, match="'01', '00', '02'"):
        detector.score_samples(named(3, ("01", "00", "02")))


def test_the_order_of_the_columns_does_not_matter():
    clips = make_clips()
    turned = clips.with_fields(logits=clips["logits"][:, :, ::-1]).with_attrs(classes=CLASSES[::-1])
    wanted, found = OutlierExposureDetector().fit(clips), OutlierExposureDetector().fit(turned)
    np.testing.assert_allclose(found.score_samples(turned), wanted.score_samples(clips), rtol=1e-12)
    assert found.offset_ == pytest.approx(wanted.offset_, rel=1e-12)


def test_a_plain_array_is_of_the_first_column():
    logits = np.random.default_rng(0).normal(size=(12, 3))
    np.testing.assert_array_equal(
        OutlierExposureDetector().fit(logits).score_samples(logits),
        OutlierExposureDetector()
        .fit(named(3, ("00", "01", "02"), section=["00"]))
        .score_samples(named(3, ("00", "01", "02"), section=["00"]).with_fields(logits=logits)),
    )


@pytest.mark.parametrize("targets", [("section", "attribute"), ("attribute", "section"), ("attribute",)])
def test_logits_of_an_embedder_are_those_of_the_sections(targets):
    rng = np.random.default_rng(0)
    number, kind = np.arange(60) % 3, np.arange(60) % 2
    log_mel = rng.normal(size=(60, 8, 12)).astype(np.float32)
    log_mel[np.arange(60), number] += 3
    log_mel[np.arange(60), 4 + kind] += 3
    clips = Clips(log_mel=log_mel, section=np.array(["a", "b", "c"])[number], attribute=np.array(["x", "y"])[kind])
    made = ClassificationEmbedder(
        BandEnergies, targets=targets, loss=SoftmaxLoss, output="logits", max_epochs=40, lr=0.02, device="cpu",
        random_state=0,
    ).fit_transform(clips)  # fmt: skip
    if "section" not in targets:
        assert made.attrs["classes"] == ("x", "y") and made.attrs["target"] == "attribute"
        with pytest.raises(ValueError, match=r"'attribute'.*targets"):
            OutlierExposureDetector().fit(made)
        return
    assert made.attrs["classes"] == ("a", "b", "c") and made.attrs["target"] == "section"
    assert (made["logits"].argmax(axis=1) == number).mean() > 0.95
    assert OutlierExposureDetector().fit(made).models_ == {"a": 0, "b": 1, "c": 2}


class OtherClass(Augmentation):
    """An augmentation of a user whose clips are of classes of their own."""

    works_on = "any"

    def n_classes(self, n_classes):
        return (n_classes[0] + 1, *n_classes[1:])

    def draw(self, batch, generator):
        return {}

    def apply(self, batch, params):
        targets = torch.nn.functional.pad(batch.targets[0], (0, 1))
        return batch._replace(targets=(targets, *batch.targets[1:]))


def test_classes_that_augmentation_adds_are_no_section():
    sections = np.array(["00", "augmented", "('augmented', 0)"])[np.arange(24) % 3]
    log_mel = np.random.default_rng(0).normal(size=(24, 8, 12)).astype(np.float32)
    clips = Clips(log_mel=log_mel, section=sections)
    embedder = ClassificationEmbedder(
        BandEnergies, augmentations=(OtherClass(),), output="logits", max_epochs=1, device="cpu", random_state=0
    )
    made = embedder.fit_transform(clips)
    assert made.attrs["classes"] == ("('augmented', 0)", "00", "augmented", ("augmented", 0))
    assert OutlierExposureDetector().fit(made).models_ == {"('augmented', 0)": 0, "00": 1, "augmented": 2}


def test_missing_field_and_unknown_section_are_named():
    with pytest.raises(ValueError, match="needs the field 'logits'; the clips have embedding"):
        OutlierExposureDetector().fit(Clips(embedding=np.zeros((4, 2))))
    with pytest.raises(ValueError, match="No model for section '02': fit has seen section '01', section '03'"):
        OutlierExposureDetector().fit(make_clips()).score_samples(make_clips(2).with_fields(section=["02", "01"]))
