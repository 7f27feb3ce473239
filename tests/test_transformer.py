"""Laws of all transformers: `Clips` in, `Clips` out; names and data frames where the output is 2-D; true tags."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import soundfile
from estimators import ESTIMATORS
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from torch import nn

from skasd._transformer import ClipTransformer
from skasd.audio import AudioLoader, LevelNormalizer
from skasd.augmentation import Mixup
from skasd.clips import Clips
from skasd.embedders import (
    ClassificationEmbedder,
    EmbeddingLoader,
    PretrainedEmbedder,
    PseudoAttributes,
    StatisticsEmbedder,
)
from skasd.features import FieldTransformer, FrameStacker, LogMelSpectrogram, LogSTFT
from skasd.losses import SoftmaxLoss

RATE, N_SAMPLES = 8000, 512
SMALL = {"sample_rate": RATE, "n_fft": 64, "hop_length": 64}


def flat():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))


TINY = partial(ClassificationEmbedder, flat, loss=SoftmaxLoss, max_epochs=1, device="cpu", random_state=0)
RNG = np.random.default_rng(0)
INPUTS = {
    "waveform": RNG.uniform(-0.5, 0.5, size=(4, N_SAMPLES)).astype(np.float32),
    "log_mel": RNG.normal(size=(4, 3, 6)).astype(np.float32),
    "embedding": RNG.normal(size=(4, 5)).astype(np.float32),
    "windows": RNG.normal(size=(4, 2, 5)).astype(np.float32),
}
TABLES = {  # whose output is 2-D: what they take, and how their columns are called
    "AudioLoader": (AudioLoader(sample_rate=RATE), "waveform", "audioloader"),
    "LevelNormalizer": (LevelNormalizer(), "waveform", "levelnormalizer"),
    "StatisticsEmbedder": (StatisticsEmbedder(), "log_mel", "mean"),
    "FieldTransformer": (FieldTransformer(StandardScaler()), "embedding", "x"),
    "ClassificationEmbedder": (TINY(), "log_mel", "classificationembedder"),
    "logits": (TINY(output="logits"), "log_mel", "classificationembedder"),
}
OTHERS = {
    "LogMelSpectrogram": (LogMelSpectrogram(**SMALL, n_mels=2, fmax=4000.0), "waveform"),
    "LogSTFT": (LogSTFT(**SMALL), "waveform"),
    "FrameStacker": (FrameStacker(n_frames=2), "log_mel"),
    "Mixup": (Mixup(random_state=0), "log_mel"),
    "FieldTransformer of windows": (FieldTransformer(StandardScaler()), "windows"),
}
WITH_TESTS_OF_THEIR_OWN = {EmbeddingLoader, PretrainedEmbedder, PseudoAttributes}  # they take files, or give text
EVERY = {name: (step, kind) for name, (step, kind, *_) in (TABLES | OTHERS).items()}
y = ["a", "b", "a", "b"]


def clips_of(kind):
    return Clips({"embedding" if kind == "windows" else kind: INPUTS[kind]}, section=["00", "01"] * 2)


def test_every_transformer_obeys_the_laws():
    theirs = {type(step) for step in ESTIMATORS if isinstance(step, ClipTransformer)}
    assert {type(step) for step, _ in EVERY.values()} | WITH_TESTS_OF_THEIR_OWN == theirs


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_names_and_becomes_a_data_frame(name):
    step, kind, first = TABLES[name]
    X = INPUTS[kind]
    with pytest.raises(NotFittedError):
        clone(step).get_feature_names_out()
    expected = clone(step).fit(X, y).transform(X)
    fitted = clone(step).set_output(transform="pandas").fit(X, y)
    frame = fitted.transform(X)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame) == list(fitted.get_feature_names_out())
    assert frame.shape == expected.shape and frame.columns[0] == f"{first}0"
    np.testing.assert_array_equal(frame, expected)
    if X.ndim == 2:
        given = pd.DataFrame(X, index=list("abcd"), columns=[f"c{i}" for i in range(X.shape[1])])
        assert list(clone(fitted).set_output(transform="pandas").fit(given, y).transform(given).index) == list("abcd")


@pytest.mark.parametrize("name", OTHERS)
def test_more_dimensions_stay_an_array_where_data_frames_are_asked_for(name):
    step, kind = OTHERS[name]
    made = clone(step).set_output(transform="pandas").fit(INPUTS[kind], y).transform(INPUTS[kind])
    np.testing.assert_array_equal(made, clone(step).fit(INPUTS[kind], y).transform(INPUTS[kind]))


def test_a_pipeline_over_spectrograms_makes_the_data_frame_that_is_asked_for():
    steps = LogMelSpectrogram(**SMALL, n_mels=2, fmax=4000.0), StatisticsEmbedder()
    plain = make_pipeline(*steps).fit(INPUTS["waveform"])
    frame = clone(plain).set_output(transform="pandas").fit(INPUTS["waveform"]).transform(INPUTS["waveform"])
    assert list(frame) == list(plain[-1].get_feature_names_out())
    np.testing.assert_array_equal(frame, plain.transform(INPUTS["waveform"]))


@pytest.mark.parametrize("name", OTHERS)
def test_more_dimensions_have_no_names_and_stay_an_array(name):
    step, kind = OTHERS[name]
    X = INPUTS[kind]
    with config_context(transform_output="pandas"):
        fitted = clone(step).fit(X, y)
        made = fitted.transform(X)
    assert isinstance(made, np.ndarray) and made.ndim == 3
    assert not hasattr(fitted, "get_feature_names_out")


@pytest.mark.parametrize("name", EVERY)
def test_clips_stay_clips_even_where_data_frames_are_wanted(name):
    step, kind = EVERY[name]
    clips = clips_of(kind)
    with config_context(transform_output="pandas"):
        whole = clone(step).fit_transform(clips)
        twice = make_pipeline(clone(step)).fit(clips).transform(clips)
    assert isinstance(whole, Clips) and isinstance(twice, Clips)
    assert list(whole["section"]) == list(clips["section"])
    field = next(name for name in reversed(list(whole)) if name != "section")
    np.testing.assert_array_equal(whole[field], clone(step).fit_transform(clips)[field])


@pytest.mark.parametrize("tag", ["two_d_array", "three_d_array", "string"])
@pytest.mark.parametrize("name", EVERY)
def test_tags_tell_whether_arrays_and_paths_are_taken(name, tag, tmp_path):
    step, kind = EVERY[name]
    X = {"two_d_array": INPUTS["waveform" if kind == "waveform" else "embedding"], "three_d_array": INPUTS["log_mel"]}
    X["string"] = [str(tmp_path / f"{row}.wav") for row in range(4)]
    for path, waveform in zip(X["string"], INPUTS["waveform"], strict=True):
        soundfile.write(path, waveform, RATE)
    alone = clone(step).set_params(n_frames=1) if isinstance(step, FrameStacker) else clone(step)  # clips of one frame
    is_taken = True
    try:
        alone.fit(X[tag], y)
    except (ValueError, TypeError):
        is_taken = False
    assert is_taken == getattr(get_tags(alone).input_tags, tag)
