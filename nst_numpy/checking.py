"""Checking a gradient against finite differences, and saying what is wrong with it.

The derivative of f at x along a direction u is approximately (f(x + h u) − f(x − h u)) / 2h. The error of this central
difference is of the order h² from the curvature of f, plus about 1e-16 · |f| / h from rounding: with float64 and h near
1e-5 both are small. With float32 they never are; so everything here is float64, as far as the function allows it.

Where f has a kink (a ReLU switches, two elements of a pooling window are equal), it has two slopes, and every number
between them is a right gradient. Such coordinates are found by the slopes on either side, left out, and counted.
"""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np

from nst_numpy.network import VGG

FLOAT32_STEP, FLOAT32_RTOL = 1e-2, 3e-2  # the best that float32 can do


@dataclass(frozen=True, repr=False)
class GradientCheck:
    """What `gradcheck` found. It is true if the gradient passed, and prints as one line.

    Attributes
    ----------
    passed : bool
        norm_ratio and max_relative_error are both at most rtol, and nothing else is wrong.
    norm_ratio : float
        ‖analytic − numeric‖ / max(‖analytic‖, ‖numeric‖), over what was compared; 0 if both are zero.
    max_relative_error : float
        Largest difference of two elements, divided by the largest element of either.
    worst_index : tuple of int or None
        Where in x that difference is; None for a check along one direction, or if nothing could be compared.
    analytic, numeric : ndarray, shape (n,)
        The gradient given, and the differences: at the coordinates compared, or along the one direction.
    indices : ndarray of int, shape (n,)
        Which coordinates these are (of x flattened); empty for a check along one direction.
    kinks : int
        Coordinates left out, since the function has a kink there and the gradient lies between its two slopes.
    diagnosis : tuple of str
        What is wrong, as far as numbers alone tell: some of "constant-factor", "sign", "transposed", "wrong-shape",
        "mutates-input", "accumulates" and "not-finite".
    message : str
        The diagnosis in words, with the evidence.
    shape : tuple of int
        Of x.
    rtol : float
    """

    passed: bool
    norm_ratio: float
    max_relative_error: float
    worst_index: tuple[int, ...] | None
    analytic: np.ndarray
    numeric: np.ndarray
    indices: np.ndarray
    kinks: int
    diagnosis: tuple[str, ...]
    message: str
    shape: tuple[int, ...]
    rtol: float

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        line = f"gradient {'passed' if self.passed else 'FAILED'}: "
        if self.message:
            line += self.message + "; "
        left_out = f" ({self.kinks} left out at kinks)" if self.kinks else ""
        if len(self.analytic) == 0:
            return line + "nothing could be compared" + left_out
        worst = int(np.argmax(np.abs(self.analytic - self.numeric)))
        where = "along one direction" if self.worst_index is None else f"worst at {self.worst_index}"
        return line + (
            f"norm ratio {self.norm_ratio:.1e}, largest error {self.max_relative_error:.1e} (rtol {self.rtol:.0e}), "
            f"{len(self.analytic)} compared{left_out}, {where}: "
            f"analytic {self.analytic[worst]:.6g}, numeric {self.numeric[worst]:.6g}"
        )

    __repr__ = __str__

    def error_map(self) -> np.ndarray:
        """|analytic − numeric| over the largest element of either, in the shape of x; NaN where not compared."""
        error = np.full(int(np.prod(self.shape)), np.nan)
        error[self.indices] = np.abs(self.analytic - self.numeric)[: len(self.indices)]
        largest = np.abs([self.analytic, self.numeric]).max(initial=0)
        return error.reshape(self.shape) / (largest or 1)

    def _repr_png_(self) -> bytes | None:
        """The error map as a picture, for a notebook: rows and columns of x, the largest over its channels."""
        if len(self.indices) == 0 or len(self.shape) < 2:
            return None
        from matplotlib.figure import Figure  # takes its time to import

        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # places with nothing but NaN
            error = np.nanmax(self.error_map().reshape(*self.shape[:2], -1), axis=2)
        figure = Figure(figsize=(5, 3.5), layout="constrained")
        axes = figure.subplots()
        picture = axes.imshow(np.log10(np.maximum(error, 1e-12)), vmin=-12, vmax=0, cmap="magma", interpolation="none")
        figure.colorbar(picture, label="log₁₀ of the relative error")
        axes.set_title("passed" if self.passed else "FAILED: " + (", ".join(self.diagnosis) or "see the line"))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return buffer.getvalue()


