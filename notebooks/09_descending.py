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
# # 9. Optimisers: gradient descent, momentum, Adam, L-BFGS
#
# **You will** minimise the same loss with four methods.
# **You will learn** what curvature does to steepest descent, what each method does about it, and why the paper's
# authors use L-BFGS.
# **You need** notebooks 1 and 3.
#
# **Gradient descent** steps along $-\nabla L$. In a narrow valley that direction points across the valley, not along
# it. A step short enough for the steep direction is far too short for the flat one.
#
# **Momentum** adds up the steps, $v \leftarrow \mu v - \eta \nabla L$, $x \leftarrow x + v$. Across the valley they
# cancel; along it they grow to $1/(1 - \mu)$ times a single step.
#
# **Adam** divides the running mean of the gradient by the square root of the running mean of its square, element by
# element: each element of $x$ moves by about $\eta$, no matter how steep the loss is in its direction.
#
# **L-BFGS** measures how the gradient has changed along its last steps, and divides by the curvature this reveals.

# %% mystnb={"image": {"alt": "The ways of four methods through a narrow valley: gradient descent and momentum swing across it, Adam circles at the end, L-BFGS takes few steps"}}
import matplotlib.pyplot as plt
import numpy as np

import nst_numpy
from nst_numpy import gradcheck, minimize, samples

METHODS = ("gradient_descent", "momentum", "adam", "lbfgs")


def valley(x):
    return float(0.5 * (x[0] ** 2 + 100 * x[1] ** 2)), np.array([x[0], 100 * x[1]])


assert gradcheck(lambda x: valley(x)[0], lambda x: valley(x)[1], np.array([1.0, 2.0]))
start = np.array([10.0, 1.0])
settings = {"maxiter": 2000, "gtol": 1e-8, "ftol": 0}
found = {}
figure, cells = plt.subplots(2, 2, figsize=(10, 5), sharex=True, sharey=True)
for method, ax in zip(METHODS, cells.ravel(), strict=True):
    trail = []
    options = {"learning_rate": 0.3} if method == "adam" else {}
    found[method] = minimize(valley, start, method, **settings, **options, callback=lambda s: trail.append(s.x))
    ax.plot(*np.transpose(trail), ".-", ms=3, lw=0.7)
    ax.set(title=f"{method}: {found[method].nit} steps to {found[method].fun:.0e}", ylim=(-1.5, 1.5))
assert found["lbfgs"].nit < found["momentum"].nit < found["gradient_descent"].nit
assert all(result.fun < 1e-12 for result in found.values())

# %% [markdown]
# Where does momentum turn, and why does Adam overshoot? Its steps do not shrink with the gradient: near the minimum it
# circles until the running means have forgotten the earlier gradients.
#
# Newton's method would step $-H^{-1} \nabla L$. For a picture, $H$ has (number of pixels)² elements. L-BFGS never forms
# it. From the last steps $s_k = x_{k+1} - x_k$ and the changes of the gradient $y_k = \nabla_{k+1} - \nabla_k$ it knows
# that $H s_k \approx y_k$, and two loops over these pairs apply the $H^{-1}$ that fits them (`nst_numpy/optimize.py`).
# So it gets curvature at the cost of storing a few vectors.
#
# ## On a picture

# %% mystnb={"image": {"alt": "The total losses of four methods over the steps, and the picture that each of them paints"}}
content, style = samples.portrait(), samples.swirling_night()
options = {"size": (96,), "steps": 80, "progress": False}
figure, cells = plt.subplots(1, 5, figsize=(17, 3.5))
best = {}
for method, ax in zip(METHODS, cells[1:], strict=True):
    result = nst_numpy.transfer(content, style, optimizer=method, **options)
    totals = [losses["total"] for losses in result.history]
    cells[0].semilogy(totals, label=method)
    ax.imshow(result.image)
    ax.set(title=method, xticks=[], yticks=[])
    best[method] = min(totals)
cells[0].legend()
print(best)
assert min(best, key=best.get) == "lbfgs" and max(best, key=best.get) == "gradient_descent"

# %% [markdown]
# ## Exercises
#
# 1. Print the angle between each step of gradient descent in the valley and the one before.
# 2. How does the number of steps grow when 100 becomes 10000, for each method?
# 3. Rotate the valley by 45°. Which method is affected, and why?
# 4. `minimize(..., memory=1)`: how much memory does L-BFGS need here? And momentum with `decay=0`?
