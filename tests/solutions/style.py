"""Solutions of gram, gram_backward, style_loss, style_gradient, style_gradient_of_map and total_gradient."""

import numpy as np

from . import right, wrong


def gram_matrix(x):
    """The Gram matrix as many programs have it: divided by the number of elements."""
    return x @ x.T / x.size


# --- gram ------------------------------------------------------------------------------------------------------------


@wrong("transposed", "wrong-shape")
def gram(F):
    return F.T @ F


@wrong("raises", "wrong-operand")
def gram(F):
    return F * F.T


@wrong("raises", "wrong-operand")
def gram(F):
    return np.dot(F, F)


@wrong("wrong-normaliser", "mean-for-sum")  # leongatys/PytorchNeuralStyleTransfer#14
def gram(F):
    N, M = F.shape
    G = F @ F.T
    G /= M
    return G


@wrong("wrong-normaliser")  # jcjohnson/fast-neural-style#61, cs231n's style transfer
def gram(F):
    c, hw = F.shape
    return np.matmul(F, F.transpose()) / (c * hw)


@wrong("wrong-normaliser")  # rrmina/neural-style-pytorch#1
def gram(F):
    return 1 / (2 * F.size) * np.dot(F, F.T)


@wrong("wrong-operand", "wrong-shape")
def gram(F):
    return F * F


@wrong("square-of-sum", "wrong-operand")
def gram(F):
    s = F.sum(axis=1)
    return np.outer(s, s)


@wrong("wrong-operand", "wrong-normaliser")
def gram(F):
    return np.cov(F)


@wrong("wrong-operand")
def gram(F):
    centred = F - F.mean(axis=1, keepdims=True)
    return centred @ centred.T


@wrong("wrong-operand")
def gram(F):
    return np.diag(np.sum(F**2, axis=1))


@wrong("wrong-operand")
def gram(F):
    N = F.shape[0]
    G = np.zeros((N, N))
    for i in range(N):
        for j in range(i + 1):  # the other triangle is forgotten
            G[i, j] = np.sum(F[i] * F[j])
    return G


@wrong("overlap-overwritten")
def gram(F):
    N, M = F.shape
    G = np.zeros((N, N))
    for i in range(N):
        for j in range(N):
            for k in range(M):
                G[i, j] = F[i, k] * F[j, k]
    return G


@wrong("edges-lost", "wrong-operand")
def gram(F):
    N, M = F.shape
    G = np.zeros((N, N))
    for i in range(N):
        for j in range(N):
            for k in range(1, M):
                G[i, j] += F[i, k] * F[j, k]
    return G


@wrong("not-finite", "wrong-normaliser", "wrong-operand")
def gram(F):
    with np.errstate(all="ignore"):
        F = F / np.linalg.norm(F, axis=1, keepdims=True)
    return F @ F.T


@wrong("mutates-input", "wrong-normaliser")
def gram(F):
    F /= np.sqrt(F.shape[1])
    return F @ F.T


@wrong("wrong-reshape")
def gram(F):
    N, M = F.shape
    return F @ F.reshape(M, N)


@wrong("wrong-shape")
def gram(F):
    return np.sum(F @ F.T)


@wrong("rounded")
def gram(F):
    return np.round(F @ F.T).astype(int)


@wrong("wrong-operand")  # the "activation shift" of some style-transfer programs
def gram(F):
    return (F - 1) @ (F - 1).T


@wrong("sign")
def gram(F):
    return -np.einsum("ik,jk->ij", F, F)


_grams = {}


@wrong("accumulates")
def gram(F):
    return _grams.setdefault(F.shape, F @ F.T)


@wrong("missing-square", "wrong-operand")
def gram(F):
    return np.abs(F) @ np.abs(F).T


@right
def gram(F):
    return np.einsum("ik,jk->ij", F, F)


@right
def gram(F):
    N = len(F)
    G = np.zeros((N, N))
    for i in range(N):
        for j in range(i, N):
            G[i, j] = G[j, i] = sum(F[i, k] * F[j, k] for k in range(F.shape[1]))
    return G


@right
def gram(F):
    return np.tensordot(F, F, axes=([1], [1]))


@right
def gram(F):
    return sum(np.outer(column, column) for column in F.T)


@right
def gram(F):
    return (F[:, None, :] * F[None, :, :]).sum(axis=-1, dtype=np.float32)


