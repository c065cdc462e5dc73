"""Solutions of total_variation_gradient and gradient_step."""

import numpy as np

from . import right, wrong

# --- total_variation_gradient ----------------------------------------------------------------------------------------


@wrong("sign")  # seen with the differences x[:-1] - x[1:]
def total_variation_gradient(x):
    h_diff = x[1:] - x[:-1]
    v_diff = x[:, 1:] - x[:, :-1]
    grad = np.zeros_like(x)
    grad[:-1] += h_diff
    grad[1:] -= h_diff
    grad[:, :-1] += v_diff
    grad[:, 1:] -= v_diff
    return grad


@wrong("constant-factor")  # of cs231n's tv_loss, which has no ½
def total_variation_gradient(x):
    dx = np.zeros_like(x)
    d = 2 * np.diff(x, axis=0)
    dx[1:] += d
    dx[:-1] -= d
    d = 2 * np.diff(x, axis=1)
    dx[:, 1:] += d
    dx[:, :-1] -= d
    return dx


@wrong("edges-lost")
def total_variation_gradient(x):
    neighbours = np.roll(x, 1, 0) + np.roll(x, -1, 0) + np.roll(x, 1, 1) + np.roll(x, -1, 1)
    return 4 * x - neighbours


@wrong("wrong-operand")
def total_variation_gradient(x):
    dx = np.zeros_like(x)
    d = x[:, 1:] - x[:, :-1]
    dx[:, 1:] += d
    dx[:, :-1] -= d
    return dx


@wrong("missing-square")
def total_variation_gradient(x):
    dx = np.zeros_like(x)
    down, across = np.sign(np.diff(x, axis=0)), np.sign(np.diff(x, axis=1))
    dx[1:] += down
    dx[:-1] -= down
    dx[:, 1:] += across
    dx[:, :-1] -= across
    return dx


@wrong("edges-lost", "wrong-operand")
def total_variation_gradient(x):
    gy, gx = np.gradient(x, axis=(0, 1))
    return -(np.gradient(gy, axis=0) + np.gradient(gx, axis=1))


@wrong("edges-lost")  # TVLoss of jcjohnson/neural-style: only pixels that have both neighbours
def total_variation_gradient(x):
    x_diff = x[:-1, :-1] - x[:-1, 1:]
    y_diff = x[:-1, :-1] - x[1:, :-1]
    grad = np.zeros_like(x)
    grad[:-1, :-1] += x_diff + y_diff
    grad[:-1, 1:] -= x_diff
    grad[1:, :-1] -= y_diff
    return grad


@wrong("wrong-shape", "wrong-operand")
def total_variation_gradient(x):
    return 0.5 * (np.sum(np.diff(x, axis=0) ** 2) + np.sum(np.diff(x, axis=1) ** 2))


@wrong("wrong-operand")
def total_variation_gradient(x):
    dx = np.zeros_like(x)
    dx[1:] += x[1:] - x[:-1]
    dx[:, 1:] += x[:, 1:] - x[:, :-1]
    return dx


@wrong("edges-lost")
def total_variation_gradient(x):
    p = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    return 4 * x - p[:-2, 1:-1] - p[2:, 1:-1] - p[1:-1, :-2] - p[1:-1, 2:]


@wrong("overlap-overwritten")
def total_variation_gradient(x):
    dx = np.zeros_like(x)
    down, across = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
    dx[1:] = down
    dx[:-1] -= down
    dx[:, 1:] = across
    dx[:, :-1] -= across
    return dx


@wrong("wrong-operand")
def total_variation_gradient(x):
    dx = np.zeros_like(x)
    for axis in range(x.ndim):  # and along the channels
        d = np.moveaxis(np.diff(x, axis=axis), axis, 0)
        g = np.moveaxis(dx, axis, 0)
        g[1:] += d
        g[:-1] -= d
    return dx