def gradcheck(
    function: Callable[[np.ndarray], float | np.ndarray],
    gradient: Callable[..., np.ndarray] | np.ndarray,
    x: np.ndarray,
    *,
    mode: str = "auto",
    samples: int = 100,
    h: float = 1e-5,
    rtol: float = 1e-6,
    seed: int = 0,
) -> GradientCheck:
    """Compare a gradient with central differences of its function, in float64, and say what is wrong with it.

    Choose x away from places where the gradient is zero anyway (the target of a loss): there a check says nothing.

    Parameters
    ----------
    function : callable
        `function(x)` is a scalar, or an array y. An array is contracted with a random dy, drawn from the seed: what is
        checked is then the gradient of Σ dy · y, which is what a backward function computes.
    gradient : callable or ndarray, shape of x
        For a scalar function `gradient(x)`, or its value. For an array function the backward `gradient(dy, x)`.
    x : ndarray, any shape
        Converted to float64; not changed. If the function takes or returns nothing but float32, there is a warning, and
        step and tolerance become those that float32 allows.
    mode : {"auto", "all", "sample", "direction"}
        Compare all coordinates; or some, drawn at random; or the derivative along one random direction, which costs two
        evaluations for x of any size. "auto" is "all" for up to `samples` coordinates, and "sample" beyond.
    samples : int
        How many coordinates to draw.
    h : float
        Step. Larger is better for a function that is linear or quadratic in x, where there is no error from curvature.
    rtol : float
        What passes.
    seed : int
        For the draws.

    Returns
    -------
    GradientCheck

    Raises
    ------
    ValueError
        If the mode is unknown, x is empty, or the function is an array and the gradient is not callable.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy.layers import relu_backward, relu_forward
    >>> x = np.array([1.0, -2.0, 3.0])
    >>> gradcheck(relu_forward, relu_backward, x).passed
    True
    >>> gradcheck(lambda x: 0.5 * np.sum(x**2), lambda x: 2 * x, x).diagnosis
    ('constant-factor',)
    """
    if mode not in ("auto", "all", "sample", "direction"):
        raise ValueError(f'mode must be "auto", "all", "sample" or "direction", found {mode!r}')
    x = np.asarray(x)
    if x.size == 0:
        raise ValueError(f"x must not be empty, found shape {x.shape}")
    rng = np.random.default_rng(seed)
    x, y = _in_float64(function, x)
    if getattr(y, "dtype", np.float64) in (np.float32, np.float16):
        warnings.warn(
            f"the function computes in {y.dtype}, in which differences are wrong by a hundredth and more; "
            "let it compute in float64 for a check that means something",
            RuntimeWarning,
            stacklevel=2,
        )
        h, rtol = max(h, FLOAT32_STEP), max(rtol, FLOAT32_RTOL)
    if np.ndim(y) > 0:
        if not callable(gradient):
            raise ValueError("the function returns an array: gradient must be its backward, callable as (dy, x)")
        dy = rng.standard_normal(np.shape(y))

        def value(x: np.ndarray) -> float:
            return float(np.sum(dy * function(x)))

        given, findings = _call(lambda x: gradient(dy.copy(), x), x)
    else:

        def value(x: np.ndarray) -> float:
            return float(function(x))

        given, findings = _call(gradient, x) if callable(gradient) else (np.asarray(gradient, np.float64), {})
    untouched = x.copy()
    value(untouched)
    if not np.array_equal(untouched, x):
        findings["mutates-input"] = "the function changes its input in place"
    if given.shape != x.shape:
        turned = "; its transpose would fit" if given.shape == x.shape[::-1] else ""
        findings["wrong-shape"] = f"the gradient must have the shape of x, {x.shape}, found {given.shape}{turned}"
        empty = np.empty(0)
        words = "; ".join(findings.values())
        return GradientCheck(
            False, np.inf, np.inf, None, empty, empty, empty.astype(int), 0, tuple(findings), words, x.shape, rtol
        )

    if mode == "direction":
        indices, kinks = np.empty(0, int), 0
        u = rng.standard_normal(x.shape)
        analytic, numeric = np.array([np.sum(given * u)]), np.array([_slope(value, x, h * u) / h])
    else:
        every = mode == "all" or (mode == "auto" and x.size <= samples)
        indices = np.arange(x.size) if every else np.sort(rng.choice(x.size, min(samples, x.size), replace=False))
        numeric = np.array([_slope(value, x, step) / h for step in _unit_steps(x, indices, h)])
        analytic = given.ravel()[indices]
        smooth = _without_kinks(value, x, analytic, numeric, indices, h, rtol)
        kinks = int(np.sum(~smooth))
        analytic, numeric, indices = analytic[smooth], numeric[smooth], indices[smooth]

    difference = np.abs(analytic - numeric)
    norm_ratio = _ratio(np.linalg.norm(difference), np.linalg.norm(analytic), np.linalg.norm(numeric))
    max_relative_error = _ratio(*(np.abs(a).max(initial=0) for a in (difference, analytic, numeric)))
    worst = tuple(map(int, np.unravel_index(indices[difference.argmax()], x.shape))) if len(indices) else None
    if not (norm_ratio <= rtol and max_relative_error <= rtol and np.isfinite(given).all()):
        findings |= _diagnosis(given, analytic, numeric, indices, max(1e-4, 10 * rtol))
    passed = bool(norm_ratio <= rtol and max_relative_error <= rtol) and not findings
    return GradientCheck(
        passed,
        norm_ratio,
        max_relative_error,
        worst,
        analytic,
        numeric,
        indices,
        kinks,
        tuple(findings),
        "; ".join(findings.values()),
        x.shape,
        rtol,
    )


