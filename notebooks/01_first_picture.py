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
# # 1. A first picture
#
# **You will** paint a portrait in the style of a painting, and watch the losses fall.
# **You will learn** what the inputs and outputs are, and what the main options do.
# **You need** only this library; both images ship with it.

# %% mystnb={"image": {"alt": "The content image, a portrait, and the style image, a painted night sky"}}
import matplotlib.pyplot as plt
import numpy as np

import nst_numpy
from nst_numpy import samples

content, style = samples.portrait(), samples.swirling_night()
figure, axes = plt.subplots(1, 2, figsize=(9, 5))
for ax, image, title in zip(axes, (content, style), ("content", "style"), strict=True):
    ax.imshow(image)
    ax.set(title=title, xticks=[], yticks=[])

# %% [markdown]
# One call is enough. `size` is the longer side in pixels, kept small here so that it is quick. The notebook displays
# the result as the picture.

# %% mystnb={"image": {"alt": "The portrait, painted in the strokes and colours of the night sky"}}
result = nst_numpy.transfer(content, style, size=192, steps=40, progress=False)
result

# %% [markdown]
# ## What was minimised
#
# The pixels $x$ of the picture are the unknowns. They are chosen to minimise
#
# $$L(x) = \alpha\, L_{\text{content}} + \beta \sum_l w_l E_l + \gamma\, TV$$
#
# - $L_{\text{content}}$: how much the features of $x$ in a deep layer differ from those of the content image;
# - $E_l$: how much the statistics of the features of $x$ in layer $l$ differ from those of the style image;
# - $TV$, the total variation: how much neighbouring pixels differ.
#
# A network whose weights never change computes the features. `history` holds all weighted terms at every step.

# %% mystnb={"image": {"alt": "The losses over the steps, on a logarithmic scale: total, style and tv fall, content rises from 0"}}
figure, ax = plt.subplots()
for name in ("total", "content", "style", "tv"):
    ax.semilogy([losses[name] for losses in result.history], label=name)
ax.set(xlabel="step", ylabel="loss")
ax.legend()

first, last = result.history[0], result.history[-1]
assert last["total"] < 0.1 * first["total"]
assert np.isclose(last["total"], last["content"] + last["style"] + last["tv"])
{name: round(value, 4) for name, value in last.items()}

# %% [markdown]
# The content loss rises from 0, since the picture starts as the content image; the style loss falls by orders of
# magnitude. The balance between them is set by $\alpha$ and $\beta$: only their ratio matters.

# %% mystnb={"image": {"alt": "Three pictures: more of the style with each larger style weight"}}
figure, axes = plt.subplots(1, 3, figsize=(12, 5))
for ax, weight in zip(axes, (1, 100, 10000), strict=True):
    ax.imshow(nst_numpy.transfer(content, style, size=(128,), steps=30, style_weight=weight, progress=False).image)
    ax.set(title=f"style_weight={weight}", xticks=[], yticks=[])

# %% [markdown]
# ## Exercises
#
# 1. Swap content and style. What remains of the portrait?
# 2. Start from noise (`init="noise"`, more `steps`). Is it the same picture? Why need it not be?
# 3. Leave out layers: `style_layers=["conv1_1"]`, then `["conv4_1"]`. Which one carries colours, which one strokes?
