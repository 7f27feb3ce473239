"""Maps of embeddings."""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from skasd._docstrings import documented
from skasd._labels import LABELS
from skasd._reading import read_field
from skasd.plotting._style import ANOMALOUS, COLORS, NEUTRAL, NORMAL, Display, group_name, groups_of, plain

_MARKERS = "osv^D<>Ph*"
_LARGEST = 1e100
_METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
_LABELCOLORS = {1: NORMAL, -1: ANOMALOUS, 0: NEUTRAL}


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class EmbeddingDisplay(Display):
    """Embeddings as points in two dimensions, coloured by section, domain, label or any other field.

    Make it with `from_embedding` or `from_estimator`.

    Parameters
    ----------
    points : ndarray of shape (n_clips, 2)
        Where the clips are.

    group : ndarray of shape (n_clips,), default=None
        Group of each clip, which its colour and marker show.

    by : str, default=None
        What the groups are; the title of the legend.

    method : str, default="as given"
        How the two dimensions were made, in words.

    {title}

    Attributes
    ----------
    points_ : list of matplotlib.collections.PathCollection
        The points of each group.

    {drawn}

    See Also
    --------
    ScoreHistogramDisplay : The scores of a detector.

    Notes
    -----
    t-SNE and UMAP keep neighbours together, but distances between groups and sizes of groups mean nothing. Groups that
    are separate in such a map need not be far apart.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.clips import Clips
    >>> from skasd.plotting import EmbeddingDisplay
    >>> clips = Clips(embedding=np.random.default_rng(0).normal(size=(20, 8)), section=["00", "01"] * 10)
    >>> display = EmbeddingDisplay.from_embedding(clips, by="section")
    >>> [points.get_label() for points in display.points_]
    ['00', '01']
    """

    points: np.ndarray
    group: np.ndarray | None = None
    by: str | None = None
    method: str = "as given"
    name: str | None = None

    @classmethod
    @documented
    def from_estimator(cls, estimator, X, *, by=None, method="pca", random_state=0, name=None, ax=None, **kwargs):
        """Draw the embeddings from a fitted embedder.

        Parameters
        ----------
        estimator : transformer
            Fitted, such as an embedder, or a pipeline of all steps before the detector (``system[:-1]``).

        X : Clips or array-like
            What it takes.

        by : str, default=None
            Field of `Clips` whose values are the groups, such as ``"section"``, ``"domain"`` or ``"label"``.

        method : {"pca", "tsne", "umap"}, default="pca"
            How the two dimensions are made. UMAP needs the package ``umap-learn``.

        random_state : int, RandomState instance or None, default=0
            Seed of the method.

        name : str, default=None
            Title.

        {ax}

        **kwargs : dict
            For `matplotlib.axes.Axes.scatter`.

        {returned}
        """
        options = {"by": by, "method": method, "random_state": random_state, "name": name, "ax": ax}
        return cls.from_embedding(estimator.transform(X), **options, **kwargs)

    @classmethod
    @documented
    def from_embedding(cls, X, *, by=None, method="pca", random_state=0, name=None, ax=None, **kwargs):
        """Draw existing embeddings.

        Parameters
        ----------
        X : Clips with the field `embedding`, or array-like of shape (n_clips, n_features)
            Embeddings. Windows (n_clips, n_windows, n_features) are averaged.

        by : str, default=None
            Field of `Clips` whose values are the groups, such as ``"section"``, ``"domain"`` or ``"label"``.

        method : {"pca", "tsne", "umap"}, default="pca"
            How the two dimensions are made. UMAP needs the package ``umap-learn``.

        random_state : int, RandomState instance or None, default=0
            Seed of the method.

        name : str, default=None
            Title.

        {ax}

        **kwargs : dict
            For `matplotlib.axes.Axes.scatter`.

        {returned}

        Raises
        ------
        ValueError
            If embeddings are not finite or do not have two or three dimensions, if there are fewer than three, or if
            the method or field does not exist.

        ImportError
            If ``method="umap"`` and umap-learn is not installed.
        """
        rows = _rows(X)
        group = groups_of(X, by, cls.__name__)
        points = _flat(rows, method, random_state)
        return cls(points=points, group=group, by=by, method=_METHODS[method], name=name).plot(ax=ax, **kwargs)

    @documented
    def plot(self, ax=None, **kwargs):
        """Draw the points, group by group.

        Parameters
        ----------
        {ax}

        **kwargs : dict
            For `matplotlib.axes.Axes.scatter`.

        {returned}
        """
        self._open(ax)
        if ax is None:
            self.figure_.set_layout_engine("constrained")  # which leaves room for the legend
        self.points_ = []
        group = np.zeros(len(self.points)) if self.group is None else self.group
        for number, value in enumerate(np.unique(group)):
            style = {"color": self._color(number, value), "marker": _MARKERS[number // len(COLORS) % len(_MARKERS)]}
            style |= {"s": 22, "alpha": 0.75, "linewidth": 0, "label": self._name_of(value)}
            self.points_.append(self.ax_.scatter(*self.points[group == value].T, **style | kwargs))
        self.ax_.set(xlabel=f"dimension 1 ({self.method})", ylabel=f"dimension 2 ({self.method})")
        self.ax_.set_title(plain(self.name))
        if self.group is not None:
            n_columns = 1 + (len(self.points_) - 1) // 20
            self.ax_.legend(title=plain(self.by), ncols=n_columns, loc="center left", bbox_to_anchor=(1.01, 0.5))
            self.ax_.get_legend().get_title().set_color(self.ax_.get_legend().get_texts()[0].get_color())
        return self

    def _color(self, number, value):
        return _LABELCOLORS[int(value)] if self.by == "label" else COLORS[number % len(COLORS)]

    def _name_of(self, value):
        if self.group is None:
            return None
        text = LABELS[int(value)] if self.by == "label" else group_name(value)
        return f" {text}" if text.startswith("_") else text  # matplotlib would leave it out of the legend


def _rows(X):
    """Finite embeddings (n_clips, n_features) in float64, the mean of windows."""
    _, values = read_field(X, "embedding", owner="EmbeddingDisplay")
    values = np.asarray(values, dtype=np.float64)
    rows = values.mean(axis=1) if values.ndim == 3 else values
    if rows.ndim != 2 or len(rows) < 3 or not rows.shape[1] or not np.isfinite(rows).all():
        raise ValueError("EmbeddingDisplay needs at least three embeddings of finite numbers, (n_clips, n_features) or "
                         f"(n_clips, n_windows, n_features); got shape {values.shape} with "
                         f"{np.count_nonzero(~np.isfinite(values))} NaN or infinite.")  # fmt: skip
    if np.abs(rows).max() > _LARGEST:
        raise ValueError(f"EmbeddingDisplay got embeddings with values up to {np.abs(rows).max():.3g}; their squares "
                         f"are more than float64 can hold. Scale them below {_LARGEST:g}.")  # fmt: skip
    return rows if rows.shape[1] > 1 else np.hstack([rows, np.zeros_like(rows)])


def _flat(rows, method, random_state):
    """Rows in two dimensions."""
    if method == "pca":
        with np.errstate(invalid="ignore"):  # the shares of the variance, which copies of one clip do not have
            return PCA(2, random_state=random_state).fit_transform(rows)
    if method == "tsne":
        perplexity = min(30.0, (len(rows) - 1) / 3)
        return TSNE(2, perplexity=perplexity, init="random", random_state=random_state).fit_transform(rows)
    if method != "umap":
        raise ValueError(f"method must be one of {', '.join(_METHODS)}; got {method!r}.")
    try:
        from umap import UMAP
    except ImportError as error:
        raise ImportError("method='umap' needs umap-learn: pip install umap-learn. method='tsne' needs nothing "
                          "more.") from error  # fmt: skip
    return UMAP(n_neighbors=min(15, len(rows) - 1), random_state=random_state, n_jobs=1).fit_transform(rows)
