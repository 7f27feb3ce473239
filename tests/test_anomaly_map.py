"""Maps of what is unusual: a planted tone is found where it is, the numbers are those worked by hand; bad input."""

from functools import partial

import numpy as np
import pytest
import soundfile
from matplotlib import pyplot
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skasd.augmentation import Mixup
from skasd.clips import Clips
from skasd.detectors import AutoencoderDetector, FlowDetector, MahalanobisDetector
from skasd.embedders import ClassificationEmbedder, StatisticsEmbedder
from skasd.ensemble import ScoreEnsemble
from skasd.features import FieldTransformer, FrameStacker, LogMelSpectrogram
from skasd.metrics import auc_scorer
from skasd.model_selection import DevelopmentSplit
from skasd.networks import LogMelLayer, WithFrontEnd
from skasd.plotting import AnomalyMapDisplay
from skasd.plotting._masking import WaveformScores

START, LENGTH, PITCH = 0.6, 0.2, 2000  # the planted tone: seconds, seconds, Hz
TRAINING = {"max_epochs": 5, "lr": 0.01, "batch_size": 64, "device": "cpu", "random_state": 0}
NETWORK = {"network__n_hidden": (16,), "network__n_bottleneck": 4}
log_mel = partial(LogMelSpectrogram, n_mels=32, n_fft=512, hop_length=256)
autoencoder = partial(AutoencoderDetector, **NETWORK, **TRAINING)
flow = partial(FlowDetector, transforms=1, hidden_features=(16,), **TRAINING)


def make_clips(n_clips=20):
    """Noise of one second; the last two clips have the tone, one in each section."""
    rng, seconds = np.random.default_rng(0), np.arange(16000) / 16000
    waveform = rng.normal(0, 0.02, size=(n_clips, 16000))
    tone = np.sin(2 * np.pi * PITCH * seconds) * ((seconds >= START) & (seconds < START + LENGTH))
    waveform[-2:] += 0.2 * tone
    fault = np.arange(n_clips) >= n_clips - 2
    return Clips(
        waveform=waveform.astype(np.float32),
        section=np.where(np.arange(n_clips) % 2, "01", "00"),
        domain=np.where(np.arange(n_clips) % 6 < 4, "source", "target"),
        label=np.where(fault, -1, 1),
        split=np.where(np.arange(n_clips) < n_clips - 6, "train", "test"),
    )


CLIPS = make_clips()
SYSTEMS = {
    "reconstruction": make_pipeline(log_mel(), FrameStacker(n_frames=3), autoencoder()),
    "likelihood": make_pipeline(log_mel(), Mixup(random_state=0), FrameStacker(n_frames=2), flow()),
    "masking": make_pipeline(log_mel(), StatisticsEmbedder(), MahalanobisDetector()),
}


@pytest.fixture(scope="module")
def fitted():
    return {name: system.fit(CLIPS) for name, system in SYSTEMS.items()}


def check_peak(display):
    time, frequency = display.peak
    assert START - 0.02 <= time <= START + LENGTH + 0.02
    assert frequency is None or abs(frequency - PITCH) < 300
    return frequency


@pytest.mark.parametrize("method", SYSTEMS)
def test_finds_the_planted_tone(fitted, method):
    display = AnomalyMapDisplay.from_estimator(fitted[method], CLIPS, -1, patch_shape=(4, 8))
    assert display.method == method
    assert (check_peak(display) is None) == (method == "likelihood")


@pytest.mark.parametrize("method", ["reconstruction", "likelihood"])
def test_masking_serves_every_pipeline(fitted, method):
    display = AnomalyMapDisplay.from_estimator(fitted[method], CLIPS, 19, method="masking", patch_shape=(4, 8))
    assert display.method == "masking" and check_peak(display) is not None


def test_plain_arrays_are_found_in_as_well():
    system = make_pipeline(log_mel(), StatisticsEmbedder(), MahalanobisDetector()).fit(CLIPS["waveform"][:18])
    check_peak(AnomalyMapDisplay.from_estimator(system, CLIPS["waveform"], 18, patch_shape=(4, 8)))


def test_a_tone_that_lasts_shows_beside_a_reference_only(fitted):
    seconds = np.arange(16000) / 16000
    lasting = CLIPS[:1].with_fields(
        waveform=CLIPS["waveform"][:1] + 0.2 * np.sin(2 * np.pi * PITCH * seconds).astype(np.float32)
    )
    draw = partial(AnomalyMapDisplay.from_estimator, fitted["masking"], lasting, patch_shape=(4, 10**9))
    with_reference, without = draw(reference=CLIPS[:18]), draw()
    assert abs(with_reference.peak[1] - PITCH) < 300
    assert np.ptp(with_reference.anomaly_map, axis=1).max() == 0  # whole bands are masked
    assert with_reference.anomaly_map.max() > 10 * without.anomaly_map.max()