@right  # complex, with an imaginary part of zero
def gram(F):
    Z = F.astype(complex)
    return Z @ Z.conj().T


# --- gram_backward ---------------------------------------------------------------------------------------------------


@wrong("wrong-operand")
def gram_backward(dG, F):
    return 2 * dG @ F


@wrong("wrong-operand")
def gram_backward(dG, F):
    return np.dot(dG, F)


@wrong("wrong-operand", "transposed")
def gram_backward(dG, F):
    return 2 * dG.T @ F


@wrong("constant-factor")
def gram_backward(dG, F):
    return (dG + dG.T) / 2 @ F


@wrong("constant-factor")
def gram_backward(dG, F):
    S = dG + dG.T
    return 2 * S @ F


@wrong("sign")
def gram_backward(dG, F):
    return (dG - dG.T) @ F


@wrong("raises", "transposed")
def gram_backward(dG, F):
    return (dG + dG.T) @ F.T


@wrong("transposed", "wrong-shape")
def gram_backward(dG, F):
    return F.T @ (dG + dG.T)


@wrong("wrong-operand")
def gram_backward(dG, F):
    return (dG * dG.T) @ F


@wrong("mutates-input")
def gram_backward(dG, F):
    dG += dG.T
    return dG @ F


@wrong("wrong-normaliser")
def gram_backward(dG, F):
    N, M = F.shape
    return (dG + dG.T) @ F / (N * M)


@wrong("wrong-operand")
def gram_backward(dG, F):
    both = dG + dG.T - np.diag(np.diag(dG))  # so that the diagonal is not counted twice
    return both @ F


@wrong("wrong-shape", "wrong-operand")
def gram_backward(dG, F):
    return (dG + dG.T) @ (F @ F.T)


@wrong("overlap-overwritten")
def gram_backward(dG, F):
    N, M = F.shape
    dF = np.zeros((N, M))
    for k in range(N):
        for l in range(N):
            dF[k] = dG[k, l] * F[l]
            dF[l] = dG[k, l] * F[k]
    return dF


@wrong("overlap-overwritten", "wrong-operand")
def gram_backward(dG, F):
    dF = np.zeros_like(F)
    for i in range(len(F)):
        dF[i] += dG[i] @ F
        dF[i] = dG[:, i] @ F
    return dF


@wrong("raises", "wrong-operand")
def gram_backward(dG, F):
    return dG * F + dG.T * F


@wrong("wrong-relu-mask")
def gram_backward(dG, F):
    return np.where(F > 0, (dG + dG.T) @ F, 0)


@wrong("signature", "wrong-operand", "raises")
def gram_backward(F, dG):
    return (dG + dG.T) @ F


@wrong("rounded")
def gram_backward(dG, F):
    return np.around((dG + dG.T) @ F, 1)


@wrong("numerical")
def gram_backward(dG, F):
    def loss(F):
        return np.sum(dG * (F @ F.T))

    dF = np.zeros(F.shape)
    for i in np.ndindex(*F.shape):
        step = np.zeros(F.shape)
        step[i] = 1e-4
        dF[i] = (loss(F + step) - loss(F - step)) / 2e-4
    return dF


@wrong("wrong-operand")
def gram_backward(dG, F):
    lower = np.tril(dG)
    return (lower + lower.T) @ F


@wrong("sign", "wrong-operand")
def gram_backward(dG, F):
    return -2 * np.matmul(dG, F)


@right
def gram_backward(dG, F):
    return dG @ F + (F.T @ dG).T


@right
def gram_backward(dG, F):
    return np.einsum("il,lj->ij", dG, F) + np.einsum("ki,kj->ij", dG, F)


@right
def gram_backward(dG, F):
    dF = np.zeros_like(F)
    for k in range(len(F)):
        for l in range(len(F)):
            dF[k] += dG[k, l] * F[l]
            dF[l] += dG[k, l] * F[k]
    return dF


@right
def gram_backward(dG, F):
    symmetric = 0.5 * (dG + np.transpose(dG))
    return 2 * np.dot(symmetric.astype("f4"), F.astype("f4"))


# --- style_loss ------------------------------------------------------------------------------------------------------


@wrong("constant-factor")
def style_loss(F, A):
    N, M = F.shape
    G = F @ F.T
    return np.sum((G - A) ** 2) / (N**2 * M**2)


