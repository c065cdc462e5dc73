"""Backends for training: the convolution without ReLU (a normalisation comes between them), and weight gradients.

A network is trained with `weights/train.py`; painting needs none of this.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from nst_numpy import layers
from nst_numpy.backends import fast, loops, plain
from nst_numpy.backends.fast import NO_SIGNS, Fast, Prepared


class TrainingBackend(Protocol):
    """What training calls. The first four functions, and the rules about memory, are those of `backends.Backend`."""

    def session(self) -> AbstractContextManager[None]: ...

    def prepare(self, kernel: np.ndarray, bias: np.ndarray) -> Any: ...

    def pool_forward(self, x: np.ndarray, kind: str) -> tuple[np.ndarray, Any]: ...

    def pool_backward(self, dy: np.ndarray, kind: str, cache: Any) -> np.ndarray: ...

    def conv_forward(self, x: np.ndarray, prepared: Any) -> np.ndarray:
        """The convolution with its bias, without ReLU.

        Parameters
        ----------
        x : ndarray, shape (H, W, C)
        prepared : opaque

        Returns
        -------
        ndarray, shape (H, W, K)
        """
        ...

    def conv_backward(self, dy: np.ndarray, prepared: Any) -> np.ndarray:
        """Gradient of `conv_forward` with respect to its input.

        Parameters
        ----------
        dy : ndarray, shape (H, W, K)
        prepared : opaque

        Returns
        -------
        ndarray, shape (H, W, C)
        """
        ...

    def conv_backward_weights(self, dy: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of `conv_forward` with respect to kernel and bias.

        Parameters
        ----------
        dy : ndarray, shape (H, W, K)
        x : ndarray, shape (H, W, C)
            The input of the forward pass.

        Returns
        -------
        dkernel : ndarray, shape (3, 3, C, K)
        dbias : ndarray, shape (K,)
        """
        ...


class PlainTraining(TrainingBackend):
    """The functions of `layers.py` for training."""

    session = staticmethod(plain.session)
    prepare = staticmethod(plain.prepare)
    pool_forward = staticmethod(plain.pool_forward)
    pool_backward = staticmethod(plain.pool_backward)

    def conv_forward(self, x: np.ndarray, prepared: plain.Prepared) -> np.ndarray:
        return layers.conv_forward(x, *prepared)

    def conv_backward(self, dy: np.ndarray, prepared: plain.Prepared) -> np.ndarray:
        kernel, _ = prepared
        return layers.conv_backward_input(dy, kernel)

    def conv_backward_weights(self, dy: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return layers.conv_backward_kernel(dy, x), layers.conv_backward_bias(dy)


class FastTraining(Fast, TrainingBackend):
    """The fast backend with what training needs besides. Its parameters are those of `Fast`."""

    def conv_forward(self, x: np.ndarray, prepared: Prepared) -> np.ndarray:
        x = np.ascontiguousarray(x)
        y = self.buffers.take((*x.shape[:2], prepared.K), x.dtype)

        def finish(tiles: np.ndarray, first_row: int) -> None:
            tiles += prepared.bias
            loops.crop(tiles, first_row, y)

        self._convolve(x, prepared, finish)
        return y

    def conv_backward(self, dy: np.ndarray, prepared: Prepared) -> np.ndarray:
        dy = np.ascontiguousarray(dy)

        def gather(first_row: int, padded: np.ndarray) -> None:
            loops.gather(dy, NO_SIGNS, False, first_row, padded)

        return self._convolve_back(dy.shape[:2], dy.dtype, prepared, gather)

    def conv_backward_weights(self, dy: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of `conv_forward` with respect to kernel and bias.

        A strip's neighbourhoods (9 C × positions) times its gradients (positions × K), summed over the strips in order.
        """
        dy, x = np.ascontiguousarray(dy), np.ascontiguousarray(x)
        (height, width, C), K = x.shape, dy.shape[2]
        rows = max(1, min(height, fast.ROWS_OF_COLUMNS // (2 * width)))
        strips = -(-height // rows)
        kernels, biases = np.empty((strips, 9 * C, K), x.dtype), np.empty((strips, K), x.dtype)

        def work(indices: Iterator[int]) -> None:
            padded = self.buffers.take((rows + 2, width + 2, C), x.dtype)
            columns = self.buffers.take((rows, width, 9 * C), x.dtype)
            for strip in indices:
                here = min(rows, height - strip * rows)
                loops.gather(x, NO_SIGNS, False, strip * rows - 1, padded[: here + 2])
                loops.patches(padded[: here + 2], columns[:here])
                dz = dy[strip * rows : strip * rows + here].reshape(-1, K)
                np.matmul(columns[:here].reshape(-1, 9 * C).T, dz, out=kernels[strip])
                biases[strip] = dz.sum(axis=0)

        with self.session():
            self.workers.share(strips, work)
        return kernels.sum(axis=0).reshape(3, 3, C, K), biases.sum(axis=0)
