"""Embeddings that are there already: where they lie, what they hold, and what is said when they do not fit."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skasd.clips import Clips
from skasd.embedders import EmbeddingLoader


@pytest.fixture
def stored(tmp_path):
    rng = np.random.default_rng(0)

    def store(*shapes):
        paths = [f"audio/clip{number}.wav" for number in range(len(shapes))]
        values = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
        for number, one in enumerate(values):
            np.save(tmp_path / f"clip{number}.npy", one)
        return paths, values, EmbeddingLoader(f"{tmp_path}/{{stem}}.npy")

    return store


@pytest.mark.parametrize("shape", [(3,), (4, 3)])
def test_vectors_and_windows_come_back(stored, shape):
    paths, values, loader = stored(shape, shape)
    clips = loader.fit_transform(Clips(path=paths))
    assert_array_equal(clips["embedding"], values)
    assert "path" in clips


def test_windows_of_other_numbers_are_named_or_pooled(stored):
    paths, values, loader = stored((4, 3), (4, 3), (2, 3))
    with pytest.raises(ValueError, match=r"clip0\.npy.*\(4, 3\).*clip2\.npy.*\(2, 3\).*pool='mean'"):
        loader.fit(paths).transform(paths)
    made = loader.set_params(pool="max").fit_transform(paths)
    assert_array_equal(made, [one.max(axis=0) for one in values])


def test_all_that_is_wrong_with_the_files_is_told(stored, tmp_path):
    paths, _, loader = stored((3,), (3,), (3,), (3,))
    (tmp_path / "clip0.npy").unlink()
    (tmp_path / "clip1.npy").write_bytes(b"no array")
    np.save(tmp_path / "clip2.npy", np.array([1.0, np.nan, 2.0]))
    np.save(tmp_path / "clip3.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    loader.shape_ = (3,)
    with pytest.raises(ValueError, match=r"(?s)4 of 4.*clip0.npy: no such.*clip1.npy.*clip2.npy.*NaN.*clip3.npy"):
        loader.transform(paths)


def test_embeddings_of_another_network_are_refused(stored):
    paths, _, loader = stored((3,), (5,))
    with pytest.raises(ValueError, match=r"\(5,\) and had \(3,\)"):
        loader.fit(paths[:1]).transform(paths[1:])


@pytest.mark.parametrize(
    "pattern", ["emb/{section}.npy", "emb/all.npy", "{stem", "}{stem}", "{stem:d}", "{stem}{}", "{stem}{0}"]
)
def test_a_pattern_names_the_clip(pattern):
    with pytest.raises(ValueError, match="pattern must have"):
        EmbeddingLoader(pattern).fit(["a.wav"])