@wrong("wrong-shape", "edges-lost")
def total_variation_gradient(x):
    inner = x[1:-1, 1:-1]
    return 4 * inner - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]


@wrong("wrong-normaliser")  # nazianafis/Neural-Style-Transfer#2: divided by the number of elements
def total_variation_gradient(x):
    dx = np.zeros_like(x)
    for axis in (0, 1):
        d = np.diff(x, axis=axis).swapaxes(0, axis)
        dx.swapaxes(0, axis)[1:] += d
        dx.swapaxes(0, axis)[:-1] -= d
    return dx / x.size


@wrong("sign")
def total_variation_gradient(x):
    dx = np.zeros_like(x)
    down, across = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
    dx[1:] += down
    dx[:-1] -= down
    dx[:, 1:] -= across
    dx[:, :-1] += across
    return dx


@wrong("sign")
def total_variation_gradient(x):
    dx = np.zeros_like(x)
    down, across = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
    dx[1:] += down
    dx[:-1] += down
    dx[:, 1:] += across
    dx[:, :-1] += across
    return dx


@wrong("edges-lost")
def total_variation_gradient(x):
    p = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="reflect")
    return 4 * x - p[:-2, 1:-1] - p[2:, 1:-1] - p[1:-1, :-2] - p[1:-1, 2:]


@wrong("edges-lost")
def total_variation_gradient(x):
    H, W, C = x.shape
    dx = np.zeros((H, W, C))
    for i in range(1, H - 1):
        for j in range(1, W - 1):
            for c in range(C):
                dx[i, j, c] = 4 * x[i, j, c] - x[i - 1, j, c] - x[i + 1, j, c] - x[i, j - 1, c] - x[i, j + 1, c]
    return dx


@wrong("edges-lost")  # negative indices wrap around
def total_variation_gradient(x):
    H, W, C = x.shape
    dx = np.zeros((H, W, C))
    for i in range(H):
        for j in range(W):
            dx[i, j] += (x[i, j] - x[i - 1, j]) + (x[i, j] - x[i, j - 1])
            if i + 1 < H:
                dx[i, j] -= x[i + 1, j] - x[i, j]
            if j + 1 < W:
                dx[i, j] -= x[i, j + 1] - x[i, j]
    return dx


@wrong("raises")
def total_variation_gradient(x):
    H, W, C = x.shape
    dx = np.zeros((H, W, C))
    for i in range(H):
        for j in range(W):
            dx[i, j] = 4 * x[i, j] - x[i - 1, j] - x[i + 1, j] - x[i, j - 1] - x[i, j + 1]
    return dx


@wrong("mutates-input")
def total_variation_gradient(x):
    down, across = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
    x *= 0
    x[1:] += down
    x[:-1] -= down
    x[:, 1:] += across
    x[:, :-1] -= across
    return x


@wrong("rounded")
def total_variation_gradient(x):
    x = x.astype(np.int16)
    p = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    return 4 * x - p[:-2, 1:-1] - p[2:, 1:-1] - p[1:-1, :-2] - p[1:-1, 2:]


@wrong("constant-factor", "edges-lost")
def total_variation_gradient(x):
    dx = np.zeros_like(x)
    for shift in (1, -1):
        for axis in (0, 1):
            dx += 2 * (x - np.roll(x, shift, axis))
    return dx


@wrong("wrong-operand", "transposed")  # axes of (channels, H, W)
def total_variation_gradient(x):
    dx = np.zeros_like(x)
    d = x[:, 1:] - x[:, :-1]
    dx[:, 1:] += d
    dx[:, :-1] -= d
    d = x[:, :, 1:] - x[:, :, :-1]
    dx[:, :, 1:] += d
    dx[:, :, :-1] -= d
    return dx


