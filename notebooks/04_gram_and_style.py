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
# # 4. Gram matrix and style gradient, index by index
#
# **You will** derive the style gradient with indices, then write it as two matrix products.
# **You will learn** what a Gram matrix keeps and discards, why both terms of the product rule are needed, and which
# mistakes no finite difference can detect.
# **You need** notebook 3.
#
# $F$ is $N \times M$: a row for each filter, a column for each position. The Gram matrix, or Gramian, of its rows is
# $G$:
#
# $$G_{kl} = \sum_m F_{km} F_{lm} \qquad E = \frac{1}{4 N^2 M^2} \sum_{k,l} (G_{kl} - A_{kl})^2$$

# %%
import numpy as np

from nst_numpy import exercises, gradcheck, losses, samples

rng = np.random.default_rng(0)
N, M = 3, 8
F, S = rng.random((N, M)), rng.random((N, M))
G, A = losses.gram(F), losses.gram(S)

loops = np.zeros((N, N))
for k in range(N):
    for l in range(N):
        for m in range(M):
            loops[k, l] += F[k, m] * F[l, m]
assert np.allclose(G, loops) and np.allclose(G, F @ F.T)

# %% [markdown]
# What does it discard? The positions: any permutation of them gives the same $G$. (Fᵀ F does not.)

# %%
order = rng.permutation(M)
assert np.allclose(losses.gram(F[:, order]), G)
assert not np.allclose(F[:, order].T @ F[:, order], F.T @ F)

# %% [markdown]
# What is left is which filters respond together, and how strongly. Two paintings differ in it; the same responses at
# shuffled positions do not:

# %% mystnb={"image": {"alt": "Above, one feature map each of a night sky, of a woodcut, and of the night sky with its positions shuffled. Below, their Gram matrices: the first and the third are the same"}}
import matplotlib.pyplot as plt

from nst_numpy import load_weights

network = load_weights("vgg19-mini")
night, waves = (
    network.features(image, "conv2_1")["conv2_1"] for image in (samples.swirling_night(96), samples.woodcut_waves(96))
)
shuffled = rng.permutation(night.reshape(-1, night.shape[2])).reshape(night.shape)
strongest = np.argsort(-night.mean(axis=(0, 1)))[:24]
figure, axes = plt.subplots(2, 3, figsize=(9, 6.4), layout="constrained")
matrices = []
for (above, below), (title, a) in zip(
    axes.T, {"a night sky": night, "a woodcut": waves, "the night sky, shuffled": shuffled}.items(), strict=True
):
    matrices.append(losses.gram(losses.feature_matrix(a[:, :, strongest])) / a[:, :, 0].size)
    above.imshow(a[:, :, strongest[0]], cmap="gray", vmin=0, vmax=night.max() / 2)
    above.set(title=f"{title}: one filter", xticks=[], yticks=[])
    below.imshow(np.sqrt(matrices[-1]), vmin=0, vmax=np.sqrt(matrices[0].max()))
    below.set(title="√(G/M) of 24 filters", xticks=[], yticks=[])
assert np.allclose(matrices[2], matrices[0], rtol=1e-4) and not np.allclose(matrices[1], matrices[0], rtol=0.1)

# %% [markdown]
# ## Step one: from $E$ to $G$
#
# Each $G_{kl}$ occurs in one square: $\;\partial E/\partial G_{kl} = 2 (G_{kl} - A_{kl}) / 4N^2M^2$.
#
# ## Step two: from $G$ to $F$
#
# $F_{ij}$ occurs in $G_{kl} = \sum_m F_{km} F_{lm}$ where $k = i$ (factor $F_{lj}$) **and** where $l = i$ (factor
# $F_{kj}$):
#
# $$\frac{\partial G_{kl}}{\partial F_{ij}} = [k = i] F_{lj} + [l = i] F_{kj}$$
#
# So, with $dG = \partial E/\partial G$,
#
# $$\frac{\partial E}{\partial F_{ij}} = \sum_l dG_{il} F_{lj} + \sum_k dG_{ki} F_{kj} = ((dG + dG^T) F)_{ij}$$
#
# $dG$ is symmetric here, the two terms are equal, and the factors 2 and 4 cancel:
#
# $$\frac{\partial E}{\partial F} = \frac{1}{N^2 M^2} (G - A) F$$

