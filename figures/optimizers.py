"""Gradient descent, momentum, Adam and L-BFGS on one picture: the loss over the steps, and the final pictures."""

import sheet
from matplotlib.figure import Figure

from nst_numpy import load_weights, samples, transfer

options = sheet.options(__doc__)
network = load_weights(options.weights, padding="replicate")
content, style = samples.portrait(), samples.swirling_night()

figure = Figure(figsize=(7, 4), dpi=110, layout="constrained")
axes = figure.subplots()
pictures = {}
for method in ("gradient_descent", "momentum", "adam", "lbfgs"):
    settings = {"weights": network, "size": (options.size,), "steps": 200, "progress": False}
    result = transfer(content, style, optimizer=method, **settings)
    axes.semilogy([losses["total"] for losses in result.history], label=method)
    pictures[f"{method}: L = {min(losses['total'] for losses in result.history):.2f}"] = result.image
axes.set(xlabel="step", ylabel="loss")
axes.legend()
figure.savefig(options.folder / "optimizers_losses.png")
sheet.show(options.folder / "optimizers.jpg", {"": pictures})
