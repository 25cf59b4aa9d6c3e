"""`nudge keys`, and who may call what `nudge serve` serves."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from decisioning.errors import Conflict
from nudge.ground.workspace import Workspace
from nudge.server import build_app, who_may_call
from serving.http.api_keys import KeyRing
from tests.nudge.shops import Shop


def test_a_key_is_shown_once_listed_without_itself_and_revoked(shop: Shop) -> None:
    made = shop.run("keys", "create", "--scope", "decide", "--scope", "read", "--name", "web shop", "--days", "30").document
    assert made["scopes"] == ["decide", "read"]
    listed = shop.run("keys", "list")
    assert made["key"] not in listed.out
    assert [(one["id"], one["name"], one["state"]) for one in listed.document["keys"]] == [(made["id"], "web shop", "holds")]
    with Workspace.open(shop.folder).open_ledger() as ledger:
        owner = KeyRing(ledger.keys.all).owner(made["key"])
        assert owner is not None and owner.key_id == made["id"]
        shop.run("keys", "revoke", made["id"])
        assert KeyRing(ledger.keys.all).owner(made["key"]) is None
    assert shop.run("keys", "list").document["keys"][0]["state"] == "revoked"


def test_the_key_alone_goes_to_stdout_for_whoever_pipes_it(shop: Shop) -> None:
    answer = shop.run("keys", "create", "--scope", "admin", "--name", "me", json_output=False)
    assert answer.out.startswith("nudge_") and answer.out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("create", "--scope", "recrod", "--name", "x"), "--scope: is no scope; got recrod", 2),
        (("revoke", "k-9"), "KEY_ID: there is no such key", 1),
    ],
)
def test_what_is_no_key_is_refused(shop: Shop, arguments: tuple[str, ...], words: str, code: int) -> None:
    answer = shop.run("keys", *arguments)
    assert answer.code == code
    assert words in answer.err


def test_a_server_beyond_this_machine_starts_only_where_a_key_holds(shop: Shop) -> None:
    workspace = Workspace.open(shop.folder)
    assert who_may_call(workspace, "127.0.0.1") == "open to this machine, without keys"
    with pytest.raises(Conflict, match="needs API keys"):
        who_may_call(workspace, "0.0.0.0")
    made = shop.run("keys", "create", "--scope", "decide", "--name", "x").document
    assert who_may_call(workspace, "0.0.0.0") == who_may_call(workspace, "127.0.0.1") == "for whoever has one of 1 keys"
    shop.run("keys", "revoke", made["id"])
    with pytest.raises(Conflict, match="none holds"):
        who_may_call(workspace, "0.0.0.0")


def _soon(status: Callable[[], int], wanted: int) -> bool:
    for _ in range(400):
        if status() == wanted:
            return True
        time.sleep(0.05)
    return False


def test_a_server_hears_of_new_and_revoked_keys_while_it_serves(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.run("ingest")
    assert shop.run("decide", "c-41", "--dry-run").code == 0  # builds the features that serving reads
    monkeypatch.setenv("NUDGE_SERVE_WORKSPACE", str(shop.folder))
    monkeypatch.setenv("NUDGE_SERVE_LOOPBACK", "1")
    with TestClient(build_app(), base_url="http://127.0.0.1:8000") as client:

        def status(headers: dict[str, str] | None = None) -> int:
            return client.post("/v1/decisions", json={"contact_id": "c-41"}, headers=headers).status_code

        assert status() == 200
        made = shop.run("keys", "create", "--scope", "decide", "--name", "x").document
        mine = {"Authorization": f"Bearer {made['key']}"}
        assert _soon(status, 401)
        assert status(mine) == 200
        assert client.get("/metrics", headers=mine).status_code == 403
        shop.run("keys", "revoke", made["id"])
        assert _soon(lambda: status(mine), 401)
        assert client.get("/health/ready").json()["dependencies"]["features"]["detail"].startswith("answers, with features as of ")
