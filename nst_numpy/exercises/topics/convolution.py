"""The gradients of a convolution, with respect to its input, its kernel and its bias."""

# mypy: allow-untyped-defs, allow-untyped-calls

from dataclasses import replace

import numpy as np

from nst_numpy.exercises.model import Exercise, map_cases, without_border
from nst_numpy.layers import conv_backward_bias, conv_backward_input, conv_backward_kernel, conv_forward, pad_forward

CONVOLUTION = """Forward, with stride 1 and x = 0 outside the image, so that y has the height and width of x:

y[h, w, k] = bias[k] + Σ_i Σ_j Σ_c x[h + i − 1, w + j − 1, c] · kernel[i, j, c, k]

with i and j from 0 to 2. The kernel is not flipped. dy is ∂L/∂y for some scalar loss L;"""


def _arrays(rng, H, W, C):
    """The input x, a kernel, and dy."""
    K = C if C == 1 or H == 1 else 3 if C < 4 else 2  # as many outputs as inputs, more, and fewer
    return rng.standard_normal((H, W, C)), rng.standard_normal((3, 3, C, K)), rng.standard_normal((H, W, K))


def _cases(make):
    """With the numbers of input and output channels as sizes."""

    def cases(seed):
        for case in map_cases(make)(seed):
            dy, other = case.arguments
            H, W, K = dy.shape
            yield replace(case, sizes={"H": H, "W": W, "C": other.shape[2], "K": K})

    return cases


def _by_input(*size):
    _, kernel, dy = _arrays(*size)
    return dy, kernel


def _by_kernel(*size):
    x, _, dy = _arrays(*size)
    return dy, x


def _alone(kernel, i, j):
    """The kernel with nothing but this offset."""
    only = np.zeros_like(kernel)
    only[i, j] = kernel[i, j]
    return only


# With respect to the input --------------------------------------------------------------------------------------------

INPUT = Exercise(
    conv_backward_input,
    _cases(_by_input),
    task=f"""Gradient of a convolution with respect to its input.

{CONVOLUTION} return ∂L/∂x.""",
    hints=(
        "Which outputs does one input element x[q, c] touch, and with which factor each? There are nine positions.",
        "Forward gathers x[p + o] through kernel[o]. Backward scatters dy[p] through the transpose of kernel[o] to the "
        "same place, p + o, and adds. Work on an array with a border of one pixel, and cut it off at the end.",
    ),
    terms=lambda dy, kernel: {
        f"offset ({i}, {j})": conv_backward_input(dy, _alone(kernel, i, j)) for i, j in np.ndindex(3, 3)
    },
    forward=lambda dy, kernel: (
        lambda v: float(np.sum(dy * conv_forward(v, kernel, np.zeros(dy.shape[2])))),
        np.zeros((*dy.shape[:2], kernel.shape[2])),
    ),
)


@INPUT.bug("kernel-not-flipped", "the numbers are those of the kernel rotated by 180° once too often, or not at all")
def _(dy, kernel):
    H, W, _ = dy.shape
    padded = np.pad(dy, ((1, 1), (1, 1), (0, 0)))
    dx = np.zeros((H, W, kernel.shape[2]))
    for i, j in np.ndindex(3, 3):
        dx += padded[i : i + H, j : j + W] @ kernel[i, j].T
    return dx


@INPUT.bug("overlap-overwritten", "each element holds the contribution of only one of its nine windows")
def _overwritten(dy, kernel):
    H, W, _ = dy.shape
    dx = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i, j in np.ndindex(3, 3):
        dx[i : i + H, j : j + W] = dy @ kernel[i, j].T
    return dx[1:-1, 1:-1]


@INPUT.bug("shifted", "cropped at the lower right only")
def _(dy, kernel):
    H, W, _ = dy.shape
    dx = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i, j in np.ndindex(3, 3):
        dx[i : i + H, j : j + W] += dy @ kernel[i, j].T
    return dx[:H, :W]


@INPUT.bug("edges-lost", "windows that extend beyond the border are left out")
def _(dy, kernel):
    H, W, _ = dy.shape
    dx = np.zeros((H, W, kernel.shape[2]))
    for h in range(1, H - 1):
        for w in range(1, W - 1):
            dx[h - 1 : h + 2, w - 1 : w + 2] += kernel @ dy[h, w]
    return dx