@wrong("missing-normaliser", "wrong-normaliser")
def style_loss(F, A):
    M = F.shape[1]
    return np.sum((F @ F.T - A) ** 2) / (4 * M**2)


@wrong("missing-normaliser")
def style_loss(F, A):
    return 0.25 * np.sum((np.dot(F, F.T) - A) ** 2)


@wrong("wrong-normaliser", "missing-normaliser")
def style_loss(F, A):
    N, M = F.shape
    return np.sum((F @ F.T - A) ** 2) / (4 * N * M)


@wrong("mean-for-sum", "wrong-normaliser")  # MSE of Gram matrices
def style_loss(F, A):
    return np.mean((F @ F.T - A) ** 2)


@wrong("wrong-operand", "wrong-normaliser")  # G is normalised, A is not
def style_loss(F, A):
    G = gram_matrix(F)
    return 0.25 * np.sum((G - A) ** 2)


@wrong("wrong-normaliser", "constant-factor", "mean-for-sum")  # ghwatson/faststyle#5, lengstrom/fast-style-transfer#102
def style_loss(F, A):
    c, hw = F.shape
    diff = gram_matrix(F) - A / (c * hw)
    return np.sum(diff**2) / (c * c)


@wrong("square-of-sum")
def style_loss(F, A):
    N, M = F.shape
    return np.sum(F @ F.T - A) ** 2 / (4 * N**2 * M**2)


@wrong("missing-square")
def style_loss(F, A):
    N, M = F.shape
    return np.abs(F @ F.T - A).sum() / (4 * N**2 * M**2)


@wrong("raises", "transposed")
def style_loss(F, A):
    M, N = F.shape
    G = F.T @ F
    return np.sum((G - A) ** 2) / (4 * N**2 * M**2)


@wrong("wrong-normaliser")
def style_loss(F, A):
    N, M = A.shape
    return np.sum((F @ F.T - A) ** 2) / (4 * N**2 * M**2)


@wrong("sign")
def style_loss(F, A):
    N, M = F.shape
    return np.sum((F @ F.T + A) ** 2) / (4 * N**2 * M**2)


@wrong("constant-factor")
def style_loss(F, A):
    N, M = F.shape
    return np.sum(np.square(F @ F.T - A)) / (2 * (N * M) ** 2)


@wrong("wrong-shape")
def style_loss(F, A):
    N, M = F.shape
    G = F @ F.T
    loss = np.sum((G - A) ** 2) / (4 * N**2 * M**2)
    return loss, (G - A) @ F / (N**2 * M**2)


@wrong("wrong-operand")
def style_loss(F, A):
    N, M = F.shape
    G = F @ F.T
    loss = 0
    for i in range(N):
        for j in range(i + 1, N):
            loss += (G[i, j] - A[i, j]) ** 2
    return loss / (4 * N**2 * M**2)


@wrong("mutates-input", "sign")
def style_loss(F, A):
    N, M = F.shape
    A -= F @ F.T
    return -(A**2).sum() / (4 * N**2 * M**2)


@wrong("mutates-input")
def style_loss(F, A):
    N, M = F.shape
    A -= F @ F.T
    return (A**2).sum() / (4 * N**2 * M**2)


@wrong("wrong-normaliser")  # the order of / and *
def style_loss(F, A):
    N, M = F.shape
    return np.sum((F @ F.T - A) ** 2) / 4 * N**2 * M**2


@wrong("rounded", "wrong-operand")  # 1/(4 N² M²) as integers, as in Python 2
def style_loss(F, A):
    N, M = F.shape
    return 1 // (4 * N**2 * M**2) * np.sum((F @ F.T - A) ** 2)


@wrong("wrong-shape")
def style_loss(F, A):
    N, M = F.shape
    return np.sum((F @ F.T - A) ** 2, axis=0) / (4 * N**2 * M**2)


@wrong("wrong-normaliser", "missing-normaliser")
def style_loss(F, A):
    diff = F @ F.T - A
    return np.sum(diff * diff) / (4 * F.size)


@wrong("wrong-operand")
def style_loss(F, A):
    N, M = F.shape
    return np.sum((F @ F.T - A @ A.T) ** 2) / (4 * N**2 * M**2)


@wrong("missing-square", "missing-normaliser")
def style_loss(F, A):
    return np.linalg.norm(F @ F.T - A) / 4


_history = []


@wrong("accumulates")
def style_loss(F, A):
    N, M = F.shape
    _history.append(np.sum((F @ F.T - A) ** 2) / (4 * N**2 * M**2))
    return sum(_history)


