"""The layers of a VGG network: convolution, ReLU, max pooling and average pooling.

Each layer is a pair of pure functions. `..._forward` computes the layer's output y from its input x.
`..._backward` takes dy, the derivative of some scalar loss L with respect to y, and returns the derivative of the same
L with respect to the input (or the kernel, or the bias). That is all backpropagation is: the chain rule, one layer at a
time. In the derivations below, ∂L/∂y is written dy, ∂L/∂x is written dx, and p, q stand for positions (row, column).

Arrays hold one image, channels last: (H, W, C). They are float32 or float64, and the result has the dtype of the input.
No function changes its arguments.
"""

from collections.abc import Iterator

import numpy as np

from nst_numpy.validation import check_array, check_choice, check_number, checked

PADDINGS = {"zero": "constant", "replicate": "edge", "circular": "wrap"}  # and what NumPy calls them


@checked()
def window_views(x: np.ndarray, window: int, stride: int) -> Iterator[np.ndarray]:
    """Views of `x`, one for each element of a sliding window, in reading order.

    View (i, j) has, at output position (r, s), the element x[r·stride + i, s·stride + j]: the element in row i and
    column j of the window that belongs to (r, s). Reading from the views gathers a window's elements; adding to the
    views of a gradient scatters to them. One is the transpose of the other; the layers below need nothing else.

    Parameters
    ----------
    x : ndarray, shape (H, W, C)
    window, stride : int
        Side of the square window, and the step from one window to the next, in pixels. If (H − window) is not a
        multiple of the stride, the last rows belong to no window (sizes are floored, as in the common frameworks);
        likewise for columns.

    Yields
    ------
    ndarray, shape ((H − window) // stride + 1, (W − window) // stride + 1, C)
        window² views, without copying.

    Raises
    ------
    ValueError
        If the window does not fit into the array, or window or stride is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(12).reshape(3, 4, 1)
    >>> [view[..., 0].tolist() for view in window_views(x, 2, 2)]
    [[[0, 2]], [[1, 3]], [[4, 6]], [[5, 7]]]
    """
    check_array("x", x, "H W C")
    check_number("window", window, whole=True, least=1)
    check_number("stride", stride, whole=True, least=1)
    height, width = x.shape[:2]
    if window > min(height, width):
        raise ValueError(f"a window of {window}×{window} does not fit into an array of {height}×{width}")
    rows = (height - window) // stride * stride + 1
    columns = (width - window) // stride * stride + 1
    for i in range(window):
        for j in range(window):
            yield x[i : i + rows : stride, j : j + columns : stride]


@checked(x="H W C")
def pad_forward(x: np.ndarray, padding: str) -> np.ndarray:
    """A copy of `x` with a border, one pixel wide on each side.

    Parameters
    ----------
    x : ndarray, shape (H, W, C)
    padding : {"zero", "replicate", "circular"}
        What the border holds: zeros, as in VGG (arXiv 1409.1556, section 2.1); the nearest pixel of the image; or the
        pixels of the opposite edge, as if the image were repeated in all directions.

    Returns
    -------
    ndarray, shape (H + 2, W + 2, C)

    Raises
    ------
    ValueError
        If there is no such padding.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1, 2, 3], [4, 5, 6]])[..., None]
    >>> pad_forward(x, "zero")[..., 0]
    array([[0, 0, 0, 0, 0],
           [0, 1, 2, 3, 0],
           [0, 4, 5, 6, 0],
           [0, 0, 0, 0, 0]])
    >>> pad_forward(x, "replicate")[..., 0]
    array([[1, 1, 2, 3, 3],
           [1, 1, 2, 3, 3],
           [4, 4, 5, 6, 6],
           [4, 4, 5, 6, 6]])
    >>> pad_forward(x, "circular")[..., 0]
    array([[6, 4, 5, 6, 4],
           [3, 1, 2, 3, 1],
           [6, 4, 5, 6, 4],
           [3, 1, 2, 3, 1]])
    """
    check_choice("padding", padding, PADDINGS)
    return np.pad(x, ((1, 1), (1, 1), (0, 0)), mode=PADDINGS[padding])  # type: ignore[call-overload]