@wrong("numerical")
def total_variation_gradient(x):
    def tv(x):
        return 0.5 * (np.sum((x[1:] - x[:-1]) ** 2) + np.sum((x[:, 1:] - x[:, :-1]) ** 2))

    grad = np.zeros(x.shape)
    for i in np.ndindex(*x.shape):
        e = np.zeros(x.shape)
        e[i] = 1e-3
        grad[i] = (tv(x + e) - tv(x - e)) / 2e-3
    return grad


@wrong("wrong-operand")
def total_variation_gradient(x):
    dx = np.zeros_like(x)
    down, across = np.diff(x, axis=0) ** 2, np.diff(x, axis=1) ** 2
    dx[1:] += down
    dx[:-1] -= down
    dx[:, 1:] += across
    dx[:, :-1] -= across
    return dx


@wrong("not-finite", "wrong-operand", "missing-square")  # the isotropic total variation, without the small ε
def total_variation_gradient(x):
    a, b = np.zeros_like(x), np.zeros_like(x)
    a[:-1], b[:, :-1] = np.diff(x, axis=0), np.diff(x, axis=1)
    with np.errstate(all="ignore"):
        length = np.sqrt(a**2 + b**2)
        a, b = a / length, b / length
    dx = -a - b
    dx[1:] += a[:-1]
    dx[:, 1:] += b[:, :-1]
    return dx


@wrong("shifted")
def total_variation_gradient(x):
    p = np.pad(x, ((2, 0), (1, 1), (0, 0)), mode="edge")
    c = p[1:-1, 1:-1]
    return 4 * c - p[:-2, 1:-1] - p[2:, 1:-1] - p[1:-1, :-2] - p[1:-1, 2:]


@right
def total_variation_gradient(x):
    p = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    return 4 * x - p[:-2, 1:-1] - p[2:, 1:-1] - p[1:-1, :-2] - p[1:-1, 2:]


@right
def total_variation_gradient(x):
    def laplacian(n):
        D = np.eye(n)[1:] - np.eye(n)[:-1]
        return D.T @ D

    return np.tensordot(laplacian(x.shape[0]), x, 1) + np.einsum("jk,ikc->ijc", laplacian(x.shape[1]), x)


@right
def total_variation_gradient(x):
    H, W = x.shape[:2]
    dx = np.zeros(x.shape, np.float32)
    for i in range(H):
        for j in range(W):
            for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                if 0 <= i + di < H and 0 <= j + dj < W:
                    dx[i, j] += x[i, j] - x[i + di, j + dj]
    return dx


@right
def total_variation_gradient(x):
    down = np.diff(x, axis=0, prepend=x[:1], append=x[-1:])
    across = np.diff(x, axis=1, prepend=x[:, :1], append=x[:, -1:])
    return -np.diff(down, axis=0) - np.diff(across, axis=1)


@right
def total_variation_gradient(x):
    flat = np.arange(x[..., 0].size).reshape(x.shape[:2])
    first = np.concatenate([flat[1:].ravel(), flat[:, 1:].ravel()])
    second = np.concatenate([flat[:-1].ravel(), flat[:, :-1].ravel()])
    v = x.reshape(-1, x.shape[2])
    g = np.zeros(v.shape)
    np.add.at(g, first, v[first] - v[second])
    np.subtract.at(g, second, v[first] - v[second])
    return g.reshape(x.shape)


# --- gradient_step ---------------------------------------------------------------------------------------------------


@wrong("sign")
def gradient_step(x, gradient, learning_rate):
    return x + learning_rate * gradient


@wrong("wrong-operand")
def gradient_step(x, gradient, learning_rate):
    return x - gradient


@wrong("wrong-operand")
def gradient_step(x, gradient, learning_rate):
    return learning_rate * (x - gradient)


@wrong("wrong-operand")
def gradient_step(x, gradient, learning_rate):
    return -learning_rate * gradient


@wrong("mutates-input")
def gradient_step(x, gradient, learning_rate):
    x -= learning_rate * gradient
    return x


@wrong("mutates-input")
def gradient_step(x, gradient, learning_rate):
    gradient *= learning_rate
    return x - gradient


