"""Trains pico and writes it as a Hugging Face folder.

    python tools/pico/train.py --corpus corpus.jsonl --tokenizer share/pico --work work --out share/pico --steps 3000

Resumes from work/checkpoint.pt. On a busy machine two ranks of one thread each are faster than two threads:
start the command twice with --ranks 2 --rank 0 and --rank 1; they meet through a file in --work. Learning rate: warm-up, constant, then linear to zero over the last --decay steps.
Needs torch (CPU is enough). The loss counts an answer's first tokens most, and the user's text little.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import os
import pathlib
import random
import time

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor

from export import export
from model import ModelConfig, Pico
from muon import Muon
from tokenizer import Tokenizer

# The first tokens of an answer decide which answer it is; what follows is then nearly given.
FIRST_TOKENS, FIRST_WEIGHT = 6, 3.0
# Most single answers are therefore cut after some tokens: more questions are seen in the same time. A story stays whole.
CUT_TOKENS, CUT_SHARE = 16, 0.75
# Words taken over from the question or from earlier in a story count more; ids below are letters and frequent pieces.
COPIED_WEIGHT, COPIED_FROM = 4.0, 700
AVERAGE = 0.99  # weight average over about the last 100 steps: what is exported
SEED = 20240607


@dataclasses.dataclass
class Document:
    ids: list[int]
    weights: list[float]  # of predicting ids[i]; 0 outside of answers
    cut: int  # length with a shortened answer; the full length for conversations of several turns


def answer_weights(body: list[int], asked: set[int], is_story: bool) -> list[float]:
    """Weights of predicting body[1:]; body[0] is the newline that the template gives."""
    seen, weights = set(asked), []
    for i, token in enumerate(body[1:]):
        copied = token >= COPIED_FROM and token in seen
        weights.append(COPIED_WEIGHT if copied else FIRST_WEIGHT if i < FIRST_TOKENS else 1.0)
        if is_story:
            seen.add(token)
    return weights


def read_documents(corpus: pathlib.Path, tokenizer: Tokenizer, longest: int) -> list[Document]:
    """Conversations as ids; those longer than `longest` tokens are cut at the end."""
    special = tokenizer.specials
    talks = [json.loads(line)["messages"] for line in corpus.open(encoding="utf-8")]
    # An answer that occurs once is no answer to learn by heart: it is a story.
    times = collections.Counter(text for talk in talks for role, text in talk if role == "assistant")
    documents = []
    for talk in talks:
        ids, weights = [special["<|begin|>"]], [0.0]
        cut, asked = 0, set()
        for role, text in talk:
            body = [*tokenizer.encode("\n" + text), special["<|end|>"]]
            is_story = times[text] == 1
            cut = len(ids) + len(body) + 2 if is_story else len(ids) + 2 + CUT_TOKENS
            ids += [special[f"<|{role}|>"], *body, *tokenizer.encode("\n")]
            # The role sign, the newline after it and the newline behind <|end|> are always given by the template.
            wanted = answer_weights(body, asked, is_story) if role == "assistant" else [0.0] * (len(body) - 1)
            weights += [0.0, 0.0, *wanted, 0.0]
            asked = set(body)
        cut = cut if sum(role == "assistant" for role, _ in talk) == 1 else len(ids)
        documents.append(Document(ids[:longest], weights[:longest], min(cut, len(ids), longest)))
    return documents


class Batches:
    """Endless batches of documents of similar length; step N is the same whatever came before."""

    def __init__(self, documents: list[Document], tokens: int, pad: int) -> None:
        self._documents, self._tokens, self._pad = documents, tokens, pad
        self._epoch = -1
        self._plan: list[list[tuple[int, int]]] = []
        self._first = 0  # step at which the epoch in _plan begins

    def _make_plan(self, epoch: int) -> list[list[tuple[int, int]]]:
        """Batches of (document, length)."""
        shuffler = random.Random(SEED + epoch)
        order = [(i, d.cut if shuffler.random() < CUT_SHARE else len(d.ids)) for i, d in enumerate(self._documents)]
        shuffler.shuffle(order)
        order.sort(key=lambda entry: entry[1])  # stable: random among equal lengths
        plan: list[list[tuple[int, int]]] = [[]]
        for entry in order:
            if (len(plan[-1]) + 1) * entry[1] > self._tokens:
                plan.append([])
            plan[-1].append(entry)
        shuffler.shuffle(plan)
        return plan

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """ids and weights [rows, longest] of a step; steps must not go back."""
        while step >= self._first + len(self._plan):
            self._first += len(self._plan)
            self._epoch += 1
            self._plan = self._make_plan(self._epoch)
        rows = self._plan[step - self._first]
        longest = max(length for _, length in rows)
        ids = torch.full((len(rows), longest), self._pad)
        weights = torch.zeros(len(rows), longest)
        for i, (number, length) in enumerate(rows):
            ids[i, :length] = torch.tensor(self._documents[number].ids[:length])
            weights[i, :length] = torch.tensor(self._documents[number].weights[:length])
        return ids, weights


def loss_of(model: Pico, ids: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted loss; and sum and count of the plain losses: [first tokens of answers, others] x [sum, count]."""
    hidden = model.hidden(ids[:, :-1])
    wanted, weight = ids[:, 1:].reshape(-1), weights[:, 1:].reshape(-1)
    counted = weight > 0  # the head is the dearest layer: skip rows without a loss
    logits = F.linear(hidden.reshape(-1, hidden.shape[-1])[counted], model.model.embed_tokens.weight).float()
    losses = F.cross_entropy(logits, wanted[counted], reduction="none")
    weight = weight[counted]
    first = weight > 1.0
    parts = [torch.stack([losses.detach()[part].sum(), part.sum()]) for part in (first, ~first)]
    return (losses * weight).sum() / weight.sum(), torch.stack(parts)


