"""The accuracy card: figures from known truth, and engines that misbehave cost themselves alone."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEvent
from corecmr import sandbox
from processing import card, runs
from processing.engine_use import offered
from processing.models import EngineCard, EngineUse
from tests.people import make_administrator, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


def made(engine: str, *options: str) -> str:
    said = io.StringIO()
    call_command("engine_card", engine, *options, stdout=said)
    return said.getvalue()


def test_the_figures_are_those_of_the_segments():
    found = card.Card("x")
    found.segments = [
        ("stress", 2.0, 2.2, 2.0, 2.4), ("stress", 1.0, 1.1, 1.05, 1.2),
        ("rest", 1.0, 1.1, 0.9, 1.3), ("stress", 3.0, 3.3, None, None),
    ]  # fmt: skip
    figures = found.figures()
    assert figures["bias"] == pytest.approx(0.1)
    assert figures["slope"] == pytest.approx(1.1)
    assert figures["coverage"] == pytest.approx(2 / 3)
    assert figures["auc"] == 1.0
    assert figures["nrmse"] == pytest.approx(
        ((0.2**2 + 0.1**2 + 0.1**2 + 0.3**2) / 4) ** 0.5 / 1.75
    )
    assert not found.conforms, "nothing was analysed"


def test_ours_conforms_and_its_card_is_kept():
    said = made("mcaq", "--studies", "1", "--keep")
    assert "Engine mcaq 0.1.0: conforms" in said
    kept = EngineCard.objects.get()
    assert kept.conforms
    assert abs(kept.figures["bias"]) < 0.2
    assert kept.figures["peak_mb"] > 50


@pytest.mark.parametrize(
    ("engine", "said"),
    [("crash", "ended with status -11"), ("bug", "ValueError"), ("hang", "took longer"),
     ("glutton", "ended"), ("refuses", "0, 6")],
)  # fmt: skip
def test_an_engine_that_misbehaves_does_not_conform(
    engine, said, python, settings, monkeypatch, tmp_path
):
    settings.RUN_WALL_SECONDS = 8
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(sandbox.sys, "executable", str(python))
    monkeypatch.setattr("processing.management.commands.engine_card.get_engine", lambda name: None)
    out = io.StringIO()
    with pytest.raises(CommandError, match="does not conform"):
        call_command("engine_card", engine, "--studies", "1", stdout=out)
    assert "does not conform" in out.getvalue()
    assert said in out.getvalue()


def test_an_unknown_engine_is_told():
    with pytest.raises(CommandError, match="There is no engine 'none'"):
        made("none")


def test_an_engine_may_be_kept_for_some_trusts(client):
    mine, other = make_trust(), make_trust()
    user = make_user(mine)
    assert "mcaq-classic" in offered(user)
    use = EngineUse.objects.create(engine="mcaq-classic")
    use.trusts.add(other)
    assert "mcaq-classic" not in offered(user)
    assert "mcaq-classic" in offered(make_user(other))
    study = make_study(mine)
    client.force_login(user)
    page = client.get(f"/studies/{study.public_id}/run/options/").content.decode()
    assert "mcaq-classic-rddr" in page
    assert 'value="mcaq-classic"' not in page
    client.post(f"/studies/{study.public_id}/run/submit/", {"engine": "mcaq-classic"})
    assert not study.runs.exists()
    client.post(f"/studies/{study.public_id}/run/submit/", {"engine": "mcaq"})
    assert runs.Run.objects.get().engine == "mcaq"


def test_who_may_use_an_engine_is_set_on_record(client):
    administrator, trust = make_administrator(), make_trust()
    client.force_login(administrator)
    client.post("/admin/processing/engineuse/add/", {"engine": "mcaq", "trusts": [trust.pk]})
    assert list(EngineUse.objects.get().trusts.all()) == [trust]
    event = AuditEvent.objects.get(verb="engine.use")
    assert event.detail == {"trusts": 1, "engine": "mcaq"}
    assert client.get("/admin/processing/enginecard/").status_code == 200
