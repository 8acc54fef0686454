"""Train the embedded model, from nothing to the folder that the package ships.

    python training/train.py --out runs/tiny [--seed 0] [--steps 800 4000 5000] [--start FOLDER]

Three stages. *see*: the ViT and the Q-Former learn which object lies under each patch, and which has its centre in each
query's cell. *answer*: everything learns to answer questions, those two losses kept at a lower weight. *reason*: the ViT
is frozen, as in BLIP-2, and the encoder learns besides which objects an answer rests on. The linear heads of the side
losses are thrown away. Hidden matrices are trained with Muon, the rest with AdamW; no dropout, as the scenes are endless;
bfloat16 autocast where the processor has it. A checkpoint every few minutes; the same command goes on from the last one.
``--start`` takes the weights of a finished model and does the last stage alone.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from build import WIDTH, build_model, build_processor, build_tokenizer
from data import Batches, corpus
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import AutoProcessor, Blip2ForConditionalGeneration

from stcg_nb.scenes.pictures import MAX_OBJECTS
from stcg_nb.scenes.sprites import COLORS, SHAPES

STAGES = ("see", "answer", "reason")
# Learning rates of the ViT's matrices, the other modules' matrices (both Muon) and everything else (AdamW). Muon at 0.02
# diverges behind the ViT; and in the second stage the ViT would forget at it what it has learnt to see.
RATES = {"see": (0.02, 0.006, 1e-3), "answer": (0.006, 0.006, 1e-3), "reason": (0.0, 0.006, 1e-3)}
SAVE_EVERY = 200
# Without AVX-512, bfloat16 is emulated and takes ten times as long.
BFLOAT16 = torch.backends.cpu.get_cpu_capability().startswith("AVX512")


class Heads(nn.Module):
    """Linear read-outs: shape and colour of patches and queries, the place within a cell, and a query's part in an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Linear(WIDTH, len(SHAPES) + len(COLORS) + 2)
        self.query = nn.Linear(WIDTH, len(SHAPES) + len(COLORS) + 4)
        self.evidence = nn.Linear(WIDTH, MAX_OBJECTS + 1)


def names_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of shape and colour; empty places count a fifth, as they are many.

    Args:
        logits: ``[..., shapes + 1 + colors + 1]``.
        target: ``[..., 2]``.
    """
    split = len(SHAPES) + 1
    loss = logits.new_zeros(())
    for part, column in ((logits[..., :split], 0), (logits[..., split : split + len(COLORS) + 1], 1)):
        weight = torch.ones(part.shape[-1])
        weight[-1] = 0.2
        loss = loss + F.cross_entropy(part.flatten(0, -2).float(), target[..., column].flatten(), weight)
    return loss


def see(model: Blip2ForConditionalGeneration, heads: Heads, batch: dict[str, Tensor], normalize, frozen: bool) -> tuple:
    with torch.set_grad_enabled(not frozen):
        vision = model.vision_model(pixel_values=normalize(batch["pixels"])).last_hidden_state
    queries = model.qformer(
        query_embeds=model.query_tokens.expand(len(vision), -1, -1), encoder_hidden_states=vision
    ).last_hidden_state
    read = heads.query(queries)
    seen = batch["anchors"][..., 0] >= 0
    there = seen & (batch["anchors"][..., 0] < len(SHAPES))
    losses = {
        "query": names_loss(read[..., :-2], batch["anchors"]),
        "place": F.smooth_l1_loss(read[..., -2:].float()[there], batch["offsets"][there]),
    }
    if not frozen:
        losses["patch"] = names_loss(heads.patch(vision[:, 1:]), batch["patches"])
    with torch.no_grad():
        guess = read[..., : len(SHAPES) + 1].argmax(-1)
        accuracy = {"query_acc": (guess == batch["anchors"][..., 0])[there].float().mean()}
    return queries, losses, accuracy


def answer(
    model: Blip2ForConditionalGeneration, heads: Heads, queries: Tensor, batch: dict[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """Mean losses and share of exact answers, teacher-forced. Short and long answers run apart, to pad little."""
    prefix = model.language_projection(queries)[batch["owner"]]
    words = model.get_input_embeddings()(batch["input_ids"])
    embeds = torch.cat([prefix, words.to(prefix.dtype)], 1)
    mask = torch.cat([torch.ones(prefix.shape[:2], dtype=torch.long), batch["attention_mask"]], 1)
    lengths = (batch["labels"] >= 0).sum(1)
    words, evidence, exact = queries.new_zeros((), dtype=torch.float32), queries.new_zeros((), dtype=torch.float32), 0.0
    weight = torch.tensor([0.2] + [1.0] * MAX_OBJECTS)
    for group in (lengths <= 4, lengths > 4):
        if group.any():
            labels = batch["labels"][group][:, : lengths[group].max()]
            start = model.language_model._shift_right(labels)
            out = model.language_model(inputs_embeds=embeds[group], attention_mask=mask[group], decoder_input_ids=start)
            logits = out.logits.float()
            token = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
            read = heads.evidence(out.encoder_last_hidden_state[:, : queries.shape[1]]).float()
            evidence = (
                evidence
                + F.cross_entropy(read.transpose(1, 2), batch["evidence"][group], weight, reduction="none")
                .mean(1)
                .sum()
            )
            # A longer answer weighs more, but not in proportion.
            words = words + (token.sum(1) / lengths[group] ** 0.5).sum()
            exact += ((logits.argmax(-1) == labels) | (labels < 0)).all(1).float().sum().item()
    n = len(lengths)
    return {"words": words / n, "evidence": evidence / n}, torch.tensor(exact / n)


def optimizers(model: nn.Module, heads: nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for hidden matrices, the ViT's and the others'; AdamW for the rest. Three groups, as in `RATES`."""
    vit, rest, other = [], [], list(heads.parameters())
    for name, parameter in model.named_parameters():
        hidden = parameter.ndim == 2 and not any(
            k in name for k in ("embed", "shared", "lm_head", "relative_attention")
        )
        if not hidden:
            other.append(parameter)
        elif name.startswith("vision_model"):
            vit.append(parameter)
        else:
            rest.append(parameter)
    muon = torch.optim.Muon([{"params": vit}, {"params": rest}], weight_decay=0.01)
    return [muon, torch.optim.AdamW(other, weight_decay=0.0, betas=(0.9, 0.95))]


