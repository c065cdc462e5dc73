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
# # 8. Checking gradients, and how a check can mislead
#
# **You will** choose step sizes, see the effects of kinks and of float32, and watch wrong gradients pass careless
# checks.
# **You will learn** what a check can detect, and what it can't.
# **You need** notebooks 3 and 4.
#
# The central difference $(f(x+hu) - f(x-hu))/2h$ has an error of order $h^2$ from curvature, and of order
# $10^{-16} |f|/h$ from rounding. The best $h$ is in between:

# %% mystnb={"image": {"alt": "The error of a central difference over its step, on logarithmic scales: it falls to a lowest point, then rises again"}}
import matplotlib.pyplot as plt
import numpy as np

from nst_numpy import check_layers, gradcheck, layers, losses

rng = np.random.default_rng(0)
F, A = rng.random((4, 20)), losses.gram(rng.random((4, 20)))
f, df = lambda F: losses.style_loss(F, A), lambda F: losses.style_gradient(F, A)
steps = 10.0 ** -np.arange(0, 13)
errors = []
for h in steps:
    u = np.zeros_like(F)
    u[1, 3] = h
    errors.append(abs((f(F + u) - f(F - u)) / (2 * h) / df(F)[1, 3] - 1))
plt.loglog(steps, errors, "o-")
plt.gca().set(xlabel="step h", ylabel="relative error of the difference")
best = steps[int(np.argmin(errors))]
print("best step", best)
assert min(errors) < 1e-9 < 1e-6 < min(errors[0], errors[-1])

# %% [markdown]
# In float32 rounding errors are half a billion times larger: no step works well. `gradcheck` converts to float64 where
# it can, and warns where it can't.

# %%
import warnings

single = lambda F: np.float32(losses.style_loss(F.astype(np.float32), A.astype(np.float32)))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    gradcheck(single, df, F)
print(caught[0].message)
assert "float32" in str(caught[0].message)

# %% [markdown]
# ## Comparing too little
#
# The cosine between right and wrong gradient, the sign, the mean, or "the loss falls": all of them accept this gradient
# of a total loss, in which the style gradient still has the factor ¼ of its loss.

# %%
P, alpha, beta = rng.random((4, 20)), 1.0, 2000.0
total = lambda F: alpha * losses.content_loss(F, P) + beta * losses.style_loss(F, A)
right = alpha * (F - P) + beta * losses.style_gradient(F, A)
wrong = alpha * (F - P) + beta / 4 * losses.style_gradient(F, A)
cosine = np.sum(right * wrong) / np.linalg.norm(right) / np.linalg.norm(wrong)
print(f"cosine {cosine:.3f}; the loss falls: {total(F - 0.01 * wrong) < total(F)}")
assert cosine > 0.8 and total(F - 0.01 * wrong) < total(F)
assert gradcheck(total, right, F) and not gradcheck(total, wrong, F)

# %% [markdown]
# So compare single elements, relative to the largest, to 1e-6, and check each term alone, since a wrong term can hide
# in a total.
#
# ## At the target
#
# Where the gradient is 0 a check proves nothing: at $F = P$ even twice the gradient passes.

# %%
assert gradcheck(lambda F: losses.content_loss(F, P), lambda F: 2 * (F - P), P)
assert not gradcheck(lambda F: losses.content_loss(F, P), lambda F: 2 * (F - P), F)

# %% [markdown]
# ## What it reports
#
# From the numbers alone it recognises a constant factor, a wrong sign, a transposition, a wrong shape, an argument
# changed in place, state kept between calls, and NaN.

# %%
for gradient in (lambda F: df(F) / 4, lambda F: -df(F), lambda F: df(F).T, lambda F: df(F) * np.nan):
    check = gradcheck(f, gradient, F)
    assert not check and check.diagnosis
    print(check.diagnosis, check.message)

# %% [markdown]
# ## Each layer alone, then the chain

# %%
kernel, zero = rng.standard_normal((3, 3, 2, 2)), np.zeros(2)
conv = (lambda x: layers.conv_forward(x, kernel, zero), lambda dy, x: layers.conv_backward_input(dy, kernel))
relu = (layers.relu_forward, layers.relu_backward)
pool = (layers.average_pool_forward, lambda dy, x: dy.repeat(2, 0).repeat(2, 1))  # the ¼ is missing
found = check_layers({"conv1": conv, "relu1": relu, "pool1": pool, "conv2": conv}, rng.standard_normal((6, 6, 2)))
assert found.first_wrong == "pool1"
found

# %% [markdown]
# ## What finite differences can't detect
#
# A normaliser that loss and gradient share, a wrong reshape in both, a wrong target: the gradient is consistent with
# its loss, but the loss is wrong. For these, write the formula as loops once, and test invariances (notebook 4).
#
# ## Exercises
#
# 1. Find the bugs: print one of `nst_numpy.exercises.bugs()`, say what is wrong, then ask for its `answer()`.
# 2. Check `np.abs` at 0, at 1e-6 and at 1e-3 with the default step. What happens to the kink?
# 3. One random direction costs two evaluations (`mode="direction"`). Find a wrong gradient that it lets pass.