@checked(dy="H+2 W+2 C")
def pad_backward(dy: np.ndarray, padding: str) -> np.ndarray:
    """Gradient of padding with respect to its input.

    Inside, y is x, so dx is dy there. The zeros of a border are constants: whatever the loss does with them, x has no
    part in it, and their dy is dropped. But an element of a border that is a *copy* of x[q] is one more place where
    x[q] is used, with the factor 1. The chain rule sums over all of them:

    dx[q] = Σ of dy[p] over all positions p, inside and in the border, at which y[p] = x[q] by construction

    The border can be folded in one axis at a time, since it is made that way: the rows above and below are copies of
    rows, and then, corners included, the columns left and right are copies of columns. Replicated, the first and last
    line are copies of their neighbours (1 and −2); circular, of the last and first line of the image (−2 and 1).

    Parameters
    ----------
    dy : ndarray, shape (H + 2, W + 2, C)
    padding : {"zero", "replicate", "circular"}

    Returns
    -------
    ndarray, shape (H, W, C)

    Raises
    ------
    ValueError
        If there is no such padding.

    Examples
    --------
    >>> import numpy as np
    >>> dy = np.ones((4, 5, 1))
    >>> pad_backward(dy, "zero")[..., 0]
    array([[1., 1., 1.],
           [1., 1., 1.]])
    >>> pad_backward(dy, "replicate")[..., 0]  # a corner has three copies
    array([[4., 2., 4.],
           [4., 2., 4.]])
    """
    check_choice("padding", padding, PADDINGS)
    if padding != "zero":
        dy = dy.copy()
        first, last = (1, -2) if padding == "replicate" else (-2, 1)
        for lines in (dy, dy.swapaxes(0, 1)):  # rows, then columns
            lines[first] += lines[0]
            lines[last] += lines[-1]
    return dy[1:-1, 1:-1]


@checked(x="H W C", kernel="3 3 C K", bias="K")
def conv_forward(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, padding: str = "zero") -> np.ndarray:
    """Convolution with 3×3 kernels and stride 1 (VGG: arXiv 1409.1556, section 2.1).

    y[p, k] = bias[k] + Σ_o Σ_c x[p + o, c] · kernel[o, c, k],  o over the nine offsets (−1, −1) … (1, 1)

    The image is padded, in VGG with x = 0 outside it, so that y has the same size as x. As in every deep-learning
    framework the kernel is not flipped, so strictly speaking this is a cross-correlation. For each offset the sum over
    c is a matrix product.

    Parameters
    ----------
    x : ndarray, shape (H, W, C)
    kernel : ndarray, shape (3, 3, C, K)
    bias : ndarray, shape (K,)
    padding : {"zero", "replicate", "circular"}
        See `pad_forward`.

    Returns
    -------
    ndarray, shape (H, W, K)

    Raises
    ------
    ValueError
        If the shapes do not match, or there is no such padding.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(9.0).reshape(3, 3, 1)
    >>> left = np.zeros((3, 3, 1, 1))
    >>> left[1, 0] = 1  # the weight of the neighbour on the left
    >>> conv_forward(x, left, np.array([10.0]))[..., 0]
    array([[10., 10., 11.],
           [10., 13., 14.],
           [10., 16., 17.]])
    """
    y = np.zeros((*x.shape[:2], len(bias)), x.dtype) + bias
    windows = window_views(pad_forward(x, padding), 3, 1)
    for x_o, kernel_o in zip(windows, kernel.reshape(9, *kernel.shape[2:]), strict=True):
        y += x_o @ kernel_o
    return y


@checked(dy="H W K", kernel="3 3 C K")
def conv_backward_input(dy: np.ndarray, kernel: np.ndarray, padding: str = "zero") -> np.ndarray:
    """Gradient of the convolution with respect to its input.

    Which outputs does x[q, c] contribute to? As x[p + o, c] it occurs in exactly the nine y[p, k] with p = q − o, each
    time with the factor kernel[o, c, k]. By the chain rule

    dx[q, c] = Σ_o Σ_k dy[q − o, k] · ∂y[q − o, k]/∂x[q, c] = Σ_o Σ_k dy[q − o, k] · kernel[o, c, k]

    There are two ways to read this. The sign of the offset has changed: it is a convolution of dy with the kernel
    rotated by 180° and C and K exchanged. Or, as in the code: where the forward pass *gathered* x[p + o] through
    kernel[o], the backward pass *scatters* dy[p] through the transpose of kernel[o] to the same place, and adds,
    because the windows overlap. What lands on the border is left to `pad_backward`; a border of zeros is dropped.

    Parameters
    ----------
    dy : ndarray, shape (H, W, K)
    kernel : ndarray, shape (3, 3, C, K)
    padding : {"zero", "replicate", "circular"}
        As in the forward pass.

    Returns
    -------
    ndarray, shape (H, W, C)

    Examples
    --------
    >>> import numpy as np
    >>> left = np.zeros((3, 3, 1, 1))
    >>> left[1, 0] = 1  # y[r, s] = x[r, s − 1]
    >>> dy = np.arange(9.0).reshape(3, 3, 1)
    >>> conv_backward_input(dy, left)[..., 0]
    array([[1., 2., 0.],
           [4., 5., 0.],
           [7., 8., 0.]])
    """
    dx = np.zeros((dy.shape[0] + 2, dy.shape[1] + 2, kernel.shape[2]), dy.dtype)
    for dx_o, kernel_o in zip(window_views(dx, 3, 1), kernel.reshape(9, *kernel.shape[2:]), strict=True):
        dx_o += dy @ kernel_o.T
    return pad_backward(dx, padding)


