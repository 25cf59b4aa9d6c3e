"""The command line: its commands, and how a refusal ends.

Each command reads its options, calls one function and shows what it returned; `nudge/commands/` has them. Exit codes: 0 done, 1 a refusal
with its reason on stderr, 2 wrong usage: an option or argument that is not there, or whose value is none of the allowed.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import typer

from decisioning.errors import NudgeError, RequestError
from nudge.commands import deciding, leads, learning
from nudge.commands import keys as cli_keys
from nudge.commands import ledger as ledgers
from nudge.commands.triggers import triggers_app
from nudge.commands.webhooks import webhooks_app

app = typer.Typer(
    name="nudge",
    help="Next best action by incremental profit. Start with `nudge demo`, or `nudge init DIR --example NAME`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys_app = typer.Typer(help="API keys: who may call the server, and for what.", no_args_is_help=True)
features_app = typer.Typer(help="Features: build offline, materialise for serving, compare the two.", no_args_is_help=True)

_COMMANDS: tuple[Callable[..., None], ...] = (
    *(learning.init, learning.simulate, learning.ingest, learning.train),
    *(learning.evaluate, learning.promote, learning.rollback),
    *(ledgers.verify_ledger, ledgers.erase, ledgers.export_contact, ledgers.export_decisions, ledgers.export_ledger),
    *(ledgers.ingest_outcomes, ledgers.reconcile, ledgers.retain),
    *(deciding.decide, deciding.plan, deciding.replay, deciding.suppress, deciding.report, deciding.serve, deciding.demo),
)
for _command in _COMMANDS:
    app.command()(_command)
features_app.command("build")(learning.features_build)
features_app.command("materialize")(learning.features_materialize)
features_app.command("audit")(learning.features_audit)
app.add_typer(features_app, name="features")
keys_app.command("create")(cli_keys.create)
keys_app.command("list")(cli_keys.list_keys)
keys_app.command("revoke")(cli_keys.revoke)
app.add_typer(keys_app, name="keys")
leads_app = typer.Typer(help="Leads: score, hand over to sales, hear back.", no_args_is_help=True)
leads_app.command("score")(leads.score)
leads_app.command("hand-over")(leads.hand_over)
leads_app.command("status")(leads.status)
leads_app.command("list")(leads.list_)
app.add_typer(leads_app, name="leads")
app.add_typer(triggers_app, name="triggers")
app.add_typer(webhooks_app, name="webhooks")


_INTERRUPTED = 130

_WRONG_USAGE = 2
"""What the parser of the command line ends with, too."""


def main() -> None:
    """Run the command line; a refusal is one line on stderr and exit code 1, and 2 where it is of an option."""
    warnings.filterwarnings("ignore", module="mlflow")  # its own deprecations are nothing that a marketer could mend
    try:
        app()
    except NudgeError as error:
        sys.stderr.write(f"nudge: {error}\n")
        sys.exit(_WRONG_USAGE if _of_an_option(error) else 1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # typer has caught the interruption, and says nothing
            sys.stderr.write("nudge: stopped\n")
        raise


def _of_an_option(error: NudgeError) -> bool:
    """Whether it is the command line that is malformed, by the option or argument (in capitals) that the refusal names."""
    named = error.field or ""
    return isinstance(error, RequestError) and (named.startswith("--") or named.isupper())