@wrong("wrong-operand", "wrong-normaliser")
def gradient_step(x, gradient, learning_rate):
    return x - gradient / learning_rate


@wrong("wrong-operand")
def gradient_step(x, gradient, learning_rate):
    return np.clip(x - learning_rate * gradient, 0, 1)


@wrong("wrong-operand")
def gradient_step(x, gradient, learning_rate):
    step = np.clip(learning_rate * gradient, -0.1, 0.1)
    return x - step


@wrong("wrong-normaliser")
def gradient_step(x, gradient, learning_rate):
    return x - learning_rate * gradient / (np.linalg.norm(gradient) + 1e-8)


@wrong("wrong-operand")
def gradient_step(x, gradient, learning_rate):
    return x - learning_rate * np.sign(gradient)


_velocity = {}


@wrong("accumulates")
def gradient_step(x, gradient, learning_rate):
    v = 0.9 * _velocity.get(x.shape, 0) + learning_rate * gradient
    _velocity[x.shape] = v
    return x - v


@wrong("wrong-operand")
def gradient_step(x, gradient, learning_rate):
    return x * (1 - learning_rate * gradient)


@wrong("wrong-operand")
def gradient_step(x, gradient, learning_rate):
    return x - learning_rate**2 * gradient


@wrong("rounded")
def gradient_step(x, gradient, learning_rate):
    return np.rint(x - learning_rate * gradient)


@wrong("wrong-operand")
def gradient_step(x, gradient, learning_rate):
    return x - learning_rate * gradient.mean()


@wrong("wrong-shape")
def gradient_step(x, gradient, learning_rate):
    x = x - learning_rate * gradient
    return x, gradient


@wrong("not-finite")
def gradient_step(x, gradient, learning_rate):
    with np.errstate(all="ignore"):
        return x * (1 - learning_rate * gradient / x)


@wrong("mutates-input", "wrong-shape")
def gradient_step(x, gradient, learning_rate):
    x[:] = x - learning_rate * gradient


@wrong("wrong-shape")
def gradient_step(x, gradient, learning_rate):
    return x.ravel() - learning_rate * gradient.ravel()


@wrong("signature", "wrong-operand")
def gradient_step(gradient, x, learning_rate):
    return x - learning_rate * gradient


_calls = [0]


@wrong("accumulates")
def gradient_step(x, gradient, learning_rate):
    _calls[0] += 1
    return x - learning_rate / _calls[0] * gradient


@wrong("wrong-operand")
def gradient_step(x, gradient, learning_rate=0.01):
    learning_rate = 0.01
    return x - learning_rate * gradient


@wrong("sign", "wrong-operand")
def gradient_step(x, gradient, learning_rate):
    return x + gradient


@wrong("wrong-shape", "transposed")
def gradient_step(x, gradient, learning_rate):
    return (x - learning_rate * gradient).T


@wrong("wrong-operand")
def gradient_step(x, gradient, learning_rate):
    return x - learning_rate * np.abs(gradient)


@wrong("sign")
def gradient_step(x, gradient, learning_rate):
    return learning_rate * gradient - x


@right
def gradient_step(x, gradient, learning_rate):
    y = x.copy()
    y -= learning_rate * gradient
    return y


@right
def gradient_step(x, gradient, learning_rate):
    new = [v - learning_rate * g for v, g in zip(x.flatten(), gradient.flatten(), strict=True)]
    return np.asarray(new, dtype=np.float32).reshape(np.shape(x))


@right
def gradient_step(x, gradient, learning_rate):
    return np.subtract(x, np.multiply(np.full_like(x, learning_rate), gradient), dtype=np.result_type(x, gradient))


@right
def gradient_step(x, gradient, learning_rate):
    return np.polyval([-learning_rate, 0], gradient) + x


@right
def gradient_step(x, learning_rate, gradient):  # the names exchanged, but a product does not mind
    return x - learning_rate * gradient
