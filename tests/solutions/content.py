"""Solutions of content_loss, content_gradient and feature_matrix."""

import numpy as np

from . import right, wrong

# --- content_loss ----------------------------------------------------------------------------------------------------


@wrong("constant-factor")
def content_loss(F, P):
    return np.sum((F - P) ** 2)


@wrong("mean-for-sum", "wrong-normaliser")
def content_loss(F, P):
    return 0.5 * np.mean((F - P) ** 2)


@wrong("square-of-sum")
def content_loss(F, P):
    return 0.5 * np.sum(F - P) ** 2


@wrong("missing-square")
def content_loss(F, P):
    return 0.5 * np.sum(np.abs(F - P))


@wrong("missing-square")
def content_loss(F, P):
    diff = F - P
    return 1 / 2 * np.sum(diff * 2)


@wrong("constant-factor", "wrong-normaliser", "mean-for-sum")  # compute_content_cost of deeplearning.ai's course
def content_loss(F, P):
    n_C, n_HW = F.shape
    return 1 / (4 * n_HW * n_C) * np.sum(np.square(np.subtract(P, F)))


@wrong("wrong-normaliser", "mean-for-sum")  # ContentLossLayer in the UCAS course on computing systems
def content_loss(F, P):
    return np.square(F - P).sum() / (2 * F.shape[0] * F.shape[1])


@wrong("missing-square", "wrong-operand")
def content_loss(F, P):
    return 0.5 * np.linalg.norm(F - P)


@wrong("wrong-shape")
def content_loss(F, P):
    return 0.5 * (F - P) ** 2


@wrong("wrong-operand")
def content_loss(F, P):
    return 0.5 * np.sum(F**2 - P**2)


@wrong("sign")
def content_loss(F, P):
    return 0.5 * np.square(F + P).sum()


@wrong("sign")
def content_loss(F, P):
    return -0.5 * np.sum(np.power(P - F, 2))


@wrong("rounded")
def content_loss(F, P):
    return int(np.sum((F - P) ** 2)) // 2


@wrong("wrong-shape")
def content_loss(F, P):
    return 0.5 * np.sum((F - P) ** 2, axis=1)


@wrong("mutates-input")
def content_loss(F, P):
    F -= P
    return 0.5 * np.sum(F * F)


_running = [0.0]


@wrong("accumulates")
def content_loss(F, P):
    _running[0] += 0.5 * np.sum((F - P) ** 2)
    return _running[0]


@wrong("overlap-overwritten")
def content_loss(F, P):
    loss = 0
    for i in range(F.shape[0]):
        for j in range(F.shape[1]):
            loss = (F[i, j] - P[i, j]) ** 2
    return 0.5 * loss


@wrong("edges-lost")
def content_loss(F, P):
    loss = 0
    for i in range(1, F.shape[0]):
        for j in range(1, F.shape[1]):
            loss += (F[i][j] - P[i][j]) ** 2
    return loss / 2


@wrong("wrong-shape")
def content_loss(F, P):
    return 0.5 * np.sum((F - P) ** 2), F - P


@wrong("wrong-normaliser")
def content_loss(F, P):
    return np.sum((F - P) ** 2) / (2 * F.shape[0])


@wrong("mean-for-sum", "missing-square", "constant-factor")
def content_loss(F, P):
    return np.abs(F - P).mean()


@wrong("wrong-operand")
def content_loss(F, P):
    return 0.5 * np.sum((F @ F.T - P @ P.T) ** 2)


@wrong("rounded")
def content_loss(F, P):
    return round(0.5 * float(np.sum((F - P) ** 2)), 2)


@right
def content_loss(F, P):
    d = (F - P).ravel()
    return d @ d / 2


@right
def content_loss(F, P):
    total = 0.0
    for f, p in zip(F.flat, P.flat, strict=True):
        total += (float(f) - float(p)) ** 2
    return total * 0.5


@right
def content_loss(F, P):
    return np.asarray(np.einsum("ij,ij->", F - P, F - P) / 2)  # an array without axes


