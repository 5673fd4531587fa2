"""Names for a user's wrong one: what other tools call a field, and what is spelled nearly the same."""

import difflib
from collections.abc import Iterable, Sequence

MOST = 5
"""The most names that a line suggests."""
SHORT = 12
"""Where there are no more names than this, a line lists them all."""

ALIASES: dict[str, tuple[str, ...]] = {
    "lr": ("learning_rate",),
    "eta": ("learning_rate",),
    **dict.fromkeys(("epoch", "epochs", "num_epochs", "n_epochs", "max_epochs"), ("iterations",)),
    **dict.fromkeys(("steps", "num_steps", "n_steps", "max_steps", "train_steps"), ("iterations", "pgd.steps")),
    **dict.fromkeys(("prunings", "levels", "num_rounds", "n_rounds"), ("rounds",)),
    **dict.fromkeys(("sparsity", "density", "amount", "rate"), ("rounds", "prune.rates.hidden_1", "prune.rate")),
    **dict.fromkeys(("seeds", "random_seed", "random_state", "num_seeds"), ("seed",)),
    **dict.fromkeys(("arch", "architecture", "network", "net"), ("model",)),
    **dict.fromkeys(("hidden", "hidden_sizes", "hidden_dims", "layers"), ("widths",)),
    **dict.fromkeys(("data", "dataset_name"), ("dataset",)),
    **dict.fromkeys(("val_size", "val_split", "validation"), ("validation_size",)),
    **dict.fromkeys(("bs", "batch", "batchsize"), ("batch_size",)),
    **dict.fromkeys(("opt", "optim", "optimiser"), ("optimizer.name",)),
    **dict.fromkeys(("wd", "decay", "l2_regularization"), ("optimizer.weight_decay",)),
    **dict.fromkeys(("clip", "grad_clip", "max_grad_norm"), ("optimizer.clip_norm",)),
    **dict.fromkeys(("lr_schedule", "lr_scheduler"), ("schedule.name",)),
    "scheduler": ("schedule.name", "search.scheduler"),
    **dict.fromkeys(("warmup_steps", "warmup_iterations"), ("schedule.warmup", "objective.epsilon_warmup")),
    "smoothing": ("label_smoothing",),
    "loss": ("objective.name",),
    "lambda": ("objective.beta", "adversarial_weight"),
    "beta": ("objective.beta",),
    **dict.fromkeys(("attack", "attacks"), ("train_attack", "eval_attacks")),
    **dict.fromkeys(("adv", "adv_train", "adversarial"), ("train_attack",)),
    "eps": ("epsilon",),
    "alpha": ("pgd.step_size", "adversarial_weight"),
    **dict.fromkeys(("method", "restart", "retrain_strategy"), ("strategy",)),
    **dict.fromkeys(("rewind", "rewinding", "init"), ("rewind_to",)),
    **dict.fromkeys(("eval_freq", "eval_interval", "log_every"), ("eval_every",)),
    **dict.fromkeys(("num_samples", "n_samples", "n_trials", "trials"), ("search.samples",)),
    **dict.fromkeys(("param_space", "search_space", "params"), ("grid", "search.space")),
    "sampler": ("search.searcher",),
    "direction": ("search.mode",),
    "objective_metric": ("search.metric",),
    **dict.fromkeys(("num_cpus", "cpu", "num_workers", "workers"), ("resources.cpus",)),
    **dict.fromkeys(("num_gpus", "gpu"), ("resources.gpus",)),
    **dict.fromkeys(("logger", "logging", "callbacks"), ("loggers",)),
}
"""What other tools and papers call a field or key, by their name for it."""

NOTES = {
    "epochs": "an epoch has as many iterations as there are batches, 833 with the data and batches of preset paper",
    "sparsity": "each of the rounds prunes a share of the weights that remain",
    "seeds": "several seeds are grid: {seed: [0, 1, 2]}",
    "lambda": "the 1/λ of TRADES is objective.beta",
    "eps": "that of the attacks; Adam's is always 1e-7",
}
"""How to convert a value, for some of these names; the others with the same fields share the note."""


def did_you_mean(name: str, known: Iterable[str], full_list: str = "", section: str = "") -> str:
    """What to say behind an unknown name: `; did you mean X?`, or which names there are.

    Args:
        name: What the user wrote.
        known: The names allowed.
        full_list: What shows all names, where there are many.
        section: The section of a sweep file that the names are in, to say where they belong.
    """
    names = list(known)
    if close := suggest(name, names, section):
        shown = [f"{section}.{field}" if section else field for field in close]
        listed = " or ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
        note = _note(name, close)
        return f"; did you mean {listed}?" + (f" ({note})" if note else "")
    if len(names) <= SHORT:
        return f"; known are {', '.join(names)}"
    return f"; known are {', '.join(names[:MOST])} and {len(names) - MOST} others" + (
        f": {full_list}" if full_list else ""
    )


def suggest(name: str, known: Sequence[str], section: str = "") -> list[str]:
    """At most `MOST` of the known names: those that another tool's name stands for, else those that look alike.

    Names may be dotted. The last part counts where the whole does not fit: `optimizer.lr`, or `steps` for `pgd.steps`.
    """
    word = _word(name)
    ends = {field: field.rpartition(".")[2] for field in known}
    meant = [field for alias in ALIASES.get(word, ()) for field in known if alias in (field, f"{section}.{field}")]
    meant += [field for field, end in ends.items() if end == word and field not in meant]
    if not meant:
        best = difflib.get_close_matches(name, known, 1)
        ending = difflib.get_close_matches(word, [*ends.values()], 1)
        meant = best or [field for field, end in ends.items() if end in ending]
    return meant[:MOST]


def _word(name: str) -> str:
    return name.rpartition(".")[2].replace("-", "_").lower()


def _note(name: str, close: Sequence[str]) -> str:
    fields = ALIASES.get(_word(name), ())
    notes = (note for alias, note in NOTES.items() if ALIASES[alias] == fields)
    return next(notes, "") if set(fields) & set(close) else ""
