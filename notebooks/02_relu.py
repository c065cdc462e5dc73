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
# # 2. ReLU, and why the gradient is 0 where F < 0
#
# **You will** derive the simplest backward function, and answer a question that is often asked about the paper.
# **You will learn** what a backward function is, and what a mask is.
# **You need** the chain rule.
#
# A layer takes $x$ and gives $y$. A *backward function* takes $dy = \partial L/\partial y$ and gives
# $dx = \partial L/\partial x$, for whatever loss $L$. For ReLU, element by element:
#
# $$y = \max(0, x) \qquad \frac{\partial y}{\partial x} = \begin{cases}1 & x > 0\\ 0 & x < 0\end{cases}
# \qquad dx = dy \cdot [x > 0]$$

# %%
import numpy as np

from nst_numpy import gradcheck, layers, losses

x = np.array([[-2.0, 0.5], [1.5, -0.1]])
dy = np.array([[1.0, 2.0], [3.0, 4.0]])
print(layers.relu_forward(x))
print(layers.relu_backward(dy, x))
assert np.array_equal(layers.relu_backward(dy, x), [[0, 2], [3, 0]])

# %% [markdown]
# Is it right? `gradcheck` compares it with central differences $(f(x + hu) - f(x - hu))/2h$, for
# $f(x) = \sum dy \cdot y(x)$ with a random $dy$.

# %% mystnb={"image": {"alt": "The relative error of each element of the gradient: below a millionth everywhere"}}
check = gradcheck(layers.relu_forward, layers.relu_backward, x)
assert check
check

# %% [markdown]
# ## The question
#
# Equation 2 of the paper says
#
# $$\frac{\partial L_{\text{content}}}{\partial F_{ij}} = \begin{cases}(F - P)_{ij} & F_{ij} > 0\\ 0 & F_{ij} < 0\end{cases}$$
#
# Why 0? A feature $F$ is the output of a ReLU and never negative! The second line is about the *input* of the ReLU, the
# pre-activation $z$ with $F = \max(0, z)$. With respect to $F$ itself the gradient is $F - P$, everywhere. With respect
# to $z$, the chain rule adds the mask. Both side by side:

# %%
rng = np.random.default_rng(0)
z, P = rng.standard_normal((3, 4)), rng.random((3, 4))
F = layers.relu_forward(z)

dF = losses.content_gradient(F, P)
dz = layers.relu_backward(dF, z)
print("dL/dF\n", dF.round(2))
print("dL/dz\n", dz.round(2))
assert gradcheck(lambda F: losses.content_loss(F, P), dF, F)
assert gradcheck(lambda z: losses.content_loss(layers.relu_forward(z), P), dz, z)
assert (dF[z < 0] != 0).all() and (dz[z < 0] == 0).all()

# %% [markdown]
# So the mask belongs to the ReLU, and is in one place in the code, `relu_backward`. Applying it twice does no harm: a
# mask times itself is the same mask.
#
# ## A mask that is always true
#
# A widely read tutorial used the mask `output >= 0`. The output of ReLU is never negative, so this is always true:

# %% mystnb={"image": {"alt": "The relative error of each element of the gradient: right where the mask is 1, wrong elsewhere"}}
wrong = lambda dy, x: dy * (layers.relu_forward(x) >= 0)
check = gradcheck(layers.relu_forward, wrong, z)
assert not check
check

# %% [markdown]
# At $x = 0$ there are two slopes, 0 on the left and 1 on the right, and any number between them is a valid choice.
# `gradcheck` detects such kinks, leaves them out and counts them.

# %%
check = gradcheck(layers.relu_forward, layers.relu_backward, np.array([0.0, 1.0, -1.0]))
assert check and check.kinks == 1
check

# %% [markdown]
# ## Exercises
#
# 1. Write `relu_backward(dy, x)` yourself and check it: `nst-numpy exercise start relu_backward -o mine.py`.
# 2. *Guided backpropagation* masks with `dy > 0` as well. Is it the gradient of any function? What does `gradcheck`
#    say?
# 3. Leaky ReLU has the slope 0.1 for $x < 0$. Write both functions.
