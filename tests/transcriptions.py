"""How eleven published systems compute the style-transfer loss: PyTorch transcriptions, an oracle for the conventions.

Each function is written from one system's own code, or from its printed formulas, and from nothing in this library.
Facts are taken, code is not: names and structure are ours, the arithmetic is theirs. All have one signature:

    loss(x, content, style, extract, *, content_layers, style_layers, content_weight, style_weight, tv_weight)

x, content and style are (1, 3, H, W) in float64, RGB in 0..1; `extract(image, names)` gives {name: (1, N, h, w)} after
ReLU; the layers are {name: weight}. A weight multiplies its layer's term inside the system's own sum or average, also
where the system has no such weights. The variable of total variation is x in the system's own units. Clipping that a
system does between its steps (never inside the loss) is not part of its loss.
"""

import torch

CAFFE_BGR = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64).view(1, 3, 1, 1)
IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(1, 3, 1, 1)
IMAGENET_STD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(1, 3, 1, 1)


def features(x, content, style, extract, content_layers, style_layers):
    """Features of x, and, as constants, those of the content image and of the style image."""
    with torch.no_grad():
        P, A = extract(content, [*content_layers]), extract(style, [*style_layers])
    return extract(x, list(dict.fromkeys([*content_layers, *style_layers]))), P, A


def paper(x, content, style, extract, *, content_layers, style_layers, content_weight, style_weight, tv_weight):
    """Gatys, Ecker and Bethge, arXiv 1508.06576, equations 1, 3, 4, 5 and 7.

    N and M of equation 4 are those of the generated image's layer and A is the plain sum over the style image's
    positions: the formulas assume style and generated image of one size. No total variation.
    """
    assert tv_weight == 0
    F, P, S = features(x, content, style, extract, content_layers, style_layers)
    L_content = L_style = 0
    for l, w in content_layers.items():
        L_content = L_content + w * 0.5 * torch.sum((F[l] - P[l]) ** 2)
    for l, w in style_layers.items():
        N, M = F[l].shape[1], F[l].shape[2] * F[l].shape[3]
        Fl, Sl = F[l].reshape(N, M), S[l].reshape(N, -1)
        G = torch.einsum("ik,jk->ij", Fl, Fl)
        A = torch.einsum("ik,jk->ij", Sl, Sl)
        L_style = L_style + w * torch.sum((G - A) ** 2) / (4 * N**2 * M**2)
    return content_weight * L_content + style_weight * L_style


def coursera(x, content, style, extract, *, content_layers, style_layers, content_weight, style_weight, tv_weight):
    """A blog post on the Coursera lectures: J(G) = αJ_content + βJ_style, Gram sums over i, j of a[i,j,k]·a[i,j,k'].

    The normaliser (2·n_H·n_W·n_C)² takes n_H and n_W from the generated image: one size for all. No total variation.
    """
    assert tv_weight == 0
    a_G, a_C, a_S = features(x, content, style, extract, content_layers, style_layers)
    J_content = J_style = 0
    for l, w in content_layers.items():
        J_content = J_content + w * (a_C[l] - a_G[l]).norm() ** 2 / 2
    for l, lam in style_layers.items():
        _, n_C, n_H, n_W = a_G[l].shape
        generated, target = a_G[l][0].permute(1, 2, 0), a_S[l][0].permute(1, 2, 0)  # n_H × n_W × n_C, as printed
        G_G = torch.einsum("ijk,ijm->km", generated, generated)
        G_S = torch.einsum("ijk,ijm->km", target, target)
        J_style = J_style + lam * ((G_S - G_G) ** 2).sum() / (2 * n_H * n_W * n_C) ** 2
    return content_weight * J_content + style_weight * J_style


