import inspect
from functools import partial

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline

import skasd.systems
from skasd.audio import AudioLoader
from skasd.datasets import load_dcase, make_machine_sounds, write_dcase
from skasd.detectors import CosineCenterDetector, GaussianMixtureDetector, LocalOutlierFactorDetector
from skasd.systems import (
    audioset_mobilenet,
    audioset_statistics_ensemble,
    autoencoder_baseline,
    bandwise_ensemble,
    bandwise_neighbors,
    cnn_global,
    cnn_local,
    cnn_oe,
    imagenet_efficientnet,
    liu_ensemble,
    masked_autoregressive_flow,
    mobilefacenet_arcface,
    mobilenet_v2_baseline,
    multi_resolution,
    narita_ensemble,
    rank_pooled_gmm,
    spectrogram_resnet,
    statistics_ensemble,
)

SYSTEMS = {
    "autoencoder_baseline": autoencoder_baseline,
    "mobilenet_v2_baseline": mobilenet_v2_baseline,
    "mobilefacenet_arcface": partial(mobilefacenet_arcface, "fan"),
    "masked_autoregressive_flow": masked_autoregressive_flow,
    "cnn_global": partial(cnn_global, weights=None),
    "cnn_local": partial(cnn_local, weights=None),
    "cnn_oe": partial(cnn_oe, weights=None),
    "narita_ensemble": partial(narita_ensemble, "valve", weights=None),
    "liu_ensemble": partial(liu_ensemble, "ToyCar"),
    "multi_resolution": multi_resolution,
    "spectrogram_resnet": spectrogram_resnet,
    "bandwise_ensemble": partial(bandwise_ensemble, random_state=0),
    "bandwise_neighbors": bandwise_neighbors,
    "rank_pooled_gmm": partial(rank_pooled_gmm, random_state=0),
    "statistics_ensemble": statistics_ensemble,
    "audioset_mobilenet": partial(audioset_mobilenet, None, device="cpu", random_state=0),
    "audioset_statistics_ensemble": partial(audioset_statistics_ensemble, None, device="cpu", random_state=0),
    "imagenet_efficientnet": partial(imagenet_efficientnet, None, variant="test_efficientnet", device="cpu"),
}
UNTRAINED = (
    "audioset_mobilenet",
    "audioset_statistics_ensemble",
    "bandwise_ensemble",
    "bandwise_neighbors",
    "imagenet_efficientnet",
    "rank_pooled_gmm",
    "statistics_ensemble",
)
every_system = pytest.mark.parametrize("name", SYSTEMS)


def small(name):
    """The small preset, trained for three epochs on the CPU."""
    if name in UNTRAINED:
        return SYSTEMS[name]()
    system = SYSTEMS[name](preset="small", device="cpu", random_state=0)
    least = {
        step + param: value
        for step in ("embedder__", "embedder__pretrain__", "detector__")
        for param, value in (("max_epochs", 3), ("min_steps", 1))
    }
    return system.set_params(**{param: value for param, value in least.items() if param in system.get_params()})


@pytest.fixture(scope="module")
def clips():
    return make_machine_sounds(
        "fan", n_sections=2, n_train_source=10, n_train_target=4, n_test=3, duration=3.0, random_state=0
    )


def test_every_system_is_tested():
    assert set(SYSTEMS) == set(skasd.systems.__all__)


