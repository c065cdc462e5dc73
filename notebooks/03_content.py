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
# # 3. The content loss and its gradient
#
# **You will** differentiate a sum of squares with respect to one of its elements.
# **You will learn** the difference between free and bound indices, and what a missing square does.
# **You need** notebook 2.
#
# $$L = \tfrac12 \sum_{k,l} (F_{kl} - P_{kl})^2$$
#
# We want $\partial L/\partial F_{ij}$. The summation indices are $k$ and $l$; $i$ and $j$ are fixed. Only the term with
# $(k, l) = (i, j)$ contains $F_{ij}$, and its derivative is $\tfrac12 \cdot 2 (F_{ij} - P_{ij}) \cdot 1$:
#
# $$\frac{\partial L}{\partial F_{ij}} = F_{ij} - P_{ij}$$

# %%
import numpy as np

from nst_numpy import gradcheck, losses

F, P = np.array([[1.0, 3.0], [2.0, 0.5]]), np.array([[1.0, 1.0], [4.0, 0.5]])
print("loss", losses.content_loss(F, P), "by hand", 0.5 * (0 + 4 + 4 + 0))
print(losses.content_gradient(F, P))
assert losses.content_loss(F, P) == 4 and gradcheck(lambda F: losses.content_loss(F, P), F - P, F)

# %% [markdown]
# ## The gradient as a map
#
# Now $P$ are features of a portrait, and $F$ are those of the same portrait with noise in its left half. One filter of
# conv2_1, which noise makes larger in some places and smaller in others:

# %% mystnb={"image": {"alt": "The portrait with noise in its left half, and three maps: P, F, and F − P, which is 0 on the right"}}
import matplotlib.pyplot as plt

from nst_numpy import images, load_weights, samples

network = load_weights("vgg19-mini")
content = images.load(samples.portrait(), 128)
x = content.copy()
half = x.shape[1] // 2
x[:, :half] = np.clip(x[:, :half] + 0.2 * np.random.default_rng(0).standard_normal(x[:, :half].shape), 0, 1)
wanted, present = (network.features(image, "conv2_1")["conv2_1"] for image in (content, x))
k = int(np.argmin(np.abs((present - wanted).mean(axis=(0, 1))) - np.abs(present - wanted).mean(axis=(0, 1))))
maps = {"P": wanted[:, :, k], "F": present[:, :, k], "F − P": (present - wanted)[:, :, k]}
figure, axes = plt.subplots(1, 4, figsize=(11, 3.6), layout="constrained")
axes[0].imshow(x)
axes[0].set(title="the image")
for ax, (title, values) in zip(axes[1:], maps.items(), strict=True):
    most = np.abs(values).max()
    shown = ax.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most)
    ax.set(title=title)
    figure.colorbar(shown, ax=ax, shrink=0.6)
for ax in axes:
    ax.set(xticks=[], yticks=[])
assert np.allclose(losses.content_gradient(*map(losses.feature_matrix, (present, wanted)))[k], maps["F − P"].ravel())

# %% [markdown]
# The gradient is a map like $F$ and $P$. It is white, 0, where both have the same value; red where $F$ is too large:
# a step against the gradient makes it smaller there; blue where $F$ is too small.
#
# ## Common mistakes
#
# Each is recognised from its numerical results alone.

# %%
from nst_numpy import exercises

for words, wrong in {
    "2 (F − P)": lambda F, P: 2 * (F - P),
    "P − F": lambda F, P: P - F,
    "the mean": lambda F, P: (F - P) / F.size,
    "F": lambda F, P: F,
}.items():
    report = exercises.check("content_gradient", wrong)
    assert not report
    print(f"{words:10} {report.diagnosis}  {report.message.split('. ')[0]}")

# %% [markdown]
# ## A formula without its square
#
# One widely read page prints $\tfrac12 \sum (F - P)$. Its gradient is $\tfrac12$ everywhere, whatever $F$ is: it never
# vanishes.

# %%
no_square = lambda F: 0.5 * np.sum(F - P)
assert gradcheck(no_square, np.full_like(F, 0.5), F)
assert not gradcheck(no_square, F - P, F)

# %% [markdown]
# ## Gradient descent on F
#
# A step against the gradient, $F \leftarrow F - \eta (F - P)$, multiplies the distance of $F$ from $P$ by $1 - \eta$:

# %%
trail = [F]
for _ in range(10):
    trail.append(trail[-1] - 0.3 * losses.content_gradient(trail[-1], P))
distances = [np.sqrt(2 * losses.content_loss(f, P)) for f in trail]
assert np.allclose(np.array(distances[1:]) / distances[:-1], 0.7)
print(np.round(distances, 3))

# %% [markdown]
# In style transfer $F$ itself is not updated: features are functions of the pixels. So this gradient is only the
# beginning: it is *injected* at its layer, and propagated down through the network (notebook 7).
#
# ## Exercises
#
# 1. `nst-numpy exercise start content_loss content_gradient -o mine.py`
# 2. What is the gradient of $\sum |F - P|$? Where does it have kinks, and what does `gradcheck` do there?
# 3. For which $\eta$ does the descent above diverge? Work it out on paper, then try it.
