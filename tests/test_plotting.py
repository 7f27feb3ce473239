"""Displays: the numbers that they show, in the right places, in both themes; and bad input."""

import subprocess
import sys

import librosa
import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.covariance import EllipticEnvelope
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skasd.clips import Clips
from skasd.detectors import MahalanobisDetector
from skasd.features import LogMelSpectrogram
from skasd.metrics import anomaly_predictions, auc_score, auc_scorer, pauc_score
from skasd.model_selection import NormalOnlyKFold
from skasd.plotting import PartialROCDisplay, ScoreHistogramDisplay, SpectrogramDisplay


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return np.r_[rng.normal(0, 1, (80, 3)), rng.normal(2, 1, (20, 3))]


Y = np.repeat([1, -1], [80, 20])


class TestSpectrogramDisplay:
    log_mel = np.random.default_rng(0).normal(-40, 10, size=(128, 313)).astype(np.float32)

    def ticks(self, display):
        labels = [tick.get_text() for tick in display.ax_.get_yticklabels()]
        return dict(zip(labels, display.ax_.get_yticks(), strict=True))

    def test_shows_the_numbers(self):
        display = SpectrogramDisplay.from_log_mel(self.log_mel, name="fan")
        assert (display.image_.get_array() == self.log_mel).all()
        assert display.figure_ is display.ax_.figure
        assert display.ax_.get_xlabel() == "time (s)" and display.ax_.get_title() == "fan"
        assert display.colorbar_.ax.get_ylabel() == "level (dB)"

    def test_low_bands_are_at_the_bottom_and_time_is_in_seconds(self):
        display = SpectrogramDisplay.from_log_mel(self.log_mel, sample_rate=16000, hop_length=512)
        assert display.duration == 313 * 512 / 16000
        assert display.ax_.get_xlim() == (0, display.duration)
        assert display.ax_.get_ylim() == (-0.5, 127.5) and display.image_.origin == "lower"

    @pytest.mark.parametrize("htk", [False, True])
    def test_frequencies_are_those_of_the_filters(self, htk):
        display = SpectrogramDisplay(log_mel=self.log_mel[:40], sample_rate=16000, fmin=50.0, fmax=7000.0, htk=htk)
        fft = librosa.fft_frequencies(sr=16000, n_fft=2**15)
        filters = librosa.filters.mel(
            sr=16000, n_fft=2**15, n_mels=40, fmin=50.0, fmax=7000.0, htk=htk, norm=None, dtype=np.float64
        )
        np.testing.assert_allclose(display.frequencies, fft[filters.argmax(axis=1)], atol=16000 / 2**15)

    def test_ticks_are_where_their_frequency_is(self):
        display = SpectrogramDisplay.from_log_mel(self.log_mel)
        ticks = self.ticks(display)
        assert list(ticks) == ["8000", "4000", "2000", "1000", "500", "250"]
        for label in ("4000", "2000", "1000", "500", "250"):
            nearest = np.abs(display.frequencies - int(label)).argmin()
            assert abs(ticks[label] - nearest) <= 0.5
        assert ticks["8000"] == 127.5

    @pytest.mark.parametrize(
        ("numbers", "expected"),
        [
            ({"fmin": 300.0, "fmax": 1900.0}, ["1000", "500"]),
            ({"fmin": 600.0, "fmax": 900.0}, []),
            ({"sample_rate": 4000}, ["2000", "1000", "500", "250", "125"]),
            ({"sample_rate": 44100}, ["16000", "8000", "4000", "2000", "1000", "500", "125"]),
        ],
    )
    def test_ticks_follow_the_range(self, numbers, expected):
        assert list(self.ticks(SpectrogramDisplay.from_log_mel(self.log_mel, **numbers))) == expected

    def test_colours_span_80_db_or_what_is_asked_for(self):
        deep = np.array([[-200.0, -30.0], [-90.0, 0.0]])
        assert SpectrogramDisplay.from_log_mel(deep).image_.get_clim() == (-80, 0)
        assert SpectrogramDisplay.from_log_mel(deep / 10).image_.get_clim() == (-20, 0)
        assert SpectrogramDisplay.from_log_mel(deep, vmin=-60, vmax=-10).image_.get_clim() == (-60, -10)

    def test_from_waveform(self):
        waveform = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
        display = SpectrogramDisplay.from_waveform(waveform, n_mels=64, n_fft=2048, fmin=50.0)
        expected = LogMelSpectrogram(n_mels=64, n_fft=2048, fmin=50.0).fit_transform(waveform[None])[0]
        assert (display.log_mel == expected).all()
        loudest = display.frequencies[display.log_mel.mean(axis=1).argmax()]
        assert abs(loudest - 1000) < 50

    def test_several_clips(self):
        with pytest.raises(ValueError, match=r"got shape \(2, 128, 313\)\. Choose one clip: log_mel\[i\]"):
            SpectrogramDisplay.from_log_mel(np.stack([self.log_mel] * 2))
        with pytest.raises(ValueError, match=r"got shape \(2, 16000\)\. Choose one clip: waveforms\[i\]"):
            SpectrogramDisplay.from_waveform(np.zeros((2, 16000)))

    def test_silence_without_floor(self):
        with pytest.raises(ValueError, match="needs a floor for silence"):
            SpectrogramDisplay.from_log_mel([[-np.inf, 0.0]])


