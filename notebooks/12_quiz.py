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
# # 12. The quiz
#
# **You will** answer the twelve questions of a Berkeley course's quiz on neural style transfer.
# **You will learn** what you have understood so far.
# **You need** notebooks 1 to 8.
#
# The questions are by Bordag, Brandon and Lei; the answers are this library's. Answer each one before you open its
# answer. Derivations are answered in code, which is below the answer, and checked.

# %%
import matplotlib.pyplot as plt
import numpy as np

import nst_numpy
from nst_numpy import gradcheck, layers, losses, samples

rng = np.random.default_rng(0)
N, M = 4, 15
F, P, S = (rng.random((N, M)) + 0.1 for _ in range(3))
A = losses.gram(S)

# %% [markdown]
# **1. What is the content loss for?**
#
# <details><summary>Answer</summary>
#
# It measures how far the features of the picture are from those of the content image, at given layers. Minimising it
# over the *pixels* gives a picture with the same things in the same places.
#
# </details>
#
# **2. Its derivative with respect to $F_{ij}^l$?**
#
# <details><summary>Answer</summary>
#
# One term of the sum contains $F_{ij}$: $F_{ij} - P_{ij}$.
#
# </details>

# %% tags=["hide-cell"]
assert gradcheck(lambda F: losses.content_loss(F, P), F - P, F)

# %% [markdown]
# **3. And of the content loss over several layers?**
#
# <details><summary>Answer</summary>
#
# With respect to $F^l$ as layer $l$ *injects* it: the same, $F^l - P^l$. But a deeper layer's features are functions
# of $F^l$. The derivative of the total also contains what comes back from them:
#
# </details>

# %% tags=["hide-cell"]
H, W = 3, 5
w, a = rng.standard_normal((3, 3, N, N)) / 6, F.T.reshape(H, W, N)
deeper = rng.random((H, W, N))


def two_layers(a):
    b = layers.relu_forward(layers.conv_forward(a, w, np.full(N, 0.5)))
    return losses.content_loss(losses.feature_matrix(a), P) + 0.5 * np.sum((b - deeper) ** 2)


b = layers.relu_forward(layers.conv_forward(a, w, np.full(N, 0.5)))
injected = (F - P).T.reshape(a.shape)
back = layers.conv_backward_input(layers.relu_backward(b - deeper, b), w)
assert not gradcheck(two_layers, injected, a) and gradcheck(two_layers, injected + back, a)

# %% [markdown]
# **4. What is the style loss for?**
#
# <details><summary>Answer</summary>
#
# It measures how far the Gram matrices of the picture are from those of the style image: which filters respond
# together and how strongly, summed over all positions. So it compares texture and ignores arrangement. ($E_l$ is the
# error of a layer, not an expectation.)
#
# </details>
#
# **5. Its derivative, given $\partial E_l/\partial F^l$?**
#
# <details><summary>Answer</summary>
#
# $w_l$ times it, injected at layer $l$. The derivative itself is $\frac{1}{N^2 M^2}(G - A)F$; what the quiz prints,
# $F^T(G - A)$, is its transpose.
#
# </details>

# %% tags=["hide-cell"]
w_l = 0.2
right = w_l * (losses.gram(F) - A) @ F / (N**2 * M**2)
assert gradcheck(lambda F: w_l * losses.style_loss(F, A), right, F)
assert np.allclose(right.T, w_l * F.T @ (losses.gram(F) - A) / (N**2 * M**2))

# %% [markdown]
# **6. Of the total loss?**
#
# <details><summary>Answer</summary>
#
# $\alpha (F - P) + \beta\, w_l \frac{1}{N^2 M^2}(G - A)F$, again as what layer $l$ injects. ($w_l$, where the quiz
# has $w_1$.)
#
# </details>

# %% tags=["hide-cell"]
alpha, beta = 1.0, 900.0
total = lambda F: alpha * losses.content_loss(F, P) + beta * w_l * losses.style_loss(F, A)
gradient = alpha * (F - P) + beta * right
assert gradcheck(total, gradient, F)

# %% [markdown]
# **7. The update step?**
#
# <details><summary>Answer</summary>
#
# $F - \eta\,[\alpha(F - P) + \beta w_l \dots]$: the minus sign and $\eta$ apply to both terms. Without the brackets,
# as printed, the style term is added, and the loss rises. And $F$ is not a free variable: the image is updated, with
# the gradient propagated back to the pixels.
#
# </details>

