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
# # 11. Published formulas, checked
#
# **You will** run formulas from widely read documents, and find out which are correct.
# **You will learn** to check a formula by its shapes, and not to trust it because it is printed.
# **You need** notebooks 3 to 5.
#
# The complete list, with its evidence, is in `docs/published-formulas.md`; each row is tested. Here are five of them.

# %%
import numpy as np

from nst_numpy import gradcheck, losses

rng = np.random.default_rng(0)
N, M = 4, 15
F, P, S = (rng.random((N, M)) + 0.1 for _ in range(3))
G, A = losses.gram(F), losses.gram(S)
D = G - A

# %% [markdown]
# **$\partial E/\partial F_{ij} = \frac{1}{N^2 M^2} F^T (G - A)$?** By its shapes, this is $M \times N$, which is not
# the shape of $F$.

# %%
printed = F.T @ D / (N**2 * M**2)
check = gradcheck(lambda F: losses.style_loss(F, A), printed, F)
assert not check and check.diagnosis == ("wrong-shape",)
print(check)
assert gradcheck(lambda F: losses.style_loss(F, A), printed.T, F)

# %% [markdown]
# **$4 (G - A) F$?** This is the gradient of $\sum (G - A)^2$, without the normaliser. The check reports the factor,
# $4 N^2 M^2$:

# %%
check = gradcheck(lambda F: losses.style_loss(F, A), 4 * D @ F, F)
assert not check and check.diagnosis == ("constant-factor",)
print(check.message, "; 4 N² M² =", 4 * N**2 * M**2)

# %% [markdown]
# **$E = 1^T (G - A)(G - A)^T$?** This is a row of $N$ numbers. With a second $1$ it is one number, but not the right
# one.

# %%
one = np.ones(N)
assert (one @ D @ D.T).shape == (N,)
print(one @ D @ D.T @ one, "is not", np.sum(D**2), "=", np.trace(D @ D.T), "=", one @ (D * D) @ one)
assert not np.isclose(one @ D @ D.T @ one, np.sum(D**2))

# %% [markdown]
# **$G = F^T F$?** For $F$ of $N \times M$ that is $M \times M$: which *positions* resemble each other. It does not
# discard where things are.
#
# **$w \leftarrow w + \eta \nabla L$?** This step goes up:

# %%
loss = lambda F: losses.style_loss(F, A)
step = 1e-2 * losses.style_gradient(F, A) / np.abs(losses.style_gradient(F, A)).max()
assert loss(F + step) > loss(F) > loss(F - step)

# %% [markdown]
# ## Exercises
#
# 1. Take a page on style transfer that you like. Check each formula on it by its shapes, then with numbers.
# 2. "The Gram matrix is the correlation of the channels": make two channels with correlation −1 and a large entry.
# 3. "The normaliser does not matter, β absorbs it": for which set of layers is that true?