class TestScoreHistogramDisplay:
    label, scores = np.array([1, 1, 1, 1, -1, -1]), np.array([0.0, 0.1, 0.2, 1.0, -1.0, 0.0])

    def bars(self, patches):
        """Height by left edge, from the outline of the histogram."""
        return {round(x, 6): y for x, y in patches[0].get_xy() if y > 0}

    def test_heights_are_shares_of_each_group(self):
        display = ScoreHistogramDisplay.from_predictions(self.label, self.scores, bins=4)
        assert set(self.bars(display.normal_).values()) == {0.75, 0.25}
        assert set(self.bars(display.anomalous_).values()) == {0.5}

    def test_both_groups_have_the_same_bins(self):
        display = ScoreHistogramDisplay.from_predictions(self.label, self.scores, bins=[-1, 0, 1])
        assert set(self.bars(display.normal_)) == {0, 1} and self.bars(display.normal_)[1] == 1
        assert set(self.bars(display.anomalous_)) == {-1, 0, 1}

    def test_says_what_is_what(self):
        display = ScoreHistogramDisplay.from_predictions(self.label, self.scores, threshold=-0.5, name="fan")
        assert display.ax_.get_xlabel() == "score (higher = more normal)"
        assert display.ax_.get_title() == "fan"
        legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert legend == ["normal (4 clips)", "anomalous (2 clips)", "threshold -0.5: alarm below"]
        assert list(display.line_.get_xdata()) == [-0.5, -0.5]

    def test_blue_and_orange(self):
        display = ScoreHistogramDisplay.from_predictions(self.label, self.scores)
        assert to_hex(display.normal_[0].get_facecolor()) == "#0072b2"
        assert to_hex(display.anomalous_[0].get_facecolor()) == "#e69f00"

    def test_one_group_and_no_threshold(self):
        display = ScoreHistogramDisplay.from_predictions([1, 1, 1], [0.1, 0.2, 0.3])
        assert display.anomalous_ == [] and display.line_ is None and len(display.normal_) == 1

    def test_from_estimator_draws_its_threshold(self, X):
        detector = make_pipeline(StandardScaler(), EllipticEnvelope(random_state=0)).fit(X[:80])
        display = ScoreHistogramDisplay.from_estimator(detector, X, Y)
        assert display.threshold == pytest.approx(detector[-1].offset_)
        assert (display.scores == detector.score_samples(X)).all()
        assert ((display.scores < display.threshold) == (detector.predict(X) == -1)).all()

    def test_from_a_search_over_clips(self, X):
        clips = Clips(embedding=X, label=Y)
        search = GridSearchCV(
            MahalanobisDetector(), {"contamination": [0.1]}, scoring=auc_scorer, cv=NormalOnlyKFold(2)
        ).fit(clips, clips["label"])
        display = ScoreHistogramDisplay.from_estimator(search, clips)
        assert display.threshold == pytest.approx(search.best_estimator_.offset_)
        assert (display.label == Y).all()

    def test_from_an_estimator_without_threshold(self, X):
        display = ScoreHistogramDisplay.from_estimator(KernelDensity().fit(X[:80]), X, Y)
        assert display.threshold is None and display.line_ is None

    @pytest.mark.parametrize("scores", [[np.nan, 0.0], [[0.0], [1.0]], []])
    def test_bad_scores(self, scores):
        with pytest.raises(ValueError, match="scores must be one finite number per clip"):
            ScoreHistogramDisplay.from_predictions([1, -1], scores)

    def test_bad_labels(self):
        with pytest.raises(ValueError, match=r"got \[0, 1\]"):
            ScoreHistogramDisplay.from_predictions([0, 1], [0.0, 1.0])
        with pytest.raises(ValueError, match="one value per clip"):
            ScoreHistogramDisplay.from_predictions([1], [0.0, 1.0])

    def test_no_clips(self, X):
        with pytest.raises(ValueError, match="There are no clips"):
            ScoreHistogramDisplay.from_estimator(X, X[:0], [])

    @pytest.mark.parametrize("threshold", [np.nan, np.inf])
    def test_bad_threshold(self, threshold):
        with pytest.raises(ValueError, match=f"threshold must be a finite number, or None; got {threshold}"):
            ScoreHistogramDisplay.from_predictions([1, -1], [0.0, 1.0], threshold=threshold)

    @pytest.mark.parametrize("scores", [[1.0, 1.0 + 2.3e-16], [1e16, 1e16 + 2], [0.0, 5e-324], [3, 3], [-1e307, 1e307]])
    def test_scores_that_are_nearly_alike_or_far_apart(self, scores):
        display = ScoreHistogramDisplay.from_predictions([1, -1], scores, threshold=scores[0])
        display.figure_.draw_without_rendering()
        assert display.normal_ and display.anomalous_

    def test_scores_that_are_too_far_apart(self):
        with pytest.raises(ValueError, match=r"The scores go from -1\.7e\+308 to 1\.7e\+308"):
            ScoreHistogramDisplay.from_predictions([1, -1], [-1.7e308, 1.7e308])


