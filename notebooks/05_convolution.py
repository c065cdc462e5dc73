# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. Convolution backward, derived from one pixel
#
# **You will** find out which outputs one input pixel contributes to, and derive the backward pass from the answer.
# **You will learn** why "gather" becomes "scatter", and what "rotated by 180°" means.
# **You need** notebook 2.
#
# Forward, with a border of zeros and offsets $o$ from $(-1, -1)$ to $(1, 1)$:
#
# $$y[p, k] = b[k] + \sum_o \sum_c x[p + o, c]\, w[o, c, k]$$

# %%
import numpy as np

from nst_numpy import exercises, gradcheck, layers

rng = np.random.default_rng(0)
H, W, C, K = 4, 5, 2, 3
x, w, b = rng.standard_normal((H, W, C)), rng.standard_normal((3, 3, C, K)), rng.standard_normal(K)


def forward_in_loops(x, w, b):
    y = np.zeros((H, W, K)) + b
    for h in range(H):
        for v in range(W):
            for i in (-1, 0, 1):
                for j in (-1, 0, 1):
                    if 0 <= h + i < H and 0 <= v + j < W:
                        y[h, v] += x[h + i, v + j] @ w[i + 1, j + 1]
    return y


y = layers.conv_forward(x, w, b)
assert np.allclose(y, forward_in_loops(x, w, b))

# %% [markdown]
# ## One pixel
#
# Which outputs does $x[q, c]$ contribute to? Those with $p + o = q$: the nine positions $p = q - o$, each with the
# factor $w[o, c, k]$. Change one pixel and see:

# %%
q = (1, 2)
moved = x.copy()
moved[q][0] += 1
change = layers.conv_forward(moved, w, b) - y
rows, columns = np.nonzero(np.abs(change).sum(axis=2))
print("touched:", sorted({(int(r), int(c)) for r, c in zip(rows, columns, strict=True)}))
for i in (-1, 0, 1):
    for j in (-1, 0, 1):
        assert np.allclose(change[q[0] - i, q[1] - j], w[i + 1, j + 1, 0])

# %% [markdown]
# By the chain rule
#
# $$dx[q, c] = \sum_o \sum_k dy[q - o, k]\, w[o, c, k]$$
#
# The sign of the offset has changed. This is a convolution of $dy$ with the kernel rotated by 180° and its channels
# exchanged; or it is a *scatter*: the forward pass gathers $x[p + o]$ through $w[o]$, the backward pass takes $dy[p]$
# through $w[o]^T$ back to $p + o$ and adds it there, since windows overlap.


# %%
def backward_by_scattering(dy, w):
    dx = np.zeros((H + 2, W + 2, C))  # with the border; what lands there is dropped
    for i in range(3):
        for j in range(3):
            dx[i : i + H, j : j + W] += dy @ w[i, j].T
    return dx[1:-1, 1:-1]


def backward_by_convolving(dy, w):
    return layers.conv_forward(dy, w[::-1, ::-1].swapaxes(2, 3), np.zeros(C))


dy = rng.standard_normal((H, W, K))
assert np.allclose(backward_by_scattering(dy, w), backward_by_convolving(dy, w))
assert gradcheck(lambda x: layers.conv_forward(x, w, b), lambda dy, x: backward_by_scattering(dy, w), x)

# %% [markdown]
# Where does the rotation come from? Follow a single 1, with the numbers 1 to 9 as the kernel. Forward, the outputs
# $p = q - o$ take it with $w[o]$: the kernel appears rotated. Backward, it goes back to $p + o$ with $w[o]$: the kernel
# appears as it is. A convolution with the rotated kernel does the same.

# %% mystnb={"image": {"alt": "A single 1 convolved with the kernel of the numbers 1 to 9 gives the kernel rotated by 180 degrees; as dy, it gives the kernel as it is"}}
import matplotlib.pyplot as plt

one = np.zeros((5, 5, 1))
one[2, 2] = 1
nine = np.arange(1.0, 10).reshape(3, 3, 1, 1)
forward, backward = layers.conv_forward(one, nine, np.zeros(1)), layers.conv_backward_input(one, nine)
steps = {
    "x": one,
    "kernel": nine,
    "y: the kernel, rotated": forward,
    "dy": one,
    "the kernel, rotated": nine[::-1, ::-1],
    "dx: the kernel": backward,
}
figure, axes = plt.subplots(2, 3, figsize=(7.5, 5.4), layout="constrained", width_ratios=(5, 3, 5))
for ax, (title, values) in zip(axes.ravel(), steps.items(), strict=True):
    values = values.reshape(values.shape[:2])
    ax.imshow(values, cmap="Blues", vmin=0, vmax=14)
    ax.set(title=title, xticks=[], yticks=[])
    for (r, c), value in np.ndenumerate(values):
        ax.text(c, r, f"{value:.0f}", ha="center", va="center")
assert np.array_equal(forward[1:4, 1:4, 0], nine[::-1, ::-1, 0, 0]) and np.array_equal(
    backward[1:4, 1:4, 0], nine[..., 0, 0]
)
assert np.array_equal(backward, layers.conv_forward(one, nine[::-1, ::-1], np.zeros(1)))

# %% [markdown]
# ## Kernel and bias
#
# Each number $w[o, c, k]$ is used at every position, so the gradient is a sum over positions.
#
# $$dw[o, c, k] = \sum_p x[p + o, c]\, dy[p, k] \qquad db[k] = \sum_p dy[p, k]$$

# %%
assert gradcheck(lambda w: layers.conv_forward(x, w, b), lambda dy, w: layers.conv_backward_kernel(dy, x), w)
assert gradcheck(lambda b: layers.conv_forward(x, w, b), lambda dy, b: layers.conv_backward_bias(dy), b)

# %% [markdown]
# ## Mistakes, and how they are recognised


# %%
def scatter(dy, kernel, assign=False, crop=np.s_[1:-1, 1:-1]):
    H, W, _ = dy.shape
    dx = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(3):
        for j in range(3):
            part = dy @ kernel[i, j].T
            dx[i : i + H, j : j + W] = part if assign else dx[i : i + H, j : j + W] + part
    return dx[crop]


for wrong in (
    lambda dy, kernel: scatter(dy, kernel[::-1, ::-1]),
    lambda dy, kernel: scatter(dy, kernel, assign=True),
    lambda dy, kernel: scatter(dy, kernel, crop=np.s_[:-2, :-2]),
    lambda dy, kernel: scatter(dy, kernel.swapaxes(2, 3)),
):
    report = exercises.check("conv_backward_input", wrong)
    assert not report
    print(f"{report.diagnosis}  {report.message.splitlines()[0][:90]}")

# %% [markdown]
# ## Exercises
#
# 1. `nst-numpy exercise start conv_backward_input conv_backward_kernel conv_backward_bias -o mine.py`
# 2. For a 1×1 image only one offset contributes. Which one? Check it.
# 3. What changes if the border is replicated instead of zero?