def berkeley(x, content, style, extract, *, content_layers, style_layers, content_weight, style_weight, tv_weight):
    """The Berkeley quiz, equations 1 to 5 and 7 ("the lecture notes"): the paper's terms, content summed over layers.

    Gram matrices as written in equation 3, one size for all images. No total variation.
    """
    assert tv_weight == 0
    F, P, S = features(x, content, style, extract, content_layers, style_layers)
    total = torch.zeros((), dtype=x.dtype)
    for l, w in content_layers.items():
        total = total + content_weight * w * (F[l] - P[l]).pow(2).sum() / 2
    for l, w in style_layers.items():
        rows, targets = F[l].flatten(2)[0], S[l].flatten(2)[0]
        N_l, M_l = rows.shape
        G = torch.stack([(rows * rows[j]).sum(1) for j in range(N_l)], 1)
        A = torch.stack([(targets * targets[j]).sum(1) for j in range(N_l)], 1)
        total = total + style_weight * w * (G - A).pow(2).sum() / (4 * N_l**2 * M_l**2)
    return total


def neural_style(x, content, style, extract, *, content_layers, style_layers, content_weight, style_weight, tv_weight):
    """jcjohnson/neural-style, neural_style.lua (Torch 7; read at d58853c, and at 053a6e3 of a fork).

    MSECriterion is a mean. Each Gram matrix is divided by its own number of elements. Total variation is on the
    network's input (256·RGB as BGR, less the mean) and adds a gradient only: this is the function that the gradient
    belongs to, half the sum of squares over the first H - 1 rows and W - 1 columns. The program's loss leaves it out.
    """
    F, P, S = features(x, content, style, extract, content_layers, style_layers)
    mse = torch.nn.MSELoss()

    def gram(a):
        flat = a[0].view(a.shape[1], -1)
        return torch.mm(flat, flat.t()).div(a.nelement())

    image = 256 * x.flip(1) - CAFFE_BGR
    corner = image[..., :-1, :-1]
    x_diff, y_diff = corner - image[..., :-1, 1:], corner - image[..., 1:, :-1]
    loss = 0.5 * tv_weight * ((x_diff**2).sum() + (y_diff**2).sum())
    for l, w in content_layers.items():
        loss = loss + mse(F[l], P[l]) * content_weight * w
    for l, w in style_layers.items():
        loss = loss + style_weight * w * mse(gram(F[l]), gram(S[l]))
    return loss


def neural_style_pt(
    x, content, style, extract, *, content_layers, style_layers, content_weight, style_weight, tv_weight
):
    """ProGamerGov/neural-style-pt, neural_style.py (stored version 02c55a4), without -normalize_weights.

    As neural-style, but total variation is the sum of absolute differences over the whole image, and part of the loss.
    """
    F, P, S = features(x, content, style, extract, content_layers, style_layers)
    criterion = torch.nn.MSELoss()

    def gram(a):
        _, C, H, W = a.shape
        flat = a.view(C, H * W)
        return torch.mm(flat, flat.t())

    image = 256 * x[:, [2, 1, 0]] - CAFFE_BGR
    vertical = torch.abs(image[:, :, 1:, :] - image[:, :, :-1, :])
    horizontal = torch.abs(image[:, :, :, 1:] - image[:, :, :, :-1])
    contents = [criterion(F[l], P[l]) * (content_weight * w) for l, w in content_layers.items()]
    styles = [
        style_weight * w * criterion(gram(F[l]).div(F[l].nelement()), gram(S[l]).div(S[l].nelement()))
        for l, w in style_layers.items()
    ]
    return sum(contents) + sum(styles) + tv_weight * (vertical.sum() + horizontal.sum())