# %% tags=["hide-cell"]
eta = 1e-3
as_printed = F - eta * alpha * (F - P) + beta * right
assert total(as_printed) > total(F) > total(F - eta * gradient)

# %% [markdown]
# **8. How are features extracted?**
#
# <details><summary>Answer</summary>
#
# By running the network forward on the image; the responses of its layers, after ReLU, are the features. Style is
# taken from all depths as Gram matrices, content from one deep layer as it is. ("Early layers for style" contradicts
# question 12.)
#
# </details>

# %% tags=["hide-cell"]
network = nst_numpy.load_weights("vgg19-mini")
image = nst_numpy.images.load(samples.portrait(), 64)
for layer, response in network.features(image, ["conv1_1", "conv2_1", "conv4_2"]).items():
    print(layer, response.shape)

# %% [markdown]
# **9. Is a dataset of (content, style, result) needed?**
#
# <details><summary>Answer</summary>
#
# No. The network is trained for something else, such as naming what is in a photograph; then the pixels are
# optimised, with two images and no training.
#
# </details>
#
# **10. A style not seen in training?**
#
# <details><summary>Answer</summary>
#
# Yes: the style image enters only through its Gram matrices, computed once.
#
# </details>
#
# **11. When is the content image used?**
#
# <details><summary>Answer</summary>
#
# Its features $P$ are computed once, before the first step; every step is compared with them. It can also be the
# start, but need not be: white noise, the paper's start, works too.
#
# </details>

# %% tags=["hide-cell"]
content, style = samples.portrait(), samples.woodcut_waves()
starts = {
    init: nst_numpy.transfer(content, style, init=init, size=(96,), steps=60, progress=False)
    for init in ("content", "noise")
}
for init, result in starts.items():
    print(init, {k: round(result.history[-1][k], 3) for k in ("content", "style")})
    assert result.history[-1]["total"] < 0.2 * max(losses["total"] for losses in result.history)

# %% [markdown]
# **12. Which picture has style from 3 layers, which from 5?**
#
# Look at the two pictures below before you open the answer.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two pictures of the portrait in the style of the painting, called one and the other"}}
every = [f"conv{block}_1" for block in (1, 2, 3, 4, 5)]
painted = {
    depth: nst_numpy.transfer(content, style, style_layers=every[:depth], size=192, steps=60, progress=False)
    for depth in (3, 5)
}
figure, axes = plt.subplots(1, 2, figsize=(9, 6))
for ax, (title, depth) in zip(axes, {"one": 5, "the other": 3}.items(), strict=True):
    ax.imshow(painted[depth].image)
    ax.set(title=title, xticks=[], yticks=[])

# %% [markdown]
# <details><summary>Answer</summary>
#
# The left one has five layers. Layers up to conv3_1 see patches of 24 pixels, conv5_1 sees 156 (notebook 10): with
# three layers only small texture can be transferred, with five also its arrangement into larger forms. Here the
# difference is small. On the left the waves on the coat are larger, and there are some before the wall, which stays
# nearly empty with three. But no crest as wide as those of the painting is in either, as the quiz's answer has it:
# the included network is small, and knows little of forms of that size. What the eye can hardly tell, the Gram
# matrices can: how far is each picture from the painting in those of each layer, relative to the untouched
# photograph?
#
# </details>


# %% tags=["hide-cell"]
def distances(image, target):
    grams = [
        {l: losses.gram(losses.feature_matrix(a)) / a[..., 0].size for l, a in network.features(i, every).items()}
        for i in (image, target)
    ]
    return np.array([np.sum((grams[0][l] - grams[1][l]) ** 2) for l in every])


painting, photograph = (nst_numpy.images.load(image, 192) for image in (style, content))
before = distances(photograph, painting)
left = {depth: distances(result.image, painting) / before for depth, result in painted.items()}
for depth, distance in left.items():
    print(f"{depth} layers, what is left of the distance:", dict(zip(every, distance.round(4), strict=True)))
assert (left[3][:3] < 0.25).all() and (left[5] < 0.25).all(), "each is near the painting in the layers it was asked for"
assert (left[5][3:] < 0.5 * left[3][3:]).all(), "and only one of them in the deep ones"

# %% [markdown]
# ## Exercises
#
# 1. Write a thirteenth question.
# 2. Repeat question 12 with your own photograph and painting. Does the measure still tell the two apart?
# 3. Answer question 3 for style losses at two layers.