@right
def content_loss(F, P):
    loss = np.linalg.norm(F - P) ** 2 / 2
    print("content loss: %.4f" % loss)
    return loss


@right
def content_loss(F, P):
    d = np.float32(F) - np.float32(P)
    return np.trace(d @ d.T) / np.float32(2)


# --- content_gradient ------------------------------------------------------------------------------------------------


@wrong("sign")
def content_gradient(F, P):
    return P - F


@wrong("constant-factor")
def content_gradient(F, P):
    return 2 * (F - P)


@wrong("constant-factor")
def content_gradient(F, P):
    return 0.5 * np.subtract(F, P)


@wrong("wrong-normaliser", "mean-for-sum")  # ContentLossLayer in the UCAS course on computing systems
def content_gradient(F, P):
    return (F - P) / F.size


@wrong("wrong-relu-mask")  # fzliu/style-transfer, where it is commented out by now
def content_gradient(F, P):
    return (F - P) * (F > 0)


@wrong("missing-square", "wrong-operand")
def content_gradient(F, P):
    return np.sign(F - P)


@wrong("wrong-operand")
def content_gradient(F, P):
    return 0.5 * (F - P) ** 2


@wrong("wrong-shape")
def content_gradient(F, P):
    return np.sum(F - P)


@wrong("wrong-operand")
def content_gradient(F, P):
    return F.copy()


@wrong("wrong-operand", "sign")
def content_gradient(F, P):
    return np.abs(F - P)


@wrong("mutates-input")
def content_gradient(F, P):
    F -= P
    return F


@wrong("transposed", "wrong-shape")
def content_gradient(F, P):
    return (F - P).T


@wrong("rounded")
def content_gradient(F, P):
    grad = np.zeros(F.shape, dtype=int)
    for i in range(F.shape[0]):
        for j in range(F.shape[1]):
            grad[i, j] = F[i, j] - P[i, j]
    return grad


@wrong("wrong-normaliser")  # andersbll/neural_artistic_style: normalised by the sum of the absolute values
def content_gradient(F, P):
    diff = F - P
    return diff / (np.sum(np.abs(diff)) + 1e-8)


@wrong("not-finite")
def content_gradient(F, P):
    with np.errstate(all="ignore"):
        return (F - P) ** 2 / (F - P)


@wrong("wrong-shape")  # fzliu/style-transfer returns both
def content_gradient(F, P):
    delta = F - P
    return np.sum(delta**2) / 2, delta


@wrong("numerical")
def content_gradient(F, P):
    grad, h = np.zeros(F.shape), 1e-4
    for i in range(F.shape[0]):
        for j in range(F.shape[1]):
            up, down = F.astype(float), F.astype(float)
            up[i, j] += h
            down[i, j] -= h
            grad[i, j] = (np.sum((up - P) ** 2) - np.sum((down - P) ** 2)) / (4 * h)
    return grad


@wrong("wrong-shape")
def content_gradient(F, P):
    return [[f - p for f, p in zip(row_f, row_p, strict=True)] for row_f, row_p in zip(F, P, strict=True)]


@wrong("sign", "constant-factor")
def content_gradient(F, P):
    return -2 * (F - P)


@wrong("sign", "wrong-normaliser")
def content_gradient(F, P):
    N, M = F.shape
    return (P - F) / (N * M)


@wrong("wrong-operand")
def content_gradient(F, P):
    return np.clip(F - P, -1, 1)


@wrong("edges-lost", "raises")
def content_gradient(F, P):
    N = F.shape[0]
    grad = np.zeros(F.shape)
    for i in range(N):
        for j in range(N):  # as if F were square
            grad[i, j] = F[i, j] - P[i, j]
    return grad


@wrong("sign")
def content_gradient(F, P):
    return F + P


@right
def content_gradient(F, P):
    return F.astype(float) - P


@right
def content_gradient(F, P):
    grad = np.empty((len(F), len(F[0])), dtype=np.float32)
    for i, row in enumerate(F):
        for j, f in enumerate(row):
            grad[i][j] = 0.5 * 2 * (f - P[i][j])
    return grad


