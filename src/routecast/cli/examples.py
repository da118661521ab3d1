"""One command line per command, which its `--help` ends with."""

import typer

EXAMPLES = {
    "": "routecast demo",
    "calibrate": "routecast calibrate --router my-router --prompts traffic.jsonl "
    "--strong-share 0.3",
    "config": "routecast config check --config routecast.toml",
    "config check": "routecast config check --config routecast.toml",
    "config reference": "routecast config reference > settings.md",
    "data": "routecast data describe labels.jsonl",
    "data check-leakage": "routecast data check-leakage --training labels.jsonl "
    "--evaluation test.jsonl --output clean.jsonl",
    "data describe": "routecast data describe labels.jsonl",
    "data import": "routecast data import votes.parquet --output comparisons.jsonl",
    "data split": "routecast data split labels.jsonl --output parts",
    "data tiers": "routecast data tiers comparisons.jsonl --n-tiers 5",
    "demo": "routecast demo",
    "doctor": "routecast doctor --config routecast.toml --ask",
    "evaluate": "routecast evaluate --router my-router --benchmark test.jsonl --output report",
    "label": "routecast label gold --outcomes labels.jsonl --output comparisons.jsonl",
    "label gold": "routecast label gold --outcomes labels.jsonl --output comparisons.jsonl",
    "label judge": "routecast label judge --prompts prompts.jsonl --strong strong --weak weak "
    "--judge judge --output labels.jsonl --budget-usd 5",
    "route": 'routecast route "Prove that there are infinitely many primes." --strong-share 0.3',
    "score": "routecast score --input prompts.jsonl --output scored.jsonl",
    "serve": "routecast serve --config routecast.toml --port 6060",
    "train": "routecast train blend --outcomes labels.jsonl --strong strong --weak weak "
    "--output my-router",
}
"""By what is typed after `routecast`; groups of commands have one too."""


def add_examples(app: typer.Typer, path: str = "") -> None:
    """Let the help of every command, and of every group of commands, end with its example.

    Args:
        app: The commands.
        path: What is typed before them.
    """
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        command.epilog = _epilog(f"{path} {name}")
    for group in app.registered_groups:
        group.epilog = _epilog(f"{path} {group.name}")
        if group.typer_instance is not None:
            add_examples(group.typer_instance, f"{path} {group.name}")


def _epilog(path: str) -> str:
    return f"Example: {EXAMPLES[path.strip()]}"
