import pickle

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from torch import nn

from skasd.clips import Clips
from skasd.detectors import OutlierExposureDetector
from skasd.embedders import ClassificationEmbedder


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
    )


def test_log_odds_by_hand():
    # p = 1/2, 1/4, 1/4: odds 1, 1/3 and 1/3
    logits = np.log([[2.0, 1.0, 1.0]] * 3)
    section = ["00", "01", "02"]
    detector = OutlierExposureDetector().fit(Clips(logits=np.repeat(logits, 2, axis=0), section=np.repeat(section, 2)))
    np.testing.assert_allclose(
        detector.score_samples(Clips(logits=logits, section=section)), np.log([1, 1 / 3, 1 / 3]), atol=1e-12
    )


def test_it_is_the_log_odds_of_the_softmax_averaged_over_windows():
    clips = make_clips()
    p = softmax(clips["logits"], axis=2)[np.arange(60), :, np.arange(60) % 2]
    scores = OutlierExposureDetector().fit(clips).score_samples(clips)
    np.testing.assert_allclose(scores, np.log(p / (1 - p)).mean(axis=1), rtol=1e-9)


def test_certain_classes_are_not_rounded():
    clips = Clips(logits=np.array([[800.0, 0.0], [1000.0, 0.0], [0.0, 900.0]], np.float32), section=["00"] * 3)
    np.testing.assert_array_equal(OutlierExposureDetector().fit(clips).score_samples(clips), [800.0, 1000.0, -900.0])


def test_columns_follow_the_sorted_sections_and_further_ones_are_other_classes():
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


@pytest.mark.parametrize(
    ("n_classes", "n_sections", "message"),
    [(1, 1, "logits of 1 sections need a column for each, and at least two; got n_features=1"), (2, 3, "got n_f.*=2")],
)
def test_too_few_columns_are_refused(n_classes, n_sections, message):
    clips = Clips(logits=np.zeros((12, n_classes)), section=[str(number % n_sections) for number in range(12)])
    with pytest.raises(ValueError, match=message):
        OutlierExposureDetector().fit(clips)


def test_missing_field_and_unknown_section_are_named():
    with pytest.raises(ValueError, match="needs the field 'logits'; the clips have embedding"):
        OutlierExposureDetector().fit(Clips(embedding=np.zeros((4, 2))))
    with pytest.raises(ValueError, match="No model for section '02': fit has seen section '01', section '03'"):
        OutlierExposureDetector().fit(make_clips()).score_samples(make_clips(2).with_fields(section=["02", "01"]))