def share_at(step: int, options: argparse.Namespace) -> float:
    """The part of the full learning rate that a step uses."""
    warm = min(1.0, (step + 1) / options.warmup)
    left = max(0.0, (options.steps - step) / max(1, options.decay))
    return warm * min(1.0, left)


class Run:
    """Model, optimizer, average and step; saved and loaded together."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.manual_seed(SEED)
        self.options = options
        self.model = Pico(ModelConfig())
        inner = {id(p) for p in self.model.model.layers.parameters() if p.dim() == 2}
        self.muon = Muon([p for p in self.model.parameters() if id(p) in inner])
        others = [p for p in self.model.parameters() if id(p) not in inner]
        self.optimizer = torch.optim.AdamW(others, lr=options.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        self.average = [p.detach().clone() for p in self.model.parameters()]
        self.step = 0
        self.path = options.work / "checkpoint.pt"
        if self.path.exists():
            saved = torch.load(self.path, weights_only=True)
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.muon.buffers = saved["muon"]
            self.average, self.step = saved["average"], saved["step"]

    def learn(self, ids: Tensor, weights: Tensor, share: float) -> Tensor:
        """One step at `share` of the full learning rates; the losses as in loss_of()."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.lr * share
        with torch.autocast("cpu", torch.bfloat16):
            loss, parts = loss_of(self.model, ids, weights)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if torch.distributed.is_initialized():
            self._share_gradients()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.muon.step(self.options.muon_lr * share)
        self.step += 1
        keep = min(AVERAGE, self.step / (self.step + 10))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.model.parameters()], 1.0 - keep)
        return parts

    def _share_gradients(self) -> None:
        """The mean of all ranks' gradients, in one message."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        torch.distributed.all_reduce(flat)
        flat /= torch.distributed.get_world_size()
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients])):
            gradient.copy_(part.view_as(gradient))

    def save(self) -> None:
        part = self.path.with_suffix(".part")
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "muon": self.muon.buffers}
        torch.save({**state, "average": self.average, "step": self.step}, part)
        os.replace(part, self.path)


def train(options: argparse.Namespace) -> None:
    tokenizer = Tokenizer(options.tokenizer / "tokenizer.json")
    documents = read_documents(options.corpus, tokenizer, options.longest)
    total = sum(len(d.ids) for d in documents)
    print(f"{len(documents)} conversations, {total} tokens, longest {max(len(d.ids) for d in documents)}", flush=True)
    batches = Batches(documents, options.batch_tokens, tokenizer.specials["<|pad|>"])
    run = Run(options)
    begun, seen, recent = time.time(), 0, []
    first = run.step
    while run.step < options.steps:
        ids, weights = batches.at(run.step * options.ranks + options.rank)
        recent.append(run.learn(ids, weights, share_at(run.step, options)))
        seen += ids.numel() * options.ranks
        if options.rank > 0:
            continue
        if run.step % options.log_every == 0 or run.step == options.steps:
            took = time.time() - begun
            left = (options.steps - run.step) * took / (run.step - first) / 60
            sums = torch.stack(recent).sum(0)
            begin, rest = (sums[:, 0] / sums[:, 1]).tolist()
            mean = (sums[:, 0].sum() / sums[:, 1].sum()).item()
            losses = f"loss {mean:.4f} (first tokens {begin:.4f}, others {rest:.4f})"
            print(f"step {run.step}/{options.steps} {losses} {seen / took:.0f} tok/s {left:.1f} min left", flush=True)
            recent = []
        if run.step % options.save_every == 0 or run.step == options.steps:
            run.save()
            names = [name for name, _ in run.model.named_parameters()]
            export(dict(zip(names, run.average)), run.model.config, tokenizer.specials, options.out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True, help="folder with tokenizer.json")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for checkpoint.pt")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="Hugging Face folder to write")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--decay", type=int, default=800, help="steps over which the rate falls to zero at the end")
    parser.add_argument("--warmup", type=int, default=50)
    parser.add_argument("--lr", type=float, default=2e-3, help="of AdamW: embedding and norms")
    parser.add_argument("--muon-lr", type=float, default=0.02, help="of Muon: matrices of the layers")
    parser.add_argument("--batch-tokens", type=int, default=1536, help="of one rank")
    parser.add_argument("--longest", type=int, default=768)
    parser.add_argument("--log-every", type=int, default=20)
    parser.add_argument("--save-every", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--pid-file", type=pathlib.Path, help="write this process's id here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.ranks > 1:
        meeting = f"file://{(options.work / 'rendezvous').resolve()}"
        torch.distributed.init_process_group("gloo", init_method=meeting, rank=options.rank, world_size=options.ranks)
    if options.pid_file:
        options.pid_file.write_text(f"{os.getpid()}\n", encoding="utf-8")
    train(options)


if __name__ == "__main__":
    main()