def pytorch_tutorial(
    x, content, style, extract, *, content_layers, style_layers, content_weight, style_weight, tv_weight
):
    """pytorch/tutorials, advanced_source/neural_style_tutorial.py (stored versions 0a7e686 and 8bcd0ac).

    The tutorial puts its losses right behind the convolutions, so its features are those before ReLU; the arithmetic
    is the same. It clamps the image's data to 0..1 before each evaluation. No total variation.
    """
    assert tv_weight == 0
    F, P, S = features(x, content, style, extract, content_layers, style_layers)

    def gram(a):
        batch, maps, h, w = a.size()
        rows = a.view(batch * maps, h * w)
        return torch.mm(rows, rows.t()).div(batch * maps * h * w)

    style_score = sum(w * torch.nn.functional.mse_loss(gram(F[l]), gram(S[l])) for l, w in style_layers.items())
    content_score = sum(w * torch.nn.functional.mse_loss(F[l], P[l]) for l, w in content_layers.items())
    return style_score * style_weight + content_score * content_weight


def d2l(x, content, style, extract, *, content_layers, style_layers, content_weight, style_weight, tv_weight):
    """d2l-ai/d2l-en, chapter_computer-vision/neural-style.md (stored versions 05a6605 and 5b1ab37).

    The variable is (RGB - mean) / std. Total variation is half the sum of two means of absolute differences. Versions
    of about 2020 to 2022 write `sum(10 * styles_l + ...)`, a list repeated ten times: there, style_weight counts
    tenfold. The MXNet code takes features before ReLU; the PyTorch code, because torchvision's ReLU works in place,
    after it (except in the last layer, conv5_1).
    """
    F, P, S = features(x, content, style, extract, content_layers, style_layers)

    def gram(a):
        channels, n = a.shape[1], a.numel() // a.shape[1]
        rows = a.reshape(channels, n)
        return torch.matmul(rows, rows.T) / (channels * n)

    X = (x - IMAGENET_MEAN) / IMAGENET_STD
    tv = 0.5 * ((X[:, :, 1:, :] - X[:, :, :-1, :]).abs().mean() + (X[:, :, :, 1:] - X[:, :, :, :-1]).abs().mean())
    contents = [torch.square(F[l] - P[l]).mean() * content_weight * w for l, w in content_layers.items()]
    styles = [torch.square(gram(F[l]) - gram(S[l])).mean() * style_weight * w for l, w in style_layers.items()]
    return sum([*styles, *contents, tv * tv_weight])


def gatys_pytorch(x, content, style, extract, *, content_layers, style_layers, content_weight, style_weight, tv_weight):
    """leongatys/PytorchNeuralStyleTransfer, NeuralStyleTransfer.ipynb (stored versions 2355c25 and c7bc488).

    Its own layer weights are 1e3 / N²: style_weight 1e3 with layer weights 1 / N². No total variation.
    """
    assert tv_weight == 0
    F, P, S = features(x, content, style, extract, content_layers, style_layers)

    def gram(a):
        b, c, h, w = a.size()
        rows = a.view(b, c, h * w)
        return torch.bmm(rows, rows.transpose(1, 2)).div(h * w)

    layer_losses = [style_weight * w * torch.nn.MSELoss()(gram(F[l]), gram(S[l])) for l, w in style_layers.items()]
    layer_losses += [content_weight * w * torch.nn.MSELoss()(F[l], P[l]) for l, w in content_layers.items()]
    return torch.stack(layer_losses).sum()


def tensorflow_tutorial(
    x, content, style, extract, *, content_layers, style_layers, content_weight, style_weight, tv_weight
):
    """tensorflow/docs, site/en/tutorials/generative/style_transfer.ipynb (stored versions 023b91c and 6234418).

    Both sums over layers are divided by the number of layers. The variable is RGB in 0..1 (clipped after each step);
    total variation is tf.image.total_variation: the sum of absolute differences.
    """
    F, P, S = features(x, content, style, extract, content_layers, style_layers)

    def gram(a):
        nhwc = a.permute(0, 2, 3, 1)
        return torch.einsum("bijc,bijd->bcd", nhwc, nhwc) / (nhwc.shape[1] * nhwc.shape[2])

    style_loss = sum(w * torch.mean((gram(F[l]) - gram(S[l])) ** 2) for l, w in style_layers.items())
    style_loss = style_loss * (style_weight / len(style_layers)) if style_layers else 0
    content_loss = sum(w * torch.mean((F[l] - P[l]) ** 2) for l, w in content_layers.items())
    content_loss = content_loss * (content_weight / len(content_layers)) if content_layers else 0
    image = x.permute(0, 2, 3, 1)
    variation = (image[:, 1:] - image[:, :-1]).abs().sum() + (image[:, :, 1:] - image[:, :, :-1]).abs().sum()
    return style_loss + content_loss + tv_weight * variation