@right
def style_loss(F, A):
    d = np.dot(F, F.T) - A
    return np.vdot(d, d) / (2 * F.size) ** 2


@right
def style_loss(F, A):
    N, M = F.shape
    loss = 0.0
    for i in range(N):
        for j in range(N):
            G_ij = 0.0
            for k in range(M):
                G_ij += F[i, k] * F[j, k]
            loss += (G_ij - A[i, j]) ** 2
    return float(loss / 4 / N**2 / M**2)


@right
def style_loss(F, A):
    return np.array(np.linalg.norm((F @ F.T - A) / (2 * F.shape[0] * F.shape[1]), "fro") ** 2)


@right
def style_loss(F, A):
    N, M = np.float32(F.shape)
    G = np.tensordot(F.astype(np.float32), F.astype(np.float32), (1, 1))
    return np.square(G - A.astype(np.float32)).mean() / (4 * M * M)


# --- style_gradient --------------------------------------------------------------------------------------------------


@wrong("missing-normaliser")
def style_gradient(F, A):
    return (F @ F.T - A) @ F


@wrong("constant-factor")
def style_gradient(F, A):
    N, M = F.shape
    return 2 * (F @ F.T - A) @ F / (N**2 * M**2)


@wrong("constant-factor")
def style_gradient(F, A):
    N, M = F.shape
    G = np.matmul(F, F.T)
    return 1.0 / (4 * N**2 * M**2) * np.matmul(G - A, F)


@wrong("sign")
def style_gradient(F, A):
    N, M = F.shape
    return (A - F @ F.T) @ F / (N**2 * M**2)


@wrong("transposed", "wrong-shape")
def style_gradient(F, A):
    N, M = F.shape
    G = F @ F.T
    return F.T @ (G - A) / (N**2 * M**2)


@wrong("raises", "transposed")
def style_gradient(F, A):
    N, M = F.shape
    return np.dot(F, F @ F.T - A) / (N**2 * M**2)


@wrong("wrong-relu-mask")  # fzliu/style-transfer, where it is commented out by now
def style_gradient(F, A):
    n, m = F.shape
    c = n**-2.0 * m**-2.0
    return c * (F @ F.T - A) @ F * (F > 0)


@wrong("wrong-normaliser", "missing-normaliser")
def style_gradient(F, A):
    N, M = F.shape
    return (F @ F.T - A) @ F / (N * M)


@wrong("missing-normaliser", "wrong-normaliser")
def style_gradient(F, A):
    N, M = F.shape
    return (F @ F.T - A) @ F / M**2


@wrong("wrong-shape", "wrong-operand")
def style_gradient(F, A):
    N, M = F.shape
    return (F @ F.T - A) / (N**2 * M**2)


@wrong("wrong-operand")
def style_gradient(F, A):
    N, M = F.shape
    G = F @ F.T
    return G @ F / (N**2 * M**2)


@wrong("wrong-operand", "wrong-normaliser")
def style_gradient(F, A):
    N, M = F.shape
    G = F @ F.T / (N * M)
    return (G - A) @ F / (N**2 * M**2)


@wrong("wrong-normaliser")  # andersbll/neural_artistic_style: normalised by the sum of the absolute values
def style_gradient(F, A):
    style_grad = np.dot(F @ F.T - A, F)
    return style_grad / np.sum(np.fabs(style_grad))


@wrong("mutates-input")
def style_gradient(F, A):
    N, M = F.shape
    G = F @ F.T
    F[...] = (G - A) @ F / (N**2 * M**2)
    return F


@wrong("wrong-normaliser")
def style_gradient(F, A):
    N, M = A.shape
    return (F @ F.T - A) @ F / (N**2 * M**2)


@wrong("numerical")
def style_gradient(F, A):
    def E(F):
        return np.sum((F @ F.T - A) ** 2) / (4 * F.size**2)

    eps, grad = 1e-4, np.zeros(F.shape)
    F = np.array(F, float)
    for i in range(F.shape[0]):
        for j in range(F.shape[1]):
            old = F[i, j]
            F[i, j] = old + eps
            plus = E(F)
            F[i, j] = old - eps
            minus = E(F)
            F[i, j] = old
            grad[i, j] = (plus - minus) / (2 * eps)
    return grad


