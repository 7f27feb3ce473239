"""Maps of embeddings."""

import importlib.util

import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.decomposition import PCA

from skasd.clips import Clips
from skasd.plotting import EmbeddingDisplay
from skasd.plotting._style import ANOMALOUS, NORMAL

X = np.random.default_rng(0).normal(size=(24, 5))
CLIPS = Clips(embedding=X, label=[1, 1, -1] * 8, section=["00", "01"] * 12, domain=["", "target"] * 12)


def test_points_are_principal_components_and_windows_count_by_their_mean():
    windows = X[:, np.newaxis] + np.array([-1.0, 1.0])[:, np.newaxis]
    for given in (X, CLIPS, windows):
        display = EmbeddingDisplay.from_embedding(given)
        np.testing.assert_allclose(display.points, PCA(2).fit_transform(X))
        assert display.ax_.get_xlabel() == "dimension 1 (PCA)" and display.ax_.get_legend() is None


def test_groups_have_colours_and_names():
    display = EmbeddingDisplay.from_embedding(CLIPS, by="label")
    assert {points.get_label(): to_hex(points.get_facecolor()[0]) for points in display.points_} == {
        "anomalous": ANOMALOUS.lower(), "normal": NORMAL.lower(),
    }  # fmt: skip
    assert [len(points.get_offsets()) for points in display.points_] == [8, 16]
    names = [points.get_label() for points in EmbeddingDisplay.from_embedding(CLIPS, by="domain").points_]
    assert names == ["unknown", "target"]


def test_tsne_keeps_two_far_groups_apart():
    far = X + 100 * (np.arange(24) % 2)[:, np.newaxis]
    points = EmbeddingDisplay.from_embedding(far, method="tsne").points
    distances = np.linalg.norm(points[:, np.newaxis] - points, axis=2) + 1e9 * np.eye(24)
    assert (distances.argmin(axis=1) % 2 == np.arange(24) % 2).all()


@pytest.mark.parametrize(
    "given, options, message",
    [
        (X, {"by": "section"}, "plain array"),
        (CLIPS, {"by": "machine"}, "'machine'"),
        (CLIPS, {"by": "embedding"}, r"\(24, 5\)"),
        (CLIPS, {"method": "lda"}, "pca, tsne, umap"),
        (X[:2], {}, r"\(2, 5\)"),
        (np.where(X > 2, np.nan, X), {}, "NaN"),
    ],
)
def test_what_cannot_be_drawn_is_refused(given, options, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingDisplay.from_embedding(given, **options)


@pytest.mark.skipif(importlib.util.find_spec("umap") is not None, reason="umap-learn is installed")
def test_umap_says_what_to_install():
    with pytest.raises(ImportError, match="umap-learn"):
        EmbeddingDisplay.from_embedding(X, method="umap")


def test_copies_are_one_point():
    np.testing.assert_allclose(EmbeddingDisplay.from_embedding(np.ones((5, 3))).points, np.zeros((5, 2)))


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_values_whose_squares_overflow_are_refused(method):
    with pytest.raises(ValueError, match="EmbeddingDisplay"):
        EmbeddingDisplay.from_embedding(1e200 * X, method=method)