# %%
by_index = np.zeros((N, M))
dG = 2 * (G - A) / (4 * N**2 * M**2)
for i in range(N):
    for j in range(M):
        by_index[i, j] = sum(dG[i, l] * F[l, j] for l in range(N)) + sum(dG[k, i] * F[k, j] for k in range(N))
as_matrices = (G - A) @ F / (N**2 * M**2)
assert np.allclose(by_index, as_matrices)
assert np.allclose(losses.style_gradient(F, A), as_matrices)
assert gradcheck(lambda F: losses.style_loss(F, A), as_matrices, F)

# %% [markdown]
# The paper writes $((F^T (G - A))^T)_{ij}$, which is the same, since $G - A$ is symmetric. Without the outer transpose,
# as it is sometimes printed, the product is $M \times N$, and its element $_{ji}$ is meant.
#
# ## Mistakes with which the loss still decreases

# %%
for words, wrong in {
    "the 4 kept": lambda F, A: (losses.gram(F) - A) @ F / (4 * F.size**2),
    "half of the product rule": lambda F, A: (losses.gram(F) - A) @ F / (2 * F.size**2),
    "no normaliser": lambda F, A: (losses.gram(F) - A) @ F,
    "1/(N M)": lambda F, A: (losses.gram(F) - A) @ F / F.size,
    "transposed": lambda F, A: F.T @ (losses.gram(F) - A) / F.size**2,
}.items():
    report = exercises.check("style_gradient", wrong)
    assert not report and "finite differences" in report.caught_by
    print(f"{words:26} {report.diagnosis}  {report.message.split('. ')[0]}")

# %% [markdown]
# ## Mistakes that finite differences can't see
#
# If loss and gradient share a mistake, they are still consistent. Two examples: $M = H$ instead of $H \cdot W$ in both;
# and a reshape that mixes positions and channels in both. With channels last, $F$ is `a.reshape(-1, N).T`;
# `a.reshape(N, -1)` has the right shape but mixes the filters.

# %%
a, H = rng.random((4, 2, N)), 4
mixed = lambda a: a.reshape(N, -1)
loss = lambda a: losses.style_loss(mixed(a), A)
gradient = losses.style_gradient(mixed(a), A).reshape(a.shape)
assert gradcheck(loss, gradient, a), "a perfect gradient of the wrong loss"

assert np.allclose(losses.gram(losses.feature_matrix(a)), losses.gram(losses.feature_matrix(a.swapaxes(0, 1))))
assert not np.allclose(losses.gram(mixed(a)), losses.gram(mixed(a.swapaxes(0, 1)))), "an invariance shows it"

# %% [markdown]
# ## Two images of different sizes
#
# $A$ of the style image is a sum over its own $M_a$ positions. The library uses $A = (M/M_a) F_a F_a^T$, so that equal
# textures give $E = 0$ at any size:

# %%
twice = np.hstack([S, S])
assert np.isclose(losses.style_loss(twice, losses.gram(S) * 2), 0)
assert losses.style_loss(twice, losses.gram(S)) > 0

# %% [markdown]
# ## Exercises
#
# 1. `nst-numpy exercise start gram gram_backward style_loss style_gradient style_gradient_of_map -o mine.py`
# 2. Show that $E(cF, c^2 A) = c^4 E(F, A)$. Why does the range of the pixels, 0–1 or 0–255, change the balance of
#    content and style?
# 3. $1^T (G - A)(G - A)^T 1$ has been published as the sum of squares. What is it, and when do the two agree?