class TestPartialROCDisplay:
    def test_no_clips(self):
        with pytest.raises(ValueError, match="There are no clips"):
            PartialROCDisplay.from_predictions([], [])

    def test_extreme_scores_do_not_overflow(self):
        display = PartialROCDisplay.from_predictions([0, 0, 1], [-1.7e308, 1.0, 1.7e308])
        assert display.auc == 1.0 and display.tpr[1] == 1.0

    rng = np.random.default_rng(0)
    y_true = np.repeat([0, 1], [70, 30])
    y_score = rng.normal(y_true, 1)

    @pytest.mark.parametrize("max_fpr", [0.03, 0.1, 0.5, 1.0])
    def test_shaded_area_is_what_the_pauc_counts(self, max_fpr):
        display = PartialROCDisplay.from_predictions(self.y_true, self.y_score, max_fpr=max_fpr)
        x, y = display.area_.get_paths()[0].vertices.T
        area = abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2  # of a polygon
        least = max_fpr**2 / 2
        assert x.max() == max_fpr
        expected = area if max_fpr == 1 else (1 + (area - least) / (max_fpr - least)) / 2
        assert pauc_score(self.y_true, self.y_score, max_fpr=max_fpr) == pytest.approx(expected)

    def test_numbers_in_the_legend(self):
        display = PartialROCDisplay.from_predictions(self.y_true, self.y_score, name="kNN")
        assert display.auc == auc_score(self.y_true, self.y_score)
        assert display.pauc == pauc_score(self.y_true, self.y_score)
        assert display.line_.get_label() == f"kNN\nAUC {display.auc:.3f}\npAUC {display.pauc:.3f} (FPR ≤ 10%)"

    def test_curve(self):
        display = PartialROCDisplay.from_predictions([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9])
        assert display.line_.get_xydata().tolist() == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]

    def test_from_estimator_takes_anomalies_for_what_is_to_be_found(self, X):
        detector = EllipticEnvelope(random_state=0).fit(X[:80])
        display = PartialROCDisplay.from_estimator(detector, X, Y, max_fpr=0.2, color="k")
        expected = PartialROCDisplay.from_predictions(*anomaly_predictions(detector, X, Y), max_fpr=0.2)
        assert display.auc == auc_scorer(detector, X, Y) > 0.8
        assert (display.tpr == expected.tpr).all() and display.pauc == expected.pauc
        assert display.line_.get_color() == "k"

    def test_two_curves_share_one_line_of_chance(self):
        first = PartialROCDisplay.from_predictions(self.y_true, self.y_score, name="a")
        PartialROCDisplay.from_predictions(self.y_true, -self.y_score, name="b", ax=first.ax_, color="C1")
        names = [text.get_text().split("\n")[0] for text in first.ax_.get_legend().get_texts()]
        assert names == ["a", "chance", "b"]

    def test_numbers_alone(self):
        display = PartialROCDisplay(fpr=np.array([0.0, 0.0, 1.0]), tpr=np.array([0.0, 1.0, 1.0])).plot()
        assert display.line_.get_label() == "ROC"

    def test_one_class(self):
        with pytest.raises(ValueError, match="has 2 normal and 0 anomalous clips"):
            PartialROCDisplay.from_predictions([0, 0], [1, 2])