def _in_float64(function: Callable, x: np.ndarray) -> tuple[np.ndarray, float | np.ndarray]:
    """The input in float64, and the function there; or as it is, if the function takes it only so."""
    raised = x.astype(np.float64)
    try:
        return raised, function(raised.copy())
    except (TypeError, ValueError):
        if x.dtype == np.float64 or x.dtype.kind != "f":
            raise
        return x.copy(), function(x.copy())


def _call(gradient: Callable, x: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """The gradient at x, and what is wrong with the way in which it was computed."""
    findings = {}
    seen = x.copy()
    given = np.array(gradient(seen), np.float64)
    if not np.array_equal(seen, x):
        findings["mutates-input"] = "the gradient function changes its input in place"
    again = np.asarray(gradient(x.copy()), np.float64)
    if given.shape == again.shape and not np.allclose(given, again, rtol=1e-9, atol=0, equal_nan=True):
        findings["accumulates"] = "a second call returns another gradient: something is kept from call to call"
    return given, findings


def _slope(value: Callable, x: np.ndarray, step: np.ndarray) -> float:
    return (value(x + step) - value(x - step)) / 2


def _unit_steps(x: np.ndarray, indices: np.ndarray, h: float) -> Iterator[np.ndarray]:
    for index in indices:
        step = np.zeros_like(x, order="C")
        step.reshape(-1)[index] = h
        yield step


def _without_kinks(value, x, analytic, numeric, indices, h, rtol) -> np.ndarray:
    """Which coordinates to compare; `numeric` becomes better where a kink is near, but not here.

    Only where the gradient disagrees. The slopes on either side are taken with smaller and smaller steps. If they come
    together (for a smooth function their distance shrinks with the step), their mean is the derivative. If they don't,
    x is at a kink, and what lies between them is right.
    """
    size = max(np.abs(numeric).max(initial=0), np.abs(analytic[np.isfinite(analytic)]).max(initial=0))
    smooth = np.ones(len(indices), bool)
    here = value(x)
    for n in np.flatnonzero(~(np.abs(analytic - numeric) <= rtol * size)):
        gaps = []
        for smaller in (h, h / 10, h / 100):
            step = next(_unit_steps(x, indices[n : n + 1], smaller))
            right, left = (value(x + step) - here) / smaller, (here - value(x - step)) / smaller
            tolerance = rtol * size + 1e-15 * abs(here) / smaller
            gaps.append(abs(right - left))
            if gaps[-1] <= max(tolerance, 0.2 * gaps[0]):
                if abs((right + left) / 2 - numeric[n]) > 2 * tolerance:
                    numeric[n] = (right + left) / 2
                break
        else:
            smooth[n] = not min(left, right) - tolerance <= analytic[n] <= max(left, right) + tolerance
    return smooth


def _diagnosis(given, analytic, numeric, indices, tolerance) -> dict[str, str]:
    """What can be said from numbers alone: the code of each finding, and its words."""
    if not np.isfinite(given).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(given))[0]))
        return {"not-finite": f"the gradient has values that are not finite, the first at {where}"}
    if not np.isfinite(numeric).all():
        return {"not-finite": "the function itself is not finite near x"}
    if len(numeric) < 2 or not np.linalg.norm(numeric):
        return {}

    def close(a: np.ndarray) -> bool:
        return np.linalg.norm(a - numeric) <= tolerance * np.linalg.norm(numeric)

    factor = float(analytic @ numeric / (numeric @ numeric))
    if factor and close(analytic / factor):
        if abs(factor + 1) < tolerance:
            return {"sign": "the sign is wrong: minus the right gradient"}
        return {"constant-factor": f"{_as_fraction(factor)} times the right gradient"}
    for i, j in combinations(range(given.ndim), 2):
        if given.shape[i] == given.shape[j] and close(given.swapaxes(i, j).ravel()[indices]):
            return {"transposed": f"right, but with axes {i} and {j} exchanged"}
    return {}