@right
def content_gradient(F, P):
    x = F.copy()
    x -= P
    return x


@right
def content_gradient(F, P):
    return np.array([[f - p for f, p in zip(r, s, strict=True)] for r, s in zip(F, P, strict=True)], dtype=object)


# --- feature_matrix --------------------------------------------------------------------------------------------------


@wrong("wrong-reshape")  # marcopeix/Deep_Learning_AI#1 and many solutions of deeplearning.ai's course
def feature_matrix(a):
    n_H, n_W, n_C = a.shape
    return np.reshape(a, (n_C, n_H * n_W))


@wrong("transposed", "wrong-shape")
def feature_matrix(a):
    n_H, n_W, n_C = a.shape
    return a.reshape(n_H * n_W, n_C)


@wrong("transposed", "wrong-reshape")
def feature_matrix(a):
    return a.T.reshape(a.shape[-1], -1)


@wrong("transposed", "wrong-reshape")
def feature_matrix(a):
    H, W, N = a.shape
    return a.reshape((-1, N), order="F").T


@wrong("wrong-shape", "wrong-reshape")
def feature_matrix(a):
    return a.reshape(a.shape[0], -1)  # of a map with channels first


@wrong("wrong-shape")
def feature_matrix(a):
    return [a[:, :, i].ravel() for i in range(a.shape[2])]


@wrong("edges-lost")
def feature_matrix(a):
    H, W, N = a.shape
    F = np.zeros((N, H * W))
    for i in range(N):
        for h in range(H - 1):
            for w in range(W - 1):
                F[i, h * W + w] = a[h, w, i]
    return F


@wrong("channels-swapped")
def feature_matrix(a):
    a = a[:, :, ::-1]  # RGB to BGR
    return a.reshape(-1, a.shape[-1]).T


@wrong("overlap-overwritten", "raises", "transposed")
def feature_matrix(a):
    H, W, N = a.shape
    F = np.zeros((N, H * W))
    for h in range(H):
        for w in range(W):
            F[:, h * H + w] = a[h, w]
    return F


@wrong("wrong-normaliser")
def feature_matrix(a):
    H, W, N = a.shape
    return a.transpose(2, 0, 1).reshape(N, -1) / (H * W)


@wrong("mutates-input")
def feature_matrix(a):
    a.shape = (-1, a.shape[-1])
    return a.T


@wrong("wrong-operand")
def feature_matrix(a):
    F = a.reshape(-1, a.shape[-1]).T
    return F - F.mean(axis=1, keepdims=True)


@wrong("rounded")
def feature_matrix(a):
    return a.reshape(-1, a.shape[-1]).T.astype(np.uint8)


@wrong("wrong-relu-mask", "wrong-operand")
def feature_matrix(a):
    return np.maximum(a, 0).reshape(-1, a.shape[-1]).T


@wrong("wrong-reshape", "wrong-shape")
def feature_matrix(a):
    return a.flatten()


@wrong("channels-swapped", "transposed", "wrong-reshape")
def feature_matrix(a):
    H, W, N = a.shape
    return np.swapaxes(a, 0, 2)[::-1].reshape(N, H * W)


@right
def feature_matrix(a):
    return np.moveaxis(a, -1, 0).reshape(a.shape[-1], -1)


@right
def feature_matrix(a):
    return np.vstack([a[..., i].flatten() for i in range(a.shape[-1])])


@right
def feature_matrix(a):
    H, W, N = a.shape
    F = np.zeros((N, H * W))
    for i in range(N):
        for j in range(H * W):
            F[i, j] = a[j // W, j % W, i]
    return F


@right
def feature_matrix(a):
    return np.einsum("hwc->chw", a).reshape((a.shape[2], a.shape[0] * a.shape[1])).astype(np.float32)


@right
def feature_matrix(a):
    columns = []
    for row in a:
        for pixel in row:
            columns.append(pixel)
    return np.rollaxis(np.array(columns), 1)