def keras(x, content, style, extract, *, content_layers, style_layers, content_weight, style_weight, tv_weight):
    """keras-team/keras-io, examples/generative/neural_style_transfer.py (stored versions 0896b2e and 8bda227).

    The style term is divided by 4·3²·S² with S the generated image's pixels, whatever the layer, and Gram matrices are
    plain sums: the example resizes the style image to the generated image's size. Total variation is on the network's
    input (255·RGB as BGR, less the mean), to the power 1.25, over the first H - 1 rows and W - 1 columns.
    """
    F, P, S = features(x, content, style, extract, content_layers, style_layers)
    rows, cols = x.shape[2:]

    def gram(a):
        flat = a[0].reshape(a.shape[1], -1)
        return torch.matmul(flat, flat.T)

    loss = torch.zeros((), dtype=x.dtype)
    for l, w in content_layers.items():
        loss = loss + content_weight * w * torch.sum(torch.square(F[l] - P[l]))
    for l, w in style_layers.items():
        term = torch.sum(torch.square(gram(S[l]) - gram(F[l]))) / (4.0 * 3**2 * (rows * cols) ** 2)
        loss = loss + (style_weight / len(style_layers)) * w * term
    image = (255 * x.flip(1) - CAFFE_BGR).permute(0, 2, 3, 1)
    a = torch.square(image[:, : rows - 1, : cols - 1, :] - image[:, 1:, : cols - 1, :])
    b = torch.square(image[:, : rows - 1, : cols - 1, :] - image[:, : rows - 1, 1:, :])
    return loss + tv_weight * torch.sum(torch.pow(a + b, 1.25))


def cs231n(x, content, style, extract, *, content_layers, style_layers, content_weight, style_weight, tv_weight):
    """cs231n assignment 3, StyleTransfer-PyTorch.ipynb (2018 to 2020; text of the notebook and its printed formulas).

    The student writes the functions: this is what its docstrings and printed formulas ask for. The
    assignment has only weights by layer: style_weight is a factor of all. The variable, and that of total variation
    (sum of squares), is (RGB - mean) / std.
    """
    F, P, S = features(x, content, style, extract, content_layers, style_layers)

    def gram(a):
        N, C, H, W = a.shape
        flat = a.reshape(N, C, H * W)
        return torch.matmul(flat, flat.permute(0, 2, 1)) / (H * W * C)

    img = (x - IMAGENET_MEAN) / IMAGENET_STD
    c_loss = sum(content_weight * w * ((F[l] - P[l]) ** 2).sum() for l, w in content_layers.items())
    s_loss = sum(style_weight * w * ((gram(F[l]) - gram(S[l])) ** 2).sum() for l, w in style_layers.items())
    down, right = img[:, :, 1:, :] - img[:, :, :-1, :], img[:, :, :, 1:] - img[:, :, :, :-1]
    return c_loss + s_loss + tv_weight * ((down**2).sum() + (right**2).sum())


TRANSCRIPTIONS = {
    "paper": paper,
    "coursera": coursera,
    "berkeley": berkeley,
    "neural-style": neural_style,
    "neural-style-pt": neural_style_pt,
    "pytorch-tutorial": pytorch_tutorial,
    "d2l": d2l,
    "gatys-pytorch": gatys_pytorch,
    "tensorflow-tutorial": tensorflow_tutorial,
    "keras": keras,
    "cs231n": cs231n,
}