def rate(step: int, steps: int) -> float:
    """Warm up over 50 steps, hold, go down to nothing over the last two thirds."""
    return min(1.0, (step + 1) / 50, (steps - step) / (0.67 * steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint and the finished model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, nargs=3, default=(800, 4000, 5000), metavar=STAGES)
    parser.add_argument("--start", type=Path, help="folder of a finished model to do the last stage on")
    parser.add_argument("--rate", type=float, default=1.0, help="share of the learning rates, for a short last run")
    parser.add_argument("--images", type=int, default=32, help="pictures a step")
    parser.add_argument("--questions", type=int, default=8, help="questions a picture, at most")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)

    processor_dir = args.out / "model"
    if args.start and not processor_dir.exists():
        AutoProcessor.from_pretrained(args.start).save_pretrained(processor_dir)
    if (processor_dir / "tokenizer.json").exists():
        processor = AutoProcessor.from_pretrained(processor_dir)
    else:
        processor = build_processor(build_tokenizer(corpus()))
        processor.save_pretrained(processor_dir)
    model, heads = build_model(processor, args.seed).train(), Heads()
    if args.start:
        model = Blip2ForConditionalGeneration.from_pretrained(args.start).train()
    mean, std = (
        torch.tensor(v).view(3, 1, 1)
        for v in (processor.image_processor.image_mean, processor.image_processor.image_std)
    )

    def normalize(pixels: Tensor) -> Tensor:
        return (pixels.permute(0, 3, 1, 2) / 255 - mean) / std

    done = {"stage": len(STAGES) - 1 if args.start else 0, "step": 0}
    state_file = args.out / "state.safetensors"
    opts = optimizers(model, heads)
    if state_file.exists():
        state = load_file(state_file)
        done = {key: int(state.pop(key)) for key in done}
        model.load_state_dict({k[6:]: v for k, v in state.items() if k.startswith("model.")}, strict=False)
        model.tie_weights()
        heads.load_state_dict({k[6:]: v for k, v in state.items() if k.startswith("heads.")})
        for i, opt in enumerate(opts):
            buffers: dict[int, dict[str, Tensor]] = {}
            for key, value in state.items():
                if key.startswith(f"optimizer{i}."):
                    _, parameter, name = key.split(".")
                    buffers.setdefault(int(parameter), {})[name] = value
            opt.load_state_dict({**opt.state_dict(), "state": buffers})

    def save(stage: int, step: int) -> None:
        tensors = {f"model.{k}": v.contiguous().clone() for k, v in model.state_dict().items()}
        tensors |= {f"heads.{k}": v for k, v in heads.state_dict().items()}
        for i, opt in enumerate(opts):
            for parameter, buffers in opt.state_dict()["state"].items():
                tensors |= {f"optimizer{i}.{parameter}.{k}": v for k, v in buffers.items()}
        tensors |= {"stage": torch.tensor(stage), "step": torch.tensor(step)}
        partial = state_file.with_suffix(".partial")
        save_file(tensors, partial)
        os.replace(partial, state_file)

    for stage, (name, steps) in enumerate(zip(STAGES, args.steps, strict=True)):
        if stage < done["stage"]:
            continue
        start = done["step"] if stage == done["stage"] else 0
        answering, frozen = name != "see", name == "reason"
        batches = Batches(
            processor.tokenizer, args.seed * 10 + stage, start, steps, args.images, args.questions,
            easy=0.1 if answering else 0.0,
        )  # fmt: skip
        loader = DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=4)
        groups = [group for opt in opts for group in opt.param_groups]
        log = (args.out / "log.txt").open("a")
        bar = tqdm(loader, total=steps, initial=start, desc=name)
        average: dict[str, float] = {}
        began = time.time()
        for step, batch in enumerate(bar, start):
            for group, top in zip(groups, RATES[name], strict=True):
                group["lr"] = args.rate * top * rate(step, steps)
            with torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16):
                queries, losses, shown = see(model, heads, batch, normalize, frozen)
                loss = sum(losses.values())
                if answering:
                    said, shown["exact"] = answer(model, heads, queries, batch)
                    loss = 0.2 * loss + said["words"]
                    if frozen:
                        loss = loss + 2.0 * said["evidence"]
                    losses |= said
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for opt in opts:
                opt.step()
                opt.zero_grad(set_to_none=True)
            for key, value in {**losses, **shown}.items():
                if torch.isfinite(value):
                    average[key] = 0.97 * average.get(key, value.item()) + 0.03 * value.item()
            if step % 20 == 0:
                bar.set_postfix({k: f"{v:.3f}" for k, v in average.items()})
            if step % 50 == 0:
                line = " ".join(f"{k}={v:.4f}" for k, v in average.items())
                print(f"{name} {step} {time.time() - began:.0f}s {line}", file=log, flush=True)
            if (step + 1) % SAVE_EVERY == 0:
                save(stage, step + 1)
        save(stage + 1, 0)
    model.eval().save_pretrained(processor_dir)
    processor.save_pretrained(processor_dir)
    print(f"The model is in {processor_dir}.")


if __name__ == "__main__":
    main()