@INPUT.bug("transposed", "rows and columns of the kernel are exchanged")
def _(dy, kernel):
    H, W, _ = dy.shape
    dx = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i, j in np.ndindex(3, 3):
        dx[i : i + H, j : j + W] += dy @ kernel[j, i].T
    return dx[1:-1, 1:-1]


@INPUT.bug("channels-swapped", "dy is multiplied by kernel[o] instead of its transpose")
def _(dy, kernel):
    H, W, _ = dy.shape
    dx = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i, j in np.ndindex(3, 3):
        dx[i : i + H, j : j + W] += dy @ kernel[i, j]
    return dx[1:-1, 1:-1]


def _uncropped(dy, kernel):
    return conv_backward_input(pad_forward(dy, "zero"), kernel)


HALF_TURNED = "the kernel is reversed in one direction only"
FULLY_TURNED = "the kernel is reversed along all axes: its channels, too"
QUARTER_TURNED = "the kernel is rotated by 90°, not by 180°"
INPUT.recognise(
    ("kernel-not-flipped", HALF_TURNED, lambda dy, kernel: conv_backward_input(dy, kernel[::-1])),
    ("kernel-not-flipped", HALF_TURNED, lambda dy, kernel: conv_backward_input(dy, kernel[:, ::-1])),
    ("kernel-not-flipped", FULLY_TURNED, lambda dy, kernel: conv_backward_input(dy, kernel[:, :, ::-1, ::-1])),
    ("kernel-not-flipped", QUARTER_TURNED, lambda dy, kernel: conv_backward_input(dy, np.rot90(kernel))),
    ("kernel-not-flipped", QUARTER_TURNED, lambda dy, kernel: conv_backward_input(dy, np.rot90(kernel, 3))),
    (
        "channels-swapped",
        "dy is multiplied by kernel[o] instead of its transpose, and the kernel is not rotated",
        lambda dy, kernel: conv_backward_input(dy, kernel.swapaxes(2, 3)[::-1, ::-1]),
    ),
    (
        "overlap-overwritten",
        "each element holds the contribution of only the last of its nine windows",
        lambda dy, kernel: _overwritten(dy[::-1, ::-1], kernel[::-1, ::-1])[::-1, ::-1],
    ),
    ("shifted", "cropped at the upper left only", lambda dy, kernel: _uncropped(dy, kernel)[2:, 2:]),
    ("shifted", "cropped a row too late", lambda dy, kernel: _uncropped(dy, kernel)[2:, 1:-1]),
    ("shifted", "cropped a row too early", lambda dy, kernel: _uncropped(dy, kernel)[:-2, 1:-1]),
    ("shifted", "cropped a column too late", lambda dy, kernel: _uncropped(dy, kernel)[1:-1, 2:]),
    ("shifted", "cropped a column too early", lambda dy, kernel: _uncropped(dy, kernel)[1:-1, :-2]),
    ("edges-lost", "zero at the border", lambda dy, kernel: without_border(conv_backward_input(dy, kernel))),
    ("edges-lost", "dy wraps around (np.roll)", lambda dy, kernel: _around(dy, kernel)),
    ("edges-lost", "the border of dy is repeated", lambda dy, kernel: _around(dy, kernel, "edge")),
)


def _around(dy, kernel, mode="wrap"):
    """From dy with a border that is not zero."""
    return conv_backward_input(np.pad(dy, ((1, 1), (1, 1), (0, 0)), mode), kernel)[1:-1, 1:-1]


# With respect to the kernel -------------------------------------------------------------------------------------------

KERNEL = Exercise(
    conv_backward_kernel,
    _cases(_by_kernel),
    task=f"""Gradient of a convolution with respect to its kernel.

{CONVOLUTION} return ∂L/∂kernel.""",
    hints=(
        "One number kernel[o, c, k] is used at every position p. So its gradient is a sum over positions.",
        "It multiplies x[p + o, c] and goes into y[p, k]. Shift the padded image by o: then the sum over positions of "
        "x[p + o, c] · dy[p, k] is one matrix product for each of the nine offsets.",
    ),
    sums_over=("H", "W"),
    forward=lambda dy, x: (
        lambda v: float(np.sum(dy * conv_forward(x, v, np.zeros(dy.shape[2])))),
        np.zeros((3, 3, x.shape[2], dy.shape[2])),
    ),
)


