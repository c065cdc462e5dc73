"""Time to a loss: one size painted from the photograph, beside PyTorch with its own L-BFGS on the same objective.

    python benchmarks/to_loss.py CONTENT STYLE [--size N] [--steps N]

The network in the box and the losses of the defaults. nst_numpy does so many steps; PyTorch (`torch.optim.LBFGS`, the
same 10 pairs, strong Wolfe line search) runs until its loss is as low, or for three times as many evaluations. It knows
no bounds, so its pixels may leave 0–1, which makes it easier. Time does not include imports, loading and targets.
"""

import argparse
import contextlib
import time

import numpy as np
import speed
import torch

from nst_numpy import Objective, images, load_weights
from nst_numpy.optimize import minimize
from nst_numpy.preconditioner import precondition


def ours(objective: Objective, x: np.ndarray, steps: int) -> tuple[float, float, int]:
    """Seconds, the loss, and evaluations."""
    objective(x)  # compiles, and transforms the kernels
    start = time.perf_counter()
    result = minimize(objective, x, maxiter=steps, bounds=(0, 1), gtol=0, ftol=0, precondition=precondition)
    return time.perf_counter() - start, result.fun, result.nfev


def theirs(
    objective: Objective, pictures: list[np.ndarray], x: np.ndarray, goal: float, evaluations: int, channels_last: bool
) -> tuple[float, float, int]:
    """Seconds until the loss is as low as the goal, the lowest loss, and evaluations."""
    contestant = speed._Torch(16, None, "vgg19-mini", channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def tensor(image: np.ndarray) -> torch.Tensor:
        return torch.tensor(image).permute(2, 0, 1)[None].contiguous(memory_format=layout)

    contestant.image = lambda seed: tensor(pictures[seed])
    contestant.targets(
        [
            (t.name, t.layer, t.variation.coefficients.get("squares", 0.0) if t.layer is None else t.weight)
            for t in objective.terms
        ]
    )
    contestant.x = torch.tensor(x).permute(2, 0, 1)[None].contiguous().requires_grad_(True)  # its L-BFGS wants it so
    exact, found = objective(x)[0], contestant.step()
    if not np.isclose(exact, found, rtol=1e-3):
        raise ValueError(f"the losses differ: {exact} and {found}")
    optimizer = torch.optim.LBFGS(
        [contestant.x],
        history_size=10,
        max_iter=evaluations,
        max_eval=evaluations,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )
    losses, start = [], time.perf_counter()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = contestant.loss()
        loss.backward()
        losses.append(loss.item())
        if losses[-1] <= goal:
            raise StopIteration
        return loss

    with contextlib.suppress(StopIteration):
        optimizer.step(closure)
    return time.perf_counter() - start, min(losses), len(losses)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("content")
    parser.add_argument("style")
    parser.add_argument("--size", type=int, default=512, help="of the longer side, in pixels (default 512)")
    parser.add_argument("--steps", type=int, default=80, help="of nst_numpy (default 80)")
    options = parser.parse_args(arguments)
    pictures = [images.load(path, options.size) for path in (options.content, options.style)]
    x = pictures[0]
    # The style at the size of the photograph, since PyTorch's targets here do not scale Gram matrices.
    pictures[1] = images.load(pictures[1], shape=x.shape[:2])
    objective = Objective.from_images(load_weights("vgg19-mini", padding="replicate"), *pictures)
    on = speed.machine()
    print(
        f"{on['cpu']} ({on['architecture']}), BLAS kernels for {on['blas_kernels']}, {x.shape[1]}×{x.shape[0]} pixels"
    )
    seconds, goal, count = ours(objective, x, options.steps)
    print(f"{'nst_numpy':24}{seconds:8.1f} s   loss {goal:.5g}   {count} evaluations")
    for name, channels_last in (("PyTorch", False), ("PyTorch, channels last", True)):
        its, loss, evaluations = theirs(objective, pictures, x, goal, 3 * count, channels_last)
        print(f"{name:24}{its:8.1f} s   loss {loss:.5g}   {evaluations} evaluations   {its / seconds:.2f}×")


if __name__ == "__main__":
    main()