@wrong("wrong-operand")
def style_gradient(F, A):
    N, M = F.shape
    return (F @ F.T - A) ** 2 @ F / (N**2 * M**2)


@wrong("wrong-operand")
def style_gradient(F, A):
    N, M = F.shape
    return np.tril(F @ F.T - A) @ F / (N**2 * M**2)


@wrong("sign", "missing-normaliser")
def style_gradient(F, A):
    return -np.dot(np.dot(F, F.T) - A, F)


@wrong("transposed", "wrong-shape", "missing-normaliser")
def style_gradient(F, A):
    return F.T @ (F @ F.T - A)


@wrong(
    "wrong-normaliser", "constant-factor"
)  # a mean squared error of Gram matrices, differentiated: apache/mxnet#2436 asks about these
def style_gradient(F, A):
    N, M = F.shape
    return 4 / N**2 * (F @ F.T - A) @ F / M


@wrong("wrong-operand", "constant-factor")
def style_gradient(F, A):
    N, M = F.shape
    G = F @ F.T
    return (2 * G - A) @ F / (N**2 * M**2)


@wrong("overlap-overwritten")
def style_gradient(F, A):
    N, M = F.shape
    G = F @ F.T
    grad = np.zeros((N, M))
    for i in range(N):
        for j in range(M):
            for k in range(N):
                grad[i, j] = (G[i, k] - A[i, k]) * F[k, j] / (N**2 * M**2)
    return grad


@wrong("missing-square", "wrong-operand")
def style_gradient(F, A):
    N, M = F.shape
    return np.sign(F @ F.T - A) @ F / (N**2 * M**2)


@right  # StyleLossLayer in the UCAS course on computing systems
def style_gradient(F, A):
    N, M = F.shape
    div = M * M * N * N
    return np.matmul(F.T, F @ F.T - A).T / div


@right
def style_gradient(F, A):
    N, M = F.shape
    D = np.einsum("ik,jk->ij", F, F) - A
    return np.einsum("ik,kj->ij", D, F) / N / N / M / M


@right
def style_gradient(F, A):
    F = F.astype(np.float32)
    return F @ (F.T @ F) / np.float32(F.size) ** 2 - A.astype(np.float32) @ F / np.float32(F.size) ** 2


@right
def style_gradient(F, A):
    dG = (F @ F.T - A) * 2 / (4 * F.size**2)
    return sum(dG[:, k, None] * F[k] + dG[k, :, None] * F[k] for k in range(len(F)))


# --- style_gradient_of_map -------------------------------------------------------------------------------------------


def _style_gradient(F, A):
    return (F @ F.T - A) @ F / F.size**2


@wrong("wrong-reshape")  # marcopeix/Deep_Learning_AI#1, and back the same way
def style_gradient_of_map(a, A):
    H, W, N = a.shape
    F = a.reshape(N, H * W)
    return _style_gradient(F, A).reshape(H, W, N)


@wrong("wrong-reshape")
def style_gradient_of_map(a, A):
    F = a.reshape(-1, a.shape[-1]).T
    return _style_gradient(F, A).reshape(a.shape)


@wrong("wrong-shape")
def style_gradient_of_map(a, A):
    F = a.reshape(-1, a.shape[-1]).T
    return _style_gradient(F, A)


@wrong("wrong-shape", "transposed")
def style_gradient_of_map(a, A):
    H, W, N = a.shape
    F = a.transpose(2, 0, 1).reshape(N, -1)
    return _style_gradient(F, A).reshape(N, H, W)


@wrong("wrong-shape", "transposed", "wrong-reshape")
def style_gradient_of_map(a, A):
    H, W, N = a.shape
    F = a.reshape(-1, N).T
    return _style_gradient(F, A).T.reshape(W, H, N)


@wrong("transposed", "wrong-reshape")
def style_gradient_of_map(a, A):
    H, W, N = a.shape
    F = a.transpose(2, 1, 0).reshape(N, -1)
    return _style_gradient(F, A).reshape(N, H, W).transpose(1, 2, 0)


@wrong("missing-normaliser")
def style_gradient_of_map(a, A):
    X = a.reshape(-1, a.shape[-1])
    return (X @ (X.T @ X - A)).reshape(a.shape)


@wrong("raises", "wrong-reshape", "transposed")
def style_gradient_of_map(a, A):
    N, H, W = a.shape
    F = a.reshape(N, H * W)
    return _style_gradient(F, A).reshape(N, H, W)


