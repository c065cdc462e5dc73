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
# # 7. One backward sweep: injected and total gradient
#
# **You will** work through one example by hand, with every number printed, then follow a complete pass through a
# network.
# **You will learn** why the derivative with respect to a layer is more than its own loss term.
# **You need** notebooks 3 to 6.
#
# ## By hand
#
# An image of 4×4 pixels with one channel, two filters: one takes the difference to the right neighbour, one sums the
# pixel and the one below. Then ReLU. Losses: content ½ Σ (F − P)² with P = 0, and a style loss with A = 0.

# %%
import numpy as np

from nst_numpy import Objective, gradcheck, images, layers, losses, random_network, samples, trace

np.set_printoptions(precision=4, suppress=True, linewidth=110)
x = np.array([[1.0, 2, 0, 1], [0, 1, 3, 1], [2, 1, 1, 0], [1, 0, 2, 2]])[:, :, None]
kernel = np.zeros((3, 3, 1, 2))
kernel[1, 2, 0, 0], kernel[1, 1, 0, 0] = 1, -1  # right minus here
kernel[1, 1, 0, 1], kernel[2, 1, 0, 1] = 1, 1  # here plus below
bias = np.array([0.5, -1.5])

z = layers.conv_forward(x, kernel, bias)
a = layers.relu_forward(z)
F = losses.feature_matrix(a)
G = losses.gram(F)
N, M = F.shape
for name, value in {"z, filter 0": z[:, :, 0], "z, filter 1": z[:, :, 1], "F": F, "G": G}.items():
    print(f"{name}\n{value}")
assert np.isclose(z[0, 0, 0], 2 - 1 + 0.5) and np.isclose(z[0, 0, 1], 1 + 0 - 1.5)

# %% [markdown]
# Both losses inject their gradients at the same layer; the sum then goes through the ReLU mask and through the
# convolution.

# %% mystnb={"image": {"alt": "The relative error of each element of the gradient: below a millionth everywhere"}}
P, A = np.zeros_like(F), np.zeros((N, N))
content, style = losses.content_loss(F, P), losses.style_loss(F, A)
dF = losses.content_gradient(F, P) + losses.style_gradient(F, A)
dz = layers.relu_backward(dF.T.reshape(a.shape), z)
dx = layers.conv_backward_input(dz, kernel)
print(f"content {content}, style {style:.6f} = {np.sum(G**2)} / (4·{N}²·{M}²)")
print("dL/dF\n", dF, "\ndL/dz, filter 0\n", dz[:, :, 0], "\ndL/dx\n", dx[:, :, 0], sep="")


def loss(x):
    F = losses.feature_matrix(layers.relu_forward(layers.conv_forward(x, kernel, bias)))
    return losses.content_loss(F, P) + losses.style_loss(F, A)


check = gradcheck(loss, dx, x)
assert check
check

# %% [markdown]
# ## Two layers with losses
#
# Now let the features be the input of another layer, $b = \max(0, a * w)$, that has a loss of its own. The derivative
# of the *total* loss with respect to $a$ has two parts: what $a$'s own loss **injects**, and what **comes back** from
# $b$:
#
# $$\frac{dL}{da} = \underbrace{\frac{\partial L}{\partial a}}_{\text{injected}} + \Big(\frac{\partial b}{\partial a}\Big)^T
# \frac{dL}{db}$$
#
# The deepest layer has nothing above it. So start there, and add the others on the way down: one sweep handles all
# losses.

# %%
rng = np.random.default_rng(0)
w, target = rng.standard_normal((3, 3, 2, 2)) / 3, rng.random((4, 4, 2))


def total(a):
    b = layers.relu_forward(layers.conv_forward(a, w, np.zeros(2)))
    return losses.content_loss(losses.feature_matrix(a), P) + 0.5 * np.sum((b - target) ** 2)


b = layers.relu_forward(layers.conv_forward(a, w, np.zeros(2)))
injected = losses.content_gradient(F, P).T.reshape(a.shape)
back = layers.conv_backward_input(layers.relu_backward(b - target, b), w)
assert not gradcheck(total, injected, a), "the local term alone is not the derivative"
assert gradcheck(total, injected + back, a)

# %% [markdown]
# ## A whole pass
#
# `trace` follows one pass through a network, and compares the gradient that arrives at each layer with finite
# differences of everything above it.

# %%
content_image, style_image = images.load(samples.portrait(), 32), images.load(samples.swirling_night(), 32)
objective = Objective.from_images(
    random_network(),
    content_image,
    style_image,
    content_layers={"conv2_2": 1.0},
    style_layers={"conv1_1": 0.5, "conv2_1": 0.5},
    content_weight=1.0,
    style_weight=1000.0,
    tv_weight=20.0,
)
found = trace(objective, rng.random(content_image.shape), samples=4)
assert found, found
found

# %% [markdown]
# ## What arrives at each layer
#
# The same sweep through the network that ships with the library, for a portrait in the style of a night sky: the length
# of $dL/da$ at each position, from the deepest layer to the pixels. conv3_4 receives the content loss alone, whose
# gradient is 0 here, since the picture is still the portrait; so everything begins with the style loss at conv3_1.

# %% mystnb={"image": {"alt": "The portrait, and the length of the gradient at its pixels and at each layer that has a loss; deeper maps are coarser"}}
from nst_numpy import load_weights
from nst_numpy.inspection import plots

# %matplotlib inline

content_image, style_image = images.load(samples.portrait(), 96), images.load(samples.swirling_night(), 96)
layers_of_style = ["conv1_1", "conv2_1", "conv3_1"]
plots.gradients(
    Objective.from_images(load_weights("vgg19-mini"), content_image, style_image, style_layers=layers_of_style),
    content_image,
)

# %% [markdown]
# Deep layers have few positions, and each unit there sees many pixels; on the way down the map becomes finer. The
# pixels receive the sum of all terms.
#
# ## What each operation does to a gradient
#
# | forward | backward |
# |---|---|
# | one value is used in several places | its gradients add |
# | values are added | each receives the gradient |
# | the average of $n$ values | each receives $1/n$ of it |
# | the maximum | the one that was largest receives it |
# | a product with a constant $c$, or a mask | a product with the same constant or mask |
# | a product with a matrix $W$ | a product with $W^T$ |
# | a window is gathered, with weights | the gradient is scattered over the window, with the same weights |
#
# ## Exercises
#
# 1. In the example by hand, compute `dx` at the upper left pixel with pencil and paper.
# 2. Which of the 32 features are masked, and why does `dF` still have values there?
# 3. Add a loss at a pooling layer. Where does its gradient join the sweep?