@checked(dy="H W K", x="H W C")
def conv_backward_kernel(dy: np.ndarray, x: np.ndarray, padding: str = "zero") -> np.ndarray:
    """Gradient of the convolution with respect to its kernel.

    The same kernel is used at every position p, so kernel[o, c, k] contributes to y[p, k] for all p, with the factor
    x[p + o, c]. The chain rule sums over all of them:

    dkernel[o, c, k] = Σ_p x[p + o, c] · dy[p, k]

    For each offset that is one matrix product, the shifted image (C × M), padded as in the forward pass, by dy (M × K),
    M = H·W.

    Parameters
    ----------
    dy : ndarray, shape (H, W, K)
    x : ndarray, shape (H, W, C)
        The input of the forward pass.
    padding : {"zero", "replicate", "circular"}
        As in the forward pass.

    Returns
    -------
    ndarray, shape (3, 3, C, K)

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(9.0).reshape(3, 3, 1)
    >>> dy = np.zeros((3, 3, 1))
    >>> dy[1, 1] = 1  # only the output in the middle counts: it sees all of x
    >>> conv_backward_kernel(dy, x)[..., 0, 0]
    array([[0., 1., 2.],
           [3., 4., 5.],
           [6., 7., 8.]])
    """
    products = [np.tensordot(x_o, dy, axes=((0, 1), (0, 1))) for x_o in window_views(pad_forward(x, padding), 3, 1)]
    return np.reshape(products, (3, 3, x.shape[-1], dy.shape[-1]))


@checked(dy="H W K")
def conv_backward_bias(dy: np.ndarray) -> np.ndarray:
    """Gradient of the convolution with respect to its bias.

    bias[k] is added to y[p, k] at every position p, each time with the factor 1, so dbias[k] = Σ_p dy[p, k].

    Parameters
    ----------
    dy : ndarray, shape (H, W, K)

    Returns
    -------
    ndarray, shape (K,)

    Examples
    --------
    >>> import numpy as np
    >>> conv_backward_bias(np.ones((4, 5, 2)))
    array([20., 20.])
    """
    return dy.sum(axis=(0, 1))


@checked(x="...")
def relu_forward(x: np.ndarray) -> np.ndarray:
    """Rectified linear unit, element by element: y = max(0, x).

    Parameters
    ----------
    x : ndarray, any shape

    Returns
    -------
    ndarray, shape of x

    Examples
    --------
    >>> import numpy as np
    >>> relu_forward(np.array([-1.5, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return np.maximum(x, 0)


@checked(dy="...", x="...?")
def relu_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Gradient of ReLU with respect to its input.

    y = x where x > 0, so ∂y/∂x = 1 there; y = 0 where x < 0, a constant, so ∂y/∂x = 0 there:

    dx = dy where x > 0, and 0 elsewhere

    At x = 0 the left and right derivatives differ (0 and 1), and any value between them is a subgradient; this library
    uses 0. With that choice the output can be used in place of the input, since y > 0 exactly where x > 0. (y >= 0
    cannot be the mask: it is always true.)

    This is the "0 if F < 0" of Gatys et al., equations 2 and 6. There F denotes the response of a layer, which is never
    negative after its ReLU; the condition is about the *input* of the ReLU. So it is applied here, once, and nowhere
    else: the loss functions know nothing about it.

    Parameters
    ----------
    dy : ndarray, any shape
    x : ndarray, shape of dy
        The input of the forward pass.

    Returns
    -------
    ndarray, shape of dy

    Examples
    --------
    >>> import numpy as np
    >>> relu_backward(np.array([5.0, 6.0, 7.0]), np.array([-1.5, 0.0, 2.0]))
    array([0., 0., 7.])
    """
    return dy * (x > 0)


