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


@pytest.mark.parametrize(("pattern", "folder"), [("{parent}/{stem}.npy", "."), ("{parent}/emb/{name}.npy", "emb")])
def test_embeddings_lie_beside_the_clips_or_where_the_pattern_says(tmp_path, pattern, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    values = np.random.default_rng(0).normal(size=(2, 3))
    for number, one in enumerate(values):
        np.save(tmp_path / folder / (f"{number}.npy" if folder == "." else f"{number}.wav.npy"), one)
    paths = [tmp_path / f"{number}.wav" for number in range(2)]
    loader = EmbeddingLoader() if folder == "." else EmbeddingLoader(pattern)
    assert_array_equal(loader.fit_transform(paths), values)


def test_clips_may_have_more_windows_than_in_fit_but_no_other_features(stored):
    paths, values, loader = stored((4, 3), (2, 3), (4, 5))
    assert_array_equal(loader.fit(paths[:1]).transform(paths[1:2]), values[1:2])
    with pytest.raises(ValueError, match=r"\(4, 5\) and had \(4, 3\)"):
        loader.transform(paths[2:])


def test_windows_that_are_given_are_pooled_too():
    windows = np.random.default_rng(0).normal(size=(3, 4, 2))
    assert_array_equal(EmbeddingLoader(pool="max").fit_transform(windows), windows.max(axis=1))
    assert_array_equal(EmbeddingLoader().fit_transform(windows), windows)


def test_features_have_names_and_windows_have_none(stored):
    paths, _, loader = stored((5,), (4, 3))
    assert len(loader.fit(paths[:1]).get_feature_names_out()) == 5
    assert not hasattr(loader.fit(paths[1:]), "get_feature_names_out")


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