@wrong("wrong-normaliser")
def style_gradient_of_map(a, A):
    M, _, N = a.shape  # the height only
    X = a.reshape(-1, N)
    return (X @ (X.T @ X - A)).reshape(a.shape) / (N**2 * M**2)


@wrong("sign")
def style_gradient_of_map(a, A):
    H, W, N = a.shape
    G = np.tensordot(a, a, axes=([0, 1], [0, 1]))
    return a @ (A - G) / (N * H * W) ** 2


@wrong("wrong-relu-mask")
def style_gradient_of_map(a, A):
    H, W, N = a.shape
    G = np.tensordot(a, a, axes=([0, 1], [0, 1]))
    return (a @ (G - A) / (N * H * W) ** 2) * (a > 0)


@wrong("wrong-normaliser", "missing-normaliser")  # jcjohnson/neural-style divides by the number of elements
def style_gradient_of_map(a, A):
    G = np.einsum("hwi,hwj->ij", a, a)
    return a @ (G - A) / a.size


@wrong("constant-factor")
def style_gradient_of_map(a, A):
    G = np.einsum("hwi,hwj->ij", a, a)
    return 4 * a @ (G - A) / a.size**2


@wrong("raises", "wrong-operand")
def style_gradient_of_map(a, A):
    F = a.reshape(-1, a.shape[-1])  # positions × filters, into a formula for filters × positions
    return _style_gradient(F, A).reshape(a.shape)


@wrong("wrong-operand", "square-of-sum")
def style_gradient_of_map(a, A):
    H, W, N = a.shape
    mean = a.sum(axis=(0, 1))
    G = np.outer(mean, mean)
    return a @ (G - A) / (N * H * W) ** 2


@wrong("wrong-reshape", "missing-normaliser")
def style_gradient_of_map(a, A):
    H, W, N = a.shape
    F = np.reshape(a, [N, H * W])
    return ((F @ F.T - A) @ F).reshape(a.shape)


@wrong("mutates-input")
def style_gradient_of_map(a, A):
    H, W, N = a.shape
    G = np.einsum("hwi,hwj->ij", a, a)
    A *= -1
    A += G
    return a @ A / (N * H * W) ** 2


@wrong("channels-swapped")
def style_gradient_of_map(a, A):
    F = a[..., ::-1].reshape(-1, a.shape[-1]).T
    return _style_gradient(F, A).T.reshape(a.shape)


@right
def style_gradient_of_map(a, A):
    G = np.tensordot(a, a, axes=((0, 1), (0, 1)))
    return np.tensordot(a, G - A, axes=1) / float(a.size) ** 2


@right
def style_gradient_of_map(a, A):
    F = np.transpose(a, (2, 1, 0)).reshape(a.shape[2], -1)  # column by column, and back
    return _style_gradient(F, A).reshape(a.shape[::-1]).transpose(2, 1, 0)


@right
def style_gradient_of_map(a, A):
    out = np.empty(a.shape, np.float32)
    D = sum(np.outer(p, p) for row in a for p in row) - A
    for h in range(a.shape[0]):
        for w in range(a.shape[1]):
            for n in range(a.shape[2]):
                out[h, w, n] = np.sum(D[n] * a[h, w]) / a.size**2
    return out


@right
def style_gradient_of_map(a, A):
    H, W, N = a.shape
    X = a.reshape(H * W, N)
    return np.linalg.multi_dot([X, (X.T @ X - A) / (N * H * W) ** 2]).reshape(H, W, N)


# --- total_gradient --------------------------------------------------------------------------------------------------


@wrong("wrong-operand")
def total_gradient(F, P, A, alpha, beta):
    return beta * (F - P) + alpha * _style_gradient(F, A)


@wrong("wrong-operand")
def total_gradient(F, P, A, alpha, beta):
    return (F - P) + beta * _style_gradient(F, A)


@wrong("wrong-operand")
def total_gradient(F, P, A, alpha, beta):
    return alpha * (F - P) + _style_gradient(F, A)


@wrong("sign")
def total_gradient(F, P, A, alpha, beta):
    return alpha * (F - P) - beta * _style_gradient(F, A)


@wrong("wrong-operand")
def total_gradient(F, P, A, alpha, beta):
    return alpha**2 * (F - P) + beta**2 * _style_gradient(F, A)


