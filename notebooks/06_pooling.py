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
# # 6. Pooling, forward and backward
#
# **You will** derive the gradients of both poolings, and deal with ties and overlapping windows.
# **You will learn** why assigning instead of adding passes most tests, and when a correct gradient fails a check.
# **You need** notebook 2.
#
# Max pooling passes on the largest element of each window. Near $x$, the output *is* that element: its derivative is 1,
# that of the others 0. In average pooling every element has the derivative $1/\text{window}^2$.

# %%
import numpy as np

from nst_numpy import exercises, gradcheck, layers

x = np.array([[1.0, 5, 2, 0], [3, 4, 1, 7], [8, 2, 6, 1], [0, 3, 2, 5]])[:, :, None]
dy = np.array([[10.0, 20], [30, 40]])[:, :, None]
print(layers.max_pool_forward(x)[:, :, 0])
print(layers.max_pool_backward(dy, x)[:, :, 0])
print(layers.average_pool_backward(dy, x)[:, :, 0])
assert gradcheck(layers.max_pool_forward, layers.max_pool_backward, x)
assert gradcheck(layers.average_pool_forward, layers.average_pool_backward, x)

# %% [markdown]
# ## Overlapping windows
#
# With a window of 3 and a stride of 2, one element can be the largest of several windows. Then it gets a contribution
# from each, so contributions must be added. If windows do not overlap, `=` and `+=` are the same, and a test with
# stride 2 and window 2 does not detect the mistake:


# %%
def assigning(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w, c in np.ndindex(dy.shape):
        seen = x[h * stride : h * stride + window, w * stride : w * stride + window, c]
        i, j = np.unravel_index(seen.argmax(), seen.shape)
        dx[h * stride + i, w * stride + j, c] = dy[h, w, c]
    return dx


assert gradcheck(layers.max_pool_forward, assigning, x), "no overlap, no mistake to see"
rng = np.random.default_rng(0)
large = rng.standard_normal((7, 7, 2))
overlapping = gradcheck(lambda x: layers.max_pool_forward(x, 3, 2), lambda dy, x: assigning(dy, x, 3, 2), large)
assert not overlapping
report = exercises.check("max_pool_backward", assigning)
assert report.diagnosis == ["overlap-overwritten"]
print(report.message)

# %% [markdown]
# ## Ties
#
# Flat areas of a photograph have windows whose elements are all equal. Any one of them may get $dy$, or each a share of
# it: all of these are valid subgradients. Giving all of $dy$ to *each* is not: it multiplies the gradient. At such a
# kink finite differences are meaningless; `gradcheck` leaves it out.

# %%
flat = np.ones((4, 4, 1))
check = gradcheck(layers.max_pool_forward, layers.max_pool_backward, flat)
assert check and check.kinks > 0
print(check)
assert np.isclose(layers.max_pool_backward(dy, flat).sum(), dy.sum())

# %% [markdown]
# ## Why average pooling for pictures?
#
# Max pooling sends the gradient to a quarter of the elements, average pooling to all of them, evenly. The paper found
# average pooling to give "slightly more appealing results". Where a gradient of ones arrives, for a feature map of the
# sample portrait (its width is odd: no window covers the last column):

# %% mystnb={"image": {"alt": "A feature map of a portrait; after max pooling one pixel of each four gets the gradient, after average pooling all get a quarter, but for the last column"}}
import matplotlib.pyplot as plt

from nst_numpy import images, load_weights, samples

portrait = images.load(samples.portrait(), 48)
response = load_weights("vgg19-mini").features(portrait, ["conv1_2"])["conv1_2"]
response = response[..., response.mean(axis=(0, 1)).argmax(), None]  # the filter that responds most
ones = np.ones_like(layers.max_pool_forward(response))
panels = {
    "a": response,
    "dL/da, max pooling": layers.max_pool_backward(ones, response),
    "dL/da, average pooling": layers.average_pool_backward(ones, response),
}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.6))
for (title, panel), axis in zip(panels.items(), axes, strict=True):
    axis.imshow(panel[..., 0], cmap="gray", vmin=0, vmax=panel.max() if title == "a" else 1)
    axis.set_title(title)
    axis.axis("off")
assert panels["dL/da, max pooling"].sum() == panels["dL/da, average pooling"].sum() == ones.size

# %%
shares = [np.mean(f(rng.standard_normal((8, 8, 4)), rng.standard_normal((16, 16, 4))) != 0) for f in
          (layers.max_pool_backward, layers.average_pool_backward)]  # fmt: skip
assert shares == [0.25, 1.0]

# %% [markdown]
# ## Exercises
#
# 1. `nst-numpy exercise start max_pool_backward average_pool_backward -o mine.py`
# 2. A 5×5 image with 2×2 windows has a row and a column that no window covers. What is their gradient?
# 3. Write $\ell_2$ pooling, the root mean square, and its backward function. Where is it not differentiable?