@every_system
def test_it_learns_scores_and_loads_from_a_dcase_folder(name, clips, tmp_path):
    folder = write_dcase(clips, tmp_path)
    train, test = load_dcase(folder, split="train"), load_dcase(folder, split="test")
    system = small(name).fit(train)
    scores = system.score_samples(test)
    assert scores.shape == (len(test),)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 2
    np.testing.assert_array_equal(system.predict(test) == -1, system.decision_function(test) < 0)
    joblib.dump(system, tmp_path / "system.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "system.joblib").score_samples(test), scores)


@every_system
def test_waveforms_score_like_the_files_that_hold_them(name, clips, tmp_path):
    test = load_dcase(write_dcase(clips, tmp_path))
    system = small(name).fit(clips[clips["split"] == "train"])
    np.testing.assert_allclose(
        system.score_samples(AudioLoader().fit_transform(test)), system.score_samples(test), rtol=1e-3, atol=1e-3
    )


@every_system
def test_the_published_size_is_the_default_and_every_choice_can_be_reached(name):
    system = SYSTEMS[name]()
    assert isinstance(system, Pipeline)
    assert {step for step in system.named_steps} <= {"log_mel", "frames", "embedder", "detector"}
    params = system.get_params()
    assert "detector__contamination" in params
    clone(system).set_params(detector__contamination=0.05)
    if name not in UNTRAINED:
        assert inspect.signature(SYSTEMS[name]).parameters["preset"].default == "full"
        assert any(param.endswith("__max_epochs") for param in params)


@every_system
def test_another_preset_is_refused(name):
    if name not in UNTRAINED:
        with pytest.raises(ValueError, match=r"preset .*'full' or 'small'.*'tiny'"):
            SYSTEMS[name](preset="tiny")


@pytest.mark.parametrize(
    ("machine", "detector"),
    [
        ("ToyTrain", LocalOutlierFactorDetector),
        ("fan", GaussianMixtureDetector),
        *((machine, CosineCenterDetector) for machine in ("bearing", "gearbox", "slider", "valve", "ToyCar", "pump")),
    ],
)
def test_the_first_report_chooses_the_detector_by_machine(machine, detector):
    assert type(mobilefacenet_arcface(machine)["detector"]) is detector


@pytest.mark.parametrize(
    ("machine", "system"),
    [("ToyCar", cnn_local), ("ToyTrain", cnn_local), ("bearing", cnn_local), ("fan", cnn_oe), ("gearbox", cnn_oe),
     ("slider", cnn_oe), ("valve", cnn_global)],
)  # fmt: skip
def test_the_ensemble_of_the_second_report_is_its_best_system(machine, system):
    chosen, wanted = narita_ensemble(machine, weights=None), system(weights=None)
    assert repr(chosen) == repr(wanted)


@pytest.mark.parametrize("machine", ["ToyCar", "ToyTrain", "fan", "bearing", "gearbox", "slider", "valve"])
def test_the_ensemble_of_the_first_report_takes_the_flow_for_three_machines(machine):
    flow = machine in ("ToyCar", "ToyTrain", "fan")
    wanted = masked_autoregressive_flow() if flow else mobilefacenet_arcface(machine)
    assert repr(liu_ensemble(machine)) == repr(wanted)


@pytest.mark.parametrize("ensemble", [liu_ensemble, narita_ensemble])
def test_the_ensembles_know_seven_machines(ensemble):
    with pytest.raises(ValueError, match="machine='pump'") as caught:
        ensemble("pump")
    assert all(name in str(caught.value) for name in ("ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider"))


def test_bands_are_matched_with_all_their_statistics():
    system = bandwise_neighbors()
    rng = np.random.default_rng(0)
    names = system[:-1].fit((0.1 * rng.normal(size=(3, 8000))).astype(np.float32))["embedder"].get_feature_names_out()
    groups = list(system["detector"].feature_groups.values())
    assert sorted(np.concatenate(groups)) == list(range(len(names)))
    assert names[groups[1]].tolist() == [f"{name}{band}" for name in ("mean", "max", "diff") for band in range(4, 8)]


def test_cnn_oe_learns_twelve_sections_from_six():
    augmentations = cnn_oe(weights=None)["embedder"].augmentations
    n_classes = (6, 39)
    for augmentation in augmentations:
        n_classes = augmentation.n_classes(n_classes)
    assert n_classes == (12, 39)


def test_mixup_in_the_flow_does_not_make_new_normal_clips_alarms():
    clips = make_machine_sounds(
        "fan", n_sections=1, n_train_source=100, n_train_target=4, n_test=40, duration=3.0, random_state=0
    )
    train, test = clips[clips["split"] == "train"], clips[clips["split"] == "test"]
    new = test[(test["label"] == 1) & (test["domain"] == "source")]
    system = masked_autoregressive_flow(preset="small", device="cpu", random_state=0)
    assert system["detector"].augmentation.target_share == 0.5
    assert np.mean(system.fit(train).predict(new) == -1) < 0.4  # mixed clips alone would say 1.0


def test_one_silent_clip_leaves_the_default_an_alarm():
    rng = np.random.default_rng(0)
    clips = (0.1 * rng.normal(size=(60, 8000))).astype(np.float32)
    whistling = clips[40:] + 0.05 * np.sin(2 * np.pi * 3000 / 16000 * np.arange(8000)).astype(np.float32)
    clips[0] = 0
    system = statistics_ensemble().fit(clips[:40])
    assert (system.predict(whistling) == -1).all()
    assert (system.predict(clips[40:]) == -1).mean() < 0.3


def test_the_second_mode_of_the_baseline_weighs_errors_frame_by_frame():
    detector = autoencoder_baseline(error="selective_mahalanobis")["detector"]
    assert (detector.error, detector.n_frames) == ("selective_mahalanobis", 5)
