"""From spectrograms to one vector a clip, or one a window."""

from skasd.embedders._statistics import StatisticsEmbedder

__all__ = ["StatisticsEmbedder"]