@wrong("constant-factor", "wrong-operand")
def total_gradient(F, P, A, alpha, beta):
    return alpha * 2 * (F - P) + beta * _style_gradient(F, A)


@wrong("missing-normaliser")
def total_gradient(F, P, A, alpha, beta):
    content = F - P
    style = (F @ F.T - A) @ F
    return alpha * content + beta * style


@wrong("wrong-operand")
def total_gradient(F, P, A, alpha, beta):
    return alpha * beta * (F - P + _style_gradient(F, A))


@wrong("wrong-normaliser", "constant-factor")
def total_gradient(F, P, A, alpha, beta):
    return (alpha * (F - P) + beta * _style_gradient(F, A)) / (alpha + beta)


@wrong("wrong-operand")
def total_gradient(F, P, A, alpha, beta):
    return alpha * (F - P)


@wrong("wrong-operand")
def total_gradient(F, P, A, alpha, beta):
    N, M = F.shape
    return alpha * (F - P) + beta * (P @ P.T - A) @ F / (N**2 * M**2)


@wrong("wrong-shape")
def total_gradient(F, P, A, alpha, beta):
    return alpha * (F - P), beta * _style_gradient(F, A)


@wrong("wrong-shape", "wrong-operand")
def total_gradient(F, P, A, alpha, beta):
    content = 0.5 * np.sum((F - P) ** 2)
    style = np.sum((F @ F.T - A) ** 2) / (4 * F.size**2)
    return alpha * content + beta * style


@wrong("wrong-relu-mask")
def total_gradient(F, P, A, alpha, beta):
    grad = alpha * (F - P) + beta * _style_gradient(F, A)
    grad[F <= 0] = 0
    return grad


@wrong("constant-factor", "wrong-operand")  # the factors of two different losses: 2 and 4
def total_gradient(F, P, A, alpha, beta):
    return alpha * 2 * (F - P) + beta * 4 * _style_gradient(F, A)


@wrong("signature", "wrong-operand")
def total_gradient(F, P, A, beta, alpha):
    return alpha * (F - P) + beta * _style_gradient(F, A)


@wrong("signature")
def total_gradient(F, P, A, ratio):
    return ratio * (F - P) + _style_gradient(F, A)


@wrong("mutates-input")
def total_gradient(F, P, A, alpha, beta):
    style = _style_gradient(F, A)
    F -= P
    F *= alpha
    return F + beta * style


@wrong("mean-for-sum", "wrong-normaliser")
def total_gradient(F, P, A, alpha, beta):
    return alpha * (F - P) / F.size + beta * _style_gradient(F, A)


@wrong("sign", "wrong-operand")
def total_gradient(F, P, A, alpha, beta):
    return alpha * (P - F) + beta**2 * _style_gradient(F, A)


@wrong(
    "wrong-normaliser", "wrong-operand"
)  # each term normalised, as with -normalize_gradients of jcjohnson/neural-style
def total_gradient(F, P, A, alpha, beta):
    c, s = F - P, _style_gradient(F, A)
    return alpha * c / np.abs(c).sum() + beta * s / np.abs(s).sum()


@wrong("numerical")
def total_gradient(F, P, A, alpha, beta):
    def loss(F):
        return alpha * np.sum((F - P) ** 2) / 2 + beta * np.sum((F @ F.T - A) ** 2) / (4 * F.size**2)

    grad = np.zeros(F.shape)
    for i in np.ndindex(*F.shape):
        e = np.zeros(F.shape)
        e[i] = 1e-4
        grad[i] = (loss(F + e) - loss(F - e)) / 2e-4
    return grad


@right
def total_gradient(F, P, A, alpha, beta):
    terms = [(alpha, F - P), (beta, _style_gradient(F, A))]
    return sum(weight * term for weight, term in terms)


@right
def total_gradient(F, P, A, alpha, beta):
    N, M = F.shape
    B = alpha * np.eye(N) + beta / (N**2 * M**2) * (F @ F.T - A)
    return B @ F - alpha * P


@right
def total_gradient(F, P, A, alpha, beta):
    grad = np.zeros(F.shape, np.float32)
    G = np.dot(F, F.T)
    N, M = F.shape
    for i in range(N):
        for j in range(M):
            grad[i, j] = alpha * (F[i, j] - P[i, j])
            for k in range(N):
                grad[i, j] += beta * (G[i, k] - A[i, k]) * F[k, j] / (N * M) ** 2
    return grad