class Brightness(BaseEstimator):
    """Scores are the mean level of the spectrogram, so that the effect of a mask can be worked by hand."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def score_samples(self, X):
        return -X.mean(axis=(1, 2))


def test_masking_by_hand():
    """Two by four places, patches of one by two: the rise is what the patch has above the mean of its band."""
    waveform = CLIPS["waveform"][-1:, :1024]
    system = Pipeline([("log_mel", LogMelSpectrogram(n_mels=2, n_fft=512, hop_length=256, center=False)),
                       ("detector", Brightness())]).fit(waveform)  # fmt: skip
    display = AnomalyMapDisplay.from_estimator(system, waveform, patch_shape=(1, 2), patch_hop=(1, 1))
    above = display.log_mel - display.log_mel.mean(axis=1, keepdims=True)
    left, right = above[:, :2].sum(axis=1) / 6, above[:, 1:].sum(axis=1) / 6
    np.testing.assert_allclose(display.anomaly_map, np.c_[left, (left + right) / 2, right], atol=1e-5)


@pytest.mark.parametrize("hop", [1, 2, 4])
def test_reconstruction_is_the_mean_over_the_windows_of_a_frame(hop):
    system = make_pipeline(log_mel(), FrameStacker(n_frames=3, hop_frames=hop), autoencoder()).fit(CLIPS)
    display = AnomalyMapDisplay.from_estimator(system, CLIPS, 3)
    windows = system[:-1].transform(CLIPS[3:4])["embedding"]
    errors = np.square(windows - system[-1].reconstruct(windows))[0]
    expected = np.full((63, 32), np.nan)
    for frame in range(63):
        own = [error[(frame - hop * w) * 32 :][:32] for w, error in enumerate(errors) if 0 <= frame - hop * w < 3]
        if own:
            expected[frame] = np.mean(own, axis=0)
    assert np.isnan(expected).any() == (hop == 4)
    np.testing.assert_allclose(display.anomaly_map, expected.T, rtol=1e-5)


def test_filtering_agrees_with_masking(fitted):
    draw = partial(AnomalyMapDisplay.from_estimator, fitted["masking"], CLIPS, -1, patch_shape=(4, 8))
    masked, filtered = draw().anomaly_map, draw(method="filtering").anomaly_map
    assert np.corrcoef(masked.ravel(), filtered.ravel())[0, 1] > 0.95


def network_that_makes_its_spectrogram():
    front_end = partial(LogMelLayer, n_mels=32, n_fft=512, hop_length=256)
    network = partial(WithFrontEnd, [front_end], partial(nn.Sequential, nn.Flatten(), nn.LazyLinear(4)))
    embedder = ClassificationEmbedder(network, max_epochs=1, device="cpu", random_state=0)
    return make_pipeline(embedder, MahalanobisDetector())


@pytest.mark.parametrize("make", [
    network_that_makes_its_spectrogram,
    lambda: ScoreEnsemble([(name, SYSTEMS[name]) for name in ("masking", "reconstruction")], cv=2),
], ids=["network", "ensemble"])  # fmt: skip
def test_filtering_serves_whatever_takes_waveforms(make):
    system = make().fit(CLIPS)
    display = AnomalyMapDisplay.from_estimator(system, CLIPS, -1, spectrogram=log_mel(), patch_shape=(4, 8))
    assert display.method == "filtering" and check_peak(display) is not None
    assert display.anomaly_map.shape == display.log_mel.shape == (32, 63)


def test_filtering_starts_from_the_usual_spectrogram():
    system = make_pipeline(LogMelSpectrogram(), StatisticsEmbedder(), MahalanobisDetector()).fit(CLIPS)
    display = AnomalyMapDisplay.from_estimator(ScoreEnsemble([("one", system)]).fit(CLIPS), CLIPS, -1)
    assert (display.log_mel == LogMelSpectrogram().fit_transform(CLIPS["waveform"][19:])[0]).all()
    check_peak(display)


class Recorder(Brightness):
    """Keeps what it is to score."""

    def score_samples(self, X):
        self.seen = X
        return np.arange(len(X))


def filtered(X, change):
    """The waveform whose spectrogram is to differ by so many dB from that of the one clip."""
    recorder = Recorder()
    scores = WaveformScores(recorder, log_mel(), X)
    scores((scores.log_mel + change)[np.newaxis])
    return recorder.seen


def test_a_filtered_waveform_has_the_levels_that_were_asked_for():
    before = log_mel().fit_transform(CLIPS["waveform"][19:])[0]
    change = np.zeros((32, 63), np.float32)
    change[8:16, 20:40] = -12
    X = filtered(CLIPS[19:], change)
    difference = log_mel().fit_transform(X["waveform"])[0] - before
    np.testing.assert_allclose(difference[9:15, 21:39], -12, atol=2.5)
    assert abs(difference[9:15, 21:39].mean() + 12) < 0.5
    for elsewhere in (difference[18:], difference[:6], difference[:, :18], difference[:, 42:]):
        np.testing.assert_allclose(elsewhere, 0, atol=0.1)
    assert X["section"] == CLIPS["section"][19]


def test_filtering_by_nothing_changes_nothing(tmp_path):
    """Whether waveforms are floats, int16, or in files."""
    whole = np.round(CLIPS["waveform"][19:] * 32768).astype(np.int16)
    expected = whole / np.float32(32768)
    soundfile.write(tmp_path / "clip.wav", whole[0], 16000)
    files = Clips(path=[tmp_path / "clip.wav"])
    for X in (expected, whole, files):
        made = filtered(X, np.zeros((32, 63)))
        np.testing.assert_allclose(made["waveform"] if X is files else made, expected, atol=1e-6)


def test_squared_error_adds_up_to_the_score():
    system = make_pipeline(log_mel(), FrameStacker(n_frames=1), autoencoder()).fit(CLIPS)
    display = AnomalyMapDisplay.from_estimator(system, CLIPS, -1)
    np.testing.assert_allclose(-display.anomaly_map.mean(), system.score_samples(CLIPS[19:])[0], rtol=1e-5)


def test_likelihood_adds_up_to_the_score():
    system = make_pipeline(log_mel(), FrameStacker(n_frames=1), flow()).fit(CLIPS)
    display = AnomalyMapDisplay.from_estimator(system, CLIPS, -1)
    assert display.anomaly_map.shape == (1, 63)
    np.testing.assert_allclose(-display.anomaly_map.mean(), system.score_samples(CLIPS[19:])[0], rtol=1e-5)


def test_section_of_the_clip_counts(fitted):
    """The same sound in the other section has another likelihood under the flow."""
    other = CLIPS.with_fields(section=np.where(CLIPS["section"] == "00", "01", "00"))
    maps = [AnomalyMapDisplay.from_estimator(fitted["likelihood"], X, 0).anomaly_map for X in (CLIPS, other)]
    assert not np.allclose(*maps)


def test_a_scaler_between_has_no_map_of_errors_but_one_of_masks():
    scaled = make_pipeline(log_mel(), FrameStacker(), FieldTransformer(StandardScaler()), autoencoder()).fit(CLIPS)
    display = AnomalyMapDisplay.from_estimator(scaled, CLIPS, -1, patch_shape=(8, 16))
    assert display.method == "masking"
    with pytest.raises(ValueError, match=r"ends in FrameStacker and AutoencoderDetector.*use method='masking'"):
        AnomalyMapDisplay.from_estimator(scaled, CLIPS, -1, method="reconstruction")


def test_a_search_gives_its_best_pipeline():
    grid = {"mahalanobisdetector__covariance": ["ledoit_wolf", "oas"]}
    search = GridSearchCV(SYSTEMS["masking"], grid, scoring=auc_scorer, cv=DevelopmentSplit())
    check_peak(AnomalyMapDisplay.from_estimator(search.fit(CLIPS, CLIPS["label"]), CLIPS, -1, patch_shape=(4, 8)))


def test_draws_the_numbers_in_their_places(fitted):
    _, (left, right) = pyplot.subplots(1, 2)
    display = AnomalyMapDisplay.from_estimator(fitted["reconstruction"], CLIPS, -1, name="tone", ax=left)
    assert (display.image_.get_array() == display.anomaly_map).all()
    assert display.image_.get_extent() == display.spectrogram_.image_.get_extent() == [0, 63 * 256 / 16000, -0.5, 31.5]
    assert display.image_.get_clim() == (0, display.anomaly_map.max())
    assert (left.get_xlabel(), left.get_ylabel(), left.get_title()) == ("time (s)", "frequency (Hz)", "tone")
    assert display.colorbar_.ax.get_ylabel() == "squared error of the reconstruction (dB²)"
    assert len(display.figure_.axes) == 3  # two pictures and one colour bar
    assert display.plot(ax=right, vmin=1, vmax=9) is display and display.ax_ is right
    assert display.image_.get_clim() == (1, 9)


def test_rows_of_a_likelihood_span_all_frequencies(fitted):
    display = AnomalyMapDisplay.from_estimator(fitted["likelihood"], CLIPS, -1)
    assert display.image_.get_extent() == [0, 63 * 256 / 16000, -0.5, 31.5]
    assert display.image_.get_clim() == (display.anomaly_map.min(), display.anomaly_map.max())
    assert display.colorbar_.ax.get_ylabel() == "minus log-likelihood (nats)"


def test_colours_get_darker_and_more_opaque_all_the_way(fitted):
    display = AnomalyMapDisplay.from_estimator(fitted["masking"], CLIPS, -1)
    colours = display.image_.get_cmap()(np.linspace(0, 1, 50))
    on_white = colours[:, :3] * colours[:, 3:] + 1 - colours[:, 3:]
    lightness = on_white @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) < 0).all() and lightness[0] == pytest.approx(1) and lightness[-1] < 0.3


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_paper_is_white_in_every_style(style):
    """The colours go from transparent to dark: without white below, dark styles would turn their order round."""
    with pyplot.style.context(style):
        log_mel = np.array([[0.0, 0.0], [-80.0, -80.0]])
        display = AnomalyMapDisplay(anomaly_map=np.eye(2), log_mel=log_mel, method="masking").plot()
    assert display.colorbar_.ax.get_facecolor() == (1, 1, 1, 1)
    background = display.spectrogram_.image_
    assert background.get_alpha() is None
    colours = background.get_cmap()([0.0, 1.0])
    np.testing.assert_allclose(colours, [[1, 1, 1, 1], [0.4, 0.4, 0.4, 1]])


def test_a_map_with_nothing_unusual_can_be_drawn():
    numbers = {"log_mel": np.zeros((2, 3)), "method": "masking"}
    display = AnomalyMapDisplay(anomaly_map=np.full((2, 3), -1.0), **numbers).plot()
    display.figure_.canvas.draw()
    assert display.image_.get_clim() == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"row": 20}, "row must be the number of one of the 20 clips; got 20"),
        ({"row": 0.5}, "row must be the number"),
        ({"method": "gradient"}, "method must be 'auto', 'reconstruction', .* 'filtering'; got 'gradient'"),
        ({"method": "likelihood"}, "needs a Pipeline that ends in FrameStacker and FlowDetector.*use method='masking'"),
        ({"patch_shape": (4, 0)}, r"patch_shape must be two whole numbers above 0.*got \(4, 0\)"),
        ({"patch_shape": (4,)}, "patch_shape must be two"),
        ({"patch_hop": (4, 1.5)}, "patch_hop must be two"),
        ({"patch_shape": (4, 4), "patch_hop": (5, 1)}, "patch_hop=.*at most patch_shape=.*gaps"),
    ],
)
def test_bad_input_is_refused(fitted, arguments, message):
    with pytest.raises(ValueError, match=message):
        AnomalyMapDisplay.from_estimator(fitted["masking"], CLIPS, **arguments)


def test_a_single_path_belongs_into_a_list(fitted):
    with pytest.raises(ValueError, match=r"got the single path 'fan\.wav'; put it into a list"):
        AnomalyMapDisplay.from_estimator(fitted["masking"], "fan.wav")


@pytest.mark.parametrize("method", ["reconstruction", "likelihood", "masking"])
def test_without_a_spectrogram_there_is_only_filtering(method):
    with pytest.raises(ValueError, match=rf"method='{method}' needs a Pipeline that .*use method='filtering'"):
        AnomalyMapDisplay.from_estimator(MahalanobisDetector(), CLIPS, method=method)
    with pytest.raises(ValueError, match=r"needs the field 'waveform' or 'path'; the clips have section, "):
        AnomalyMapDisplay.from_estimator(MahalanobisDetector(), CLIPS.without("waveform"))


class Loudness(Brightness):
    def score_samples(self, X):
        return -np.square(X["waveform"]).mean(axis=1)


def test_a_score_that_does_not_read_the_spectrogram_is_refused():
    system = Pipeline([("log_mel", log_mel(keep=("waveform",))), ("detector", Loudness())]).fit(CLIPS)
    with pytest.raises(ValueError, match=r"score does not change.*comes after does not read it"):
        AnomalyMapDisplay.from_estimator(system, CLIPS)
