"""The same objective from different starts (Gatys et al. 2016, figure 6)."""

import sheet

from nst_numpy import load_weights, samples, transfer

options = sheet.options(__doc__)
network = load_weights(options.weights, padding="replicate")
content, style = samples.portrait(), samples.swirling_night()
starts = {
    "content": {"init": "content"},
    "content with noise": {"init": "content", "init_noise": 0.5},
    "style": {"init": "style"},
    "gray": {"init": "gray"},
    "noise": {"init": "noise"},
    "other noise": {"init": "noise", "seed": 1},
}

pictures = {}
for name, start in starts.items():
    settings = {"weights": network, "size": options.size, "style_weight": 30, "progress": False}
    result = transfer(content, style, **settings, **start)
    pictures[f"{name}: L = {result.history[-1]['total']:.2f}"] = result.image
sheet.show(options.folder / "starts.jpg", {"": pictures})