@checked(x="H W C")
def max_pool_forward(x: np.ndarray, window: int = 2, stride: int = 2) -> np.ndarray:
    """Max pooling: each output is the largest element of its window, channel by channel.

    y[p, c] = max over the window of p of x[q, c]

    Parameters
    ----------
    x : ndarray, shape (H, W, C)
    window, stride : int
        In pixels; see `window_views` for sizes that do not divide.

    Returns
    -------
    ndarray, shape ((H − window) // stride + 1, (W − window) // stride + 1, C)

    Raises
    ------
    ValueError
        If the window does not fit into the image.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 2.0, 0.0, 0.0], [4.0, 3.0, 0.0, 5.0]])[..., None]
    >>> max_pool_forward(x)[..., 0]
    array([[4., 5.]])
    """
    return np.maximum.reduce(list(window_views(x, window, stride)))


@checked(x="H W C")
def max_pool_backward(dy: np.ndarray, x: np.ndarray, window: int = 2, stride: int = 2) -> np.ndarray:
    """Gradient of max pooling with respect to its input.

    Near x, y[p, c] equals the largest element of its window: ∂y[p, c]/∂x[q, c] is 1 for that q and 0 for the others. An
    element may be the largest of several overlapping windows, so the contributions add:

    dx[q, c] = Σ of dy[p, c] over the windows p whose largest element is x[q, c]

    Tie rule: if several elements of a window are equally large, the first in reading order (row by row) gets all of dy.
    Another choice would be another subgradient; the sum of dx does not depend on it.

    Parameters
    ----------
    dy : ndarray, shape of the output
    x : ndarray, shape (H, W, C)
        The input of the forward pass.
    window, stride : int

    Returns
    -------
    ndarray, shape (H, W, C)

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 2.0, 0.0, 0.0], [4.0, 3.0, 0.0, 0.0]])[..., None]
    >>> max_pool_backward(np.array([[[10.0], [20.0]]]), x)[..., 0]
    array([[ 0.,  0., 20.,  0.],
           [10.,  0.,  0.,  0.]])
    """
    _check_output(dy, x, window, stride)
    y = max_pool_forward(x, window, stride)
    dx = np.zeros(x.shape, dy.dtype)
    taken = np.zeros(y.shape, bool)
    for x_o, dx_o in zip(window_views(x, window, stride), window_views(dx, window, stride), strict=True):
        is_first_largest = (x_o == y) & ~taken
        dx_o += dy * is_first_largest
        taken |= is_first_largest
    return dx


@checked(x="H W C")
def average_pool_forward(x: np.ndarray, window: int = 2, stride: int = 2) -> np.ndarray:
    """Average pooling: each output is the mean of its window, channel by channel.

    Gatys et al. 2015 (section Methods) use it instead of VGG's max pooling, because it improves gradient flow:

    y[p, c] = 1/window² · Σ over the window of p of x[q, c]

    Parameters
    ----------
    x : ndarray, shape (H, W, C)
    window, stride : int
        In pixels; see `window_views` for sizes that do not divide.

    Returns
    -------
    ndarray, shape ((H − window) // stride + 1, (W − window) // stride + 1, C)

    Raises
    ------
    ValueError
        If the window does not fit into the image.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 2.0, 0.0, 0.0], [4.0, 3.0, 0.0, 5.0]])[..., None]
    >>> average_pool_forward(x)[..., 0]
    array([[2.5 , 1.25]])
    """
    return sum(window_views(x, window, stride)) / window**2


@checked(x="H W C")
def average_pool_backward(dy: np.ndarray, x: np.ndarray, window: int = 2, stride: int = 2) -> np.ndarray:
    """Gradient of average pooling with respect to its input.

    Every element of a window has the same factor, ∂y[p, c]/∂x[q, c] = 1/window², and an element that lies in several
    windows gets a contribution from each of them:

    dx[q, c] = 1/window² · Σ of dy[p, c] over the windows p that contain q

    Elements in no window (the last row or column of an odd size, or the gaps of a stride larger than the window) get 0.

    Parameters
    ----------
    dy : ndarray, shape of the output
    x : ndarray, shape (H, W, C)
        The input of the forward pass; only its shape matters.
    window, stride : int

    Returns
    -------
    ndarray, shape (H, W, C)

    Examples
    --------
    >>> import numpy as np
    >>> average_pool_backward(np.array([[[4.0], [8.0]]]), np.zeros((2, 5, 1)))[..., 0]
    array([[1., 1., 2., 2., 0.],
           [1., 1., 2., 2., 0.]])
    """
    _check_output(dy, x, window, stride)
    dx = np.zeros(x.shape, np.result_type(dy, 1.0))
    for dx_o in window_views(dx, window, stride):
        dx_o += dy / window**2
    return dx


def _check_output(dy: np.ndarray, x: np.ndarray, window: int, stride: int) -> None:
    """Check that dy has the shape of the output of a pooling."""
    y = next(window_views(x, window, stride))
    check_array("dy", dy, "{} {} {}".format(*y.shape))