def test_matplotlib_is_loaded_late():
    code = "import sys, skasd.plotting; sys.exit('matplotlib' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


class TestGroups:
    """Curves and histograms of each section or domain by itself."""

    scores, label = np.random.default_rng(0).normal(Y, 1), Y
    clips = Clips(embedding=np.zeros((100, 3)), label=Y, section=np.tile(["00", "01"], 50), domain=np.repeat("", 100))

    def detector(self):
        return type("Given", (), {"score_samples": lambda _, X: self.scores})()

    def test_each_group_has_its_curve(self):
        display = PartialROCDisplay.from_estimator(self.detector(), self.clips, by="section", name="fan")
        assert display.group == ["00", "01"] and len(display.line_) == len(display.area_) == 2
        for number, section in enumerate(display.group):
            rows = self.clips["section"] == section
            alone = PartialROCDisplay.from_predictions(Y[rows] == -1, -self.scores[rows])
            assert (display.auc[number], display.pauc[number]) == (alone.auc, alone.pauc)
            assert (display.line_[number].get_xydata() == alone.line_.get_xydata()).all()
            assert display.line_[number].get_label() == f"fan\nsection {section}\n{alone.line_.get_label()}"
        assert display.line_[0].get_color() != display.line_[1].get_color()

    def test_each_group_has_its_row(self):
        display = ScoreHistogramDisplay.from_estimator(self.detector(), self.clips, by="section", bins=8)
        assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == ["00", "01"]
        bottoms = [patch.get_xy()[:, 1].min() for patch in display.normal_ + display.anomalous_]
        tops = [patch.get_xy()[:, 1].max() for patch in display.normal_ + display.anomalous_]
        assert bottoms == [0, 1, 0, 1] and max(np.subtract(tops, bottoms)) == pytest.approx(0.9)
        edges = np.histogram_bin_edges(self.scores, 8)
        rows = (self.clips["section"] == "01") & (Y == 1)
        shares = np.histogram(self.scores[rows], edges)[0] / rows.sum()
        heights = display.normal_[1].get_xy()[:, 1] - 1
        assert heights.max() / 0.9 * display._highest(edges) == pytest.approx(shares.max())
        legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert legend == ["normal (80 clips)", "anomalous (20 clips)"]

    @pytest.mark.parametrize("display", [PartialROCDisplay, ScoreHistogramDisplay])
    def test_bad_groups(self, display):
        for by, message in (("machine", "'machine'"), ("embedding", r"\(100, 3\)")):
            with pytest.raises(ValueError, match=message):
                display.from_estimator(self.detector(), self.clips, by=by)
        first = Y == -1 if display is PartialROCDisplay else Y
        with pytest.raises(ValueError, match=r"one value per clip.*\(99,\)"):
            display.from_predictions(first, self.scores, group=["a"] * 99)

    def test_a_group_of_one_kind_has_no_curve(self):
        with pytest.raises(ValueError, match=r"section '00'.* 0 anomalous"):
            PartialROCDisplay.from_predictions(Y == -1, -self.scores, group=np.where(Y == -1, "01", "00"), by="section")

    def test_an_unknown_domain_has_a_name(self):
        display = ScoreHistogramDisplay.from_estimator(self.detector(), self.clips, by="domain")
        assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == ["unknown"]