def _as_fraction(factor: float) -> str:
    fraction = Fraction(factor).limit_denominator(1000)
    simple = fraction and abs(fraction.numerator * fraction.denominator) <= 5000
    return str(fraction) if simple and abs(factor / float(fraction) - 1) < 1e-5 else f"{factor:.6g}"


def _ratio(difference: float, *sizes: float) -> float:
    """The difference over the largest of sizes; 0 for 0/0, NaN stays NaN."""
    return float(difference / max(sizes)) if max(sizes) else float(difference)


# Layer by layer -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class LayerChecks:
    """What `check_layers` found. It is true if all passed, and prints as a table.

    Attributes
    ----------
    checks : dict of str to GradientCheck
        Of every layer alone, in order.
    chain : GradientCheck
        Of all layers after one another.
    first_wrong : str or None
        The first layer, from the input on, whose gradient is wrong.
    """

    checks: dict[str, GradientCheck]
    chain: GradientCheck

    @property
    def first_wrong(self) -> str | None:
        return next((name for name, check in self.checks.items() if not check), None)

    def __bool__(self) -> bool:
        return self.first_wrong is None and bool(self.chain)

    def __str__(self) -> str:
        lines = [f"{name:10} {check}" for name, check in {**self.checks, "all": self.chain}.items()]
        if self.first_wrong:
            lines.append(f"the first layer that is wrong: {self.first_wrong}")
        elif not self.chain:
            lines.append("each layer is right alone: look at how they are put together")
        return "\n".join(lines)

    __repr__ = __str__


def check_layers(
    layers: Mapping[str, tuple[Callable, Callable]],
    x: np.ndarray,
    *,
    backward: Callable | None = None,
    samples: int = 30,
    h: float = 1e-5,
    rtol: float = 1e-6,
    seed: int = 0,
) -> LayerChecks:
    """Check the backward function of every layer alone, at the input that it gets in the network, then of the chain.

    Parameters
    ----------
    layers : mapping of str to (forward, backward)
        In order: `forward(x)` → y and `backward(dy, x)` → dx.
    x : ndarray
        Input of the first layer.
    backward : callable, optional
        `backward(dy, x)` of the whole network. By default the layers' own, one after the other.
    samples, h, rtol, seed
        As in `gradcheck`.

    Returns
    -------
    LayerChecks
    """
    options = {"samples": samples, "h": h, "rtol": rtol, "seed": seed}
    checks, a = {}, np.asarray(x, np.float64)
    for name, (forward, back) in layers.items():
        checks[name] = gradcheck(forward, back, a, **options)
        a = forward(a)

    def through(x: np.ndarray) -> np.ndarray:
        for forward, _ in layers.values():
            x = forward(x)
        return x

    def back_through(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        inputs = []
        for forward, _ in layers.values():
            inputs.append(x)
            x = forward(x)
        for (_, back), a in zip(reversed(layers.values()), reversed(inputs), strict=True):
            dy = back(dy, a)
        return dy

    return LayerChecks(checks, gradcheck(through, backward or back_through, x, **options))


def check_network(network: VGG, image: np.ndarray, layer: str, **options) -> LayerChecks:
    """`check_layers` for a VGG up to `layer`: every convolution with its ReLU, every pooling, then the whole sweep.

    Parameters
    ----------
    network : VGG
        In float64 (`load_weights(..., dtype=numpy.float64)`).
    image : ndarray, shape (H, W, 3)
        Random pixels do best; flat areas are full of kinks.
    layer : str
    **options
        As in `check_layers`.

    Returns
    -------
    LayerChecks
    """
    deepest = network.layers.index(network.canonical(layer)) + 1
    runs, prepared = network.engine, network.prepared
    layers = {"input": (lambda x: (255 * x - network.mean) * network.scale, lambda dy, x: dy * (255 * network.scale))}
    for name in network.layers[:deepest]:
        if name.startswith("pool"):
            layers[name] = (
                lambda x: runs.pool_forward(x, network.pooling)[0],
                lambda dy, x: runs.pool_backward(dy, network.pooling, runs.pool_forward(x, network.pooling)[1]),
            )
        else:
            layers[name] = (
                lambda x, p=prepared[name]: runs.conv_relu_forward(x, p)[0],
                lambda dy, x, p=prepared[name]: runs.conv_relu_backward(dy, p, runs.conv_relu_forward(x, p)[1]),
            )

    def sweep(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        name = network.layers[deepest - 1]
        return network.backward({name: dy}, network.forward(x, [name])[1])

    return check_layers(layers, image, backward=sweep, **options)
