"""What the networks on spectrograms share: stages, and an embedding made of the last."""

from collections import deque

from torch import nn


class StagedNetwork(nn.Module):
    """A network on spectrograms: a subclass gives the map of each stage in turn, and the embedding made of the last."""

    def forward(self, x):
        """Embed spectrograms.

        Parameters
        ----------
        x : Tensor of shape (batch, n_mels, n_frames) or (batch, in_channels, n_mels, n_frames)

        Returns
        -------
        embedding : Tensor of shape (batch, embedding_size)

        Raises
        ------
        ValueError
            If the number of channels, mel bands or frames is not what the network is built for.
        """
        return self._embed(deque(self._maps(x), maxlen=1).pop())

    def forward_stages(self, x):
        """The mean of each stage's map, and the embedding.

        Parameters
        ----------
        x : Tensor of shape (batch, n_mels, n_frames) or (batch, in_channels, n_mels, n_frames)

        Returns
        -------
        stages : list of Tensor of shape (batch, channels)
            The last one is the embedding.
        """
        means = []
        for last in self._maps(x):
            means.append(last.mean((2, 3)))
        return [*means, self._embed(last)]

    def _maps(self, x):
        raise NotImplementedError

    def _embed(self, last):
        raise NotImplementedError
