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
# # 10. What layers see
#
# **You will** look at receptive fields, feature maps, and the patches that activate a unit most.
# **You will learn** why shallow layers represent texture and deep ones arrangement.
# **You need** notebook 1.

# %%
import matplotlib.pyplot as plt
import numpy as np

import nst_numpy
from nst_numpy import gradcheck, load_weights, receptive_field, samples, top_patches

network = load_weights("vgg19-mini")
portrait, night, waves = samples.portrait(), samples.swirling_night(), samples.woodcut_waves()
for layer in ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"):
    start, step, size = receptive_field(network, layer)
    print(f"{layer}: sees {size:3} pixels, every {step:2}")
assert [receptive_field(network, f"conv{b}_1")[2] for b in (1, 2, 3, 4, 5)] == [3, 10, 24, 68, 156]

# %% [markdown]
# A unit's receptive field is where its gradient is not zero. Compute it:

# %% mystnb={"image": {"alt": "The relative error of the elements of the gradient that were compared"}}
small = load_weights("vgg19-mini", dtype=np.float64)
image = np.random.default_rng(0).random((40, 40, 3))
features, tape = small.forward(image, ["conv2_1"])
dy = np.zeros_like(features["conv2_1"])
dy[10, 10] = 1
gradient = small.backward({"conv2_1": dy}, tape)
per_row = np.abs(gradient).sum(axis=(1, 2))
touched = np.nonzero(per_row > 1e-9 * per_row.max())[0]
start, step, size = receptive_field(small, "conv2_1")
assert touched.min() == start + 10 * step and touched.max() + 1 == start + 10 * step + size


def response(x):
    features, _ = small.forward(x, ["conv2_1"])
    return float(np.sum(features["conv2_1"][10, 10]))


check = gradcheck(response, gradient, image, mode="sample", samples=50, h=1e-4, rtol=1e-5)
assert check
check

# %% [markdown]
# ## Feature maps
#
# The three strongest filters of three layers, on the portrait.

# %% mystnb={"image": {"alt": "Nine feature maps of the portrait, three for each of three layers: edges in conv1_2, coarser patterns in deeper layers"}}
figure, axes = plt.subplots(3, 3, figsize=(8, 9))
for row, layer in zip(axes, ("conv1_2", "conv3_1", "conv4_2"), strict=True):
    a = network.features(portrait, layer)[layer]
    for ax, k in zip(row, np.argsort(-a.mean(axis=(0, 1)))[:3], strict=True):
        ax.imshow(a[:, :, k], cmap="gray")
        ax.set(title=f"{layer}, filter {k}", xticks=[], yticks=[])

# %% [markdown]
# ## Patches that activate a unit most
#
# In photographs and paintings, deeper units respond to larger and more specific things. Only three images are searched
# here; try your own.

# %% mystnb={"image": {"alt": "Nine patches of the images, each the one to which a filter of the layer responds most"}}
for layer in ("conv1_2", "conv2_2", "conv3_2"):
    found = top_patches(network, layer, [portrait, night, waves], count=3)
    figure, axes = plt.subplots(1, 9, figsize=(12, 1.6))
    figure.suptitle(layer)
    for ax, patches in zip(axes, found, strict=True):
        ax.imshow(patches[0].pixels)
        ax.set(xticks=[], yticks=[])
        assert patches[0].value >= patches[-1].value

# %% [markdown]
# ## Content from a shallow, a middle and a deep layer
#
# A shallow layer fixes every pixel and leaves no room for style; a deep one only fixes the arrangement.

# %% mystnb={"image": {"alt": "The portrait in the style of the night sky, with its content from a shallow, a middle and a deep layer: less and less of it is kept"}}
figure, axes = plt.subplots(1, 3, figsize=(12, 5))
kept = []
for ax, layer in zip(axes, ("conv1_2", "conv3_2", "conv5_1"), strict=True):
    result = nst_numpy.transfer(
        portrait, night, content_layers=layer, content_weight=30, size=(128,), steps=40, progress=False
    )
    ax.imshow(result.image)
    ax.set(title=f"content at {layer}", xticks=[], yticks=[])
    grey = [image.mean(axis=2).ravel() for image in (result.image, nst_numpy.images.load(portrait, 128))]
    kept.append(np.corrcoef(*grey)[0, 1])
print("correlation with the portrait's brightness:", np.round(kept, 3))
assert kept[0] > kept[-1]

# %% [markdown]
# ## Exercises
#
# 1. Which filter of conv1_1 detects vertical edges? Look at `network.convolutions["conv1_1"][0]`.
# 2. Search a folder of your own photographs with `top_patches`.
# 3. Compare with `nst_numpy.random_network()`: what do random filters respond to?
