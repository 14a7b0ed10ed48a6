"""Train the shipped backbone from nothing on procedural surfaces and write it as OpenVINO IR.

Build time only: this is the one place that needs torch (the extra `backbone`). `--steps` makes a run repeatable,
`--seconds` fits it into a time box; whichever ends first. `surface-v1.xml`, `.bin` and `.yaml` appear in `--out`.

    python models/backbone/train.py --steps 3469 --each 8 --threads 2 --out models/backbone
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from describe import MEAN, STD, write_description
from generate import CLASSES, DEFECTS, Batch, Surfaces
from network import Backbone, Pretext
from openvino import Core, convert_model, save_model
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

NAME = "surface-v1"
HELD_OUT = 1_000_000


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes a run besides the code."""

    seed: int
    steps: int
    seconds: float
    batch: int
    side: int
    each: int
    rate: float


def tensor(pictures: np.ndarray) -> Tensor:
    """Pictures u8[n, h, w] -> normalised f32[n, 1, h, w]."""
    grey = torch.from_numpy(pictures).to(torch.float32) / 255
    return ((grey - MEAN) / STD).unsqueeze(1).contiguous(memory_format=torch.channels_last)


def loss_of(model: Pretext, batch: Batch) -> Tensor:
    """Texture and defect cross entropies and the map's binary cross entropy, summed."""
    with torch.autocast("cpu", torch.bfloat16):
        texture, defect, place = model(tensor(batch.pictures))
    kinds = torch.from_numpy(batch.defects)
    target = torch.zeros_like(place, dtype=torch.float32)
    hit = torch.nonzero(kinds).flatten()
    target[hit, kinds[hit] - 1] = torch.from_numpy(batch.maps)[hit]
    return (
        functional.cross_entropy(texture.float(), torch.from_numpy(batch.textures), label_smoothing=0.05)
        + functional.cross_entropy(defect.float(), kinds)
        + 10 * functional.binary_cross_entropy_with_logits(place.float(), target)
    )


def train(recipe: Recipe) -> tuple[Pretext, int]:
    """Run the recipe; returns the averaged model, in evaluation mode, and the number of pictures seen."""
    torch.manual_seed(recipe.seed)
    start = time.monotonic()
    surfaces = Surfaces(recipe.seed, recipe.side, recipe.each)
    print(f"textures drawn in {time.monotonic() - start:.0f} s", flush=True)
    rng = np.random.default_rng([recipe.seed, 4])
    model = Pretext(CLASSES, len(DEFECTS)).to(memory_format=torch.channels_last)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.03)
    start = time.monotonic()
    step, recent = 0, 0.0
    while step < recipe.steps:
        done = max(step / recipe.steps, (time.monotonic() - start) / recipe.seconds)
        if done >= 1:
            break
        rate = recipe.rate * min(1.0, (step + 1) / 100) * 0.5 * (1 + np.cos(np.pi * done))
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = loss_of(model, surfaces.batch(recipe.batch, rng))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        average.update_parameters(model)
        step += 1
        recent += float(loss.detach())
        if step % 100 == 0:
            print(f"{step} steps, {time.monotonic() - start:.0f} s, loss {recent / 100:.3f}", flush=True)
            recent = 0.0
    return average.module.eval(), step * recipe.batch


def pretext_accuracy(model: Pretext, recipe: Recipe, count: int = 4000) -> dict[str, float]:
    """Accuracy on textures that training never saw (the same classes, other drawings)."""
    cv2.setNumThreads(1)
    surfaces = Surfaces(recipe.seed, recipe.side, each=1, first=HELD_OUT)
    batch = surfaces.batch(count, np.random.default_rng([recipe.seed, 5]))
    right = np.zeros(2)
    with torch.no_grad():
        for i in range(0, count, 200):
            texture, defect, _ = model(tensor(batch.pictures[i : i + 200]))
            right[0] += int((texture.argmax(1).numpy() == batch.textures[i : i + 200]).sum())
            right[1] += int((defect.argmax(1).numpy() == batch.defects[i : i + 200]).sum())
    return {"texture_accuracy": round(float(right[0]) / count, 4), "defect_accuracy": round(float(right[1]) / count, 4)}


def export(backbone: Backbone, out: Path, side: int = 224) -> None:
    """Write the IR with the input `image` f32[1, 1, side, side], reshapeable, and the outputs `features` and `map`."""
    example = torch.zeros(1, 1, side, side)
    model = convert_model(backbone, example_input=example, input=[("x", [1, 1, -1, -1])])
    model.inputs[0].get_tensor().set_names({"image"})
    model.inputs[0].get_node().set_friendly_name("image")
    for output, name in zip(model.outputs, ("features", "map"), strict=True):
        output.get_tensor().set_names({name})
        output.get_node().set_friendly_name(name)
    model.reshape({"image": [1, 1, side, side]})
    model.validate_nodes_and_infer_types()
    out.mkdir(parents=True, exist_ok=True)
    save_model(model, out / f"{NAME}.xml", compress_to_fp16=False)


def verify(backbone: Backbone, xml: Path, sides: tuple[int, ...] = (224, 128, 96)) -> float:
    """Compare the IR with torch at several input sizes; the largest relative difference of any output.

    Raises:
        ValueError: the two differ by more than rounding explains.
    """
    worst = 0.0
    for side in sides:
        model = Core().read_model(xml)
        model.reshape({"image": [1, 1, side, side]})
        compiled = Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        picture = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(side))
        with torch.no_grad():
            expected = [t.numpy() for t in backbone(picture)]
        found = compiled([picture.numpy()])
        for name, reference in zip(("features", "map"), expected, strict=True):
            worst = max(worst, float(np.abs(found[name] - reference).max() / np.abs(reference).max()))
    if worst > 1e-4:
        raise ValueError(f"the IR differs from torch by {worst:.1e}")
    return worst


def main() -> None:
    """Train, test on held-out textures, export and describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--side", type=int, default=96, help="training picture, pixels")
    parser.add_argument("--each", type=int, default=6, help="textures drawn a class")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    recipe = Recipe(args.seed, args.steps, args.seconds, args.batch, args.side, args.each, args.rate)
    start = time.monotonic()
    model, pictures = train(recipe)
    seconds = time.monotonic() - start
    measured = pretext_accuracy(model, recipe)
    print(measured)
    export(model.backbone, args.out)
    print(f"IR against torch: {verify(model.backbone, args.out / f'{NAME}.xml'):.1e} of the largest value")
    training = {
        "data": "procedural surfaces (generate.py), no real picture",
        "seed": recipe.seed,
        "pictures": pictures,
        "picture_size": recipe.side,
        "steps": pictures // recipe.batch,
        "batch": recipe.batch,
        "rate": recipe.rate,
        "textures_a_class": recipe.each,
        "texture_classes": CLASSES,
        "defect_kinds": list(DEFECTS),
        "seconds": round(seconds),
        "threads": args.threads,
    }
    write_description(args.out, NAME, training, measured)


if __name__ == "__main__":
    main()