@KERNEL.bug("edges-lost", "positions whose window extends beyond the border are left out")
def _(dy, x):
    H, W, C = x.shape
    dkernel = np.zeros((3, 3, C, dy.shape[2]))
    for h in range(1, H - 1):
        for w in range(1, W - 1):
            dkernel += x[h - 1 : h + 2, w - 1 : w + 2, :, None] * dy[h, w]
    return dkernel


@KERNEL.bug("mean-for-sum")
def _(dy, x):
    H, W, C = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    dkernel = np.zeros((3, 3, C, dy.shape[2]))
    for i, j in np.ndindex(3, 3):
        dkernel[i, j] = padded[i : i + H, j : j + W].reshape(-1, C).T @ dy.reshape(H * W, -1)
    return dkernel / (H * W)


@KERNEL.bug("kernel-not-flipped", "the offsets run backwards: the gradient of kernel[o] stands at −o")
def _(dy, x):
    H, W, C = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    dkernel = np.zeros((3, 3, C, dy.shape[2]))
    for i, j in np.ndindex(3, 3):
        dkernel[2 - i, 2 - j] = np.einsum("hwc,hwk->ck", padded[i : i + H, j : j + W], dy)
    return dkernel


@KERNEL.bug("overlap-overwritten", "each position overwrites the one before: only the last is left")
def _(dy, x):
    H, W, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    for h, w in np.ndindex(H, W):
        dkernel = padded[h : h + 3, w : w + 3, :, None] * dy[h, w]
    return dkernel


def _padded(top, left):
    """With this many rows and columns of zeros before the image, not one."""

    def gradient(dy, x):
        H, W, _ = x.shape
        padded = np.pad(x, ((top, 2), (left, 2), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (H, W), axis=(0, 1))[:3, :3]
        return np.einsum("ijchw,hwk->ijck", windows, dy)

    return gradient


KERNEL.recognise(
    *(
        ("shifted", f"the image has {top} rows and {left} columns of zeros before it, not 1", _padded(top, left))
        for top, left in np.ndindex(3, 3)
        if (top, left) != (1, 1)
    ),
    ("transposed", "rows and columns are exchanged", lambda dy, x: conv_backward_kernel(dy, x).swapaxes(0, 1)),
    ("channels-swapped", "the channels are exchanged", lambda dy, x: conv_backward_kernel(dy, x).swapaxes(2, 3)),
    ("kernel-not-flipped", HALF_TURNED, lambda dy, x: conv_backward_kernel(dy, x)[::-1]),
    ("kernel-not-flipped", HALF_TURNED, lambda dy, x: conv_backward_kernel(dy, x)[:, ::-1]),
    ("edges-lost", "the border is repeated, not zero", lambda dy, x: conv_backward_kernel(dy, x, "replicate")),
    ("edges-lost", "the image wraps around", lambda dy, x: conv_backward_kernel(dy, x, "circular")),
)

# With respect to the bias ---------------------------------------------------------------------------------------------

BIAS = Exercise(
    conv_backward_bias,
    map_cases(lambda rng, H, W, C: (rng.standard_normal((H, W, C)),)),
    task=f"""Gradient of a convolution with respect to its bias.

{CONVOLUTION} return ∂L/∂bias.""",
    hints=(
        "bias[k] is added to y[p, k] at every position p.",
        "Each of these additions has the slope 1. Sum dy over all positions; the channels stay.",
    ),
    sums_over=("H", "W"),
    forward=lambda dy: (lambda v: float(np.sum(dy * v)), np.zeros(dy.shape[2])),
)


@BIAS.bug("mean-for-sum")
def _(dy):
    return dy.mean(axis=(0, 1))


@BIAS.bug("wrong-shape")
def _(dy):
    return dy.sum(axis=0)


BIAS.recognise(
    ("wrong-operand", "the magnitudes are summed", lambda dy: np.abs(dy).sum(axis=(0, 1))),
    ("edges-lost", "the border is left out of the sum", lambda dy: dy[1:-1, 1:-1].sum(axis=(0, 1))),
    ("overlap-overwritten", "only the last position of the sum is left", lambda dy: dy[-1, -1]),
)
