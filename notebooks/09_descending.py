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
# # 9. Descending: from gradient descent to L-BFGS
#
# **You will** minimise the same loss with two methods.
# **You will learn** what curvature does to steepest descent, and why the paper takes L-BFGS.
# **You need** notebooks 1 and 3.
#
# Steepest descent steps along $-\nabla L$. In a narrow valley that points across, not along:

# %%
import matplotlib.pyplot as plt
import numpy as np

import nst_numpy
from nst_numpy import gradcheck, minimize, samples


def valley(x):
    return float(0.5 * (x[0] ** 2 + 100 * x[1] ** 2)), np.array([x[0], 100 * x[1]])


assert gradcheck(lambda x: valley(x)[0], lambda x: valley(x)[1], np.array([1.0, 2.0]))
start = np.array([10.0, 1.0])
for method in ("gradient_descent", "lbfgs"):
    trail = []
    found = minimize(valley, start, method, maxiter=200, gtol=1e-8, ftol=0, callback=lambda s: trail.append(s.x))
    plt.plot(*np.transpose(trail), ".-", label=f"{method}: {found.nit} steps to {found.fun:.0e}")
plt.legend()
quick = minimize(valley, start, "lbfgs", maxiter=200, gtol=1e-8, ftol=0)
slow = minimize(valley, start, "gradient_descent", maxiter=200, gtol=1e-8, ftol=0)
assert quick.nit < slow.nit / 3 and quick.fun < 1e-12

# %% [markdown]
# Newton's method divides by the curvature: step $-H^{-1} \nabla L$. For a picture, $H$ has (number of pixels)² elements. L-BFGS
# never forms it. From the last steps $s_k = x_{k+1} - x_k$ and the changes of the gradient $y_k = \nabla_{k+1} - \nabla_k$ it
# knows $H s_k \approx y_k$, and two loops over these pairs apply the $H^{-1}$ that fits them
# (`nst_numpy/optimize.py`). Curvature for the price of some vectors.
#
# ## On a picture

# %%
content, style = samples.portrait(), samples.swirling_night()
options = {"size": 96, "steps": 40, "scales": 1, "progress": False}
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4))
last = {}
for method, ax in (("gradient_descent", middle), ("lbfgs", right)):
    result = nst_numpy.transfer(content, style, optimizer=method, **options)
    left.semilogy([losses["total"] for losses in result.history], label=method)
    ax.imshow(result.image)
    ax.set(title=method, xticks=[], yticks=[])
    last[method] = result.history[-1]["total"]
left.legend()
print(last)
assert last["lbfgs"] < last["gradient_descent"]

# %% [markdown]
# ## Exercises
#
# 1. Print the angle between each step of gradient descent in the valley and the one before.
# 2. How does the number of steps grow when 100 becomes 10000, for each method?
# 3. `minimize(..., memory=1)`: how much memory does L-BFGS need here?
