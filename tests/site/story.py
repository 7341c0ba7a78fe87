"""A study's life at random: people, shares, holds and erasure, each step compared with a model.

The model holds what the rules say in a few sets; after each step a person asks for a study, by its
address, by its files and by its reference, and must get what the model says.
"""

from __future__ import annotations

from datetime import timedelta

from django.http import Http404
from django.test import Client
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from accounts.models import Membership, Trust, User
from accounts.roles import Role
from studies import access, cohorts, erasure, lookup, sharing
from studies.models import LookupGuard, Share, Study
from tests.people import make_result, make_study, make_trust, make_user

PEOPLE, TRUSTS, STUDIES = 5, 3, 3
one_of_people = st.integers(0, PEOPLE - 1)
one_of_trusts = st.integers(0, TRUSTS - 1)
one_of_studies = st.integers(0, STUDIES - 1)
mostly = st.sampled_from([True, True, True, False])


class Story(RuleBasedStateMachine):
    """Five consultants, a researcher, three trusts and up to three studies."""

    @initialize()
    def begin(self) -> None:
        self.trusts: list[Trust] = [make_trust(research_allowed=True) for _ in range(TRUSTS)]
        self.users = [make_user(self.trusts[n % TRUSTS]) for n in range(PEOPLE)]
        self.researcher = make_user(self.trusts[0], Role.RESEARCHER)
        self.clients = []
        for user in self.users:
            client = Client()
            client.force_login(user)
            self.clients.append(client)
        # The model.
        self.works_in = {n: n % TRUSTS for n in range(PEOPLE)}
        self.approved = dict.fromkeys(range(PEOPLE), True)
        self.owner: dict[int, int] = {}
        self.studies: dict[int, Study] = {}
        self.held: set[int] = set()
        self.released: set[int] = set()
        self.asked: dict[int, tuple[int, int]] = {}
        self.requests: dict[int, object] = {}
        self.grants: list[dict] = []
        # Material to begin with: few of a hundred short stories would come so far by themselves.
        for study in range(STUDIES - 1):
            self.create(study, study)
            self.share(study, study, study + 1, 0, True, False, {"run"})
            self.share(study, study, 0, 2, True, True, {"download", "comment"})

    # --- what the rules say -----------------------------------------------------------------------

    def owns(self, who: int, study: int) -> bool:
        there = study in self.owner
        return there and self.approved[who] and self.works_in[who] == self.owner[study]

    def verbs(self, who: int, study: int) -> set[str]:
        if not self.approved[who] or study not in self.owner:
            return set()
        if self.owns(who, study):
            return {"see", "download", "comment", "run", "share", "manage"}
        return {
            verb
            for grant in self.grants
            if grant["live"] and grant["study"] == study
            and (grant["user"] == who or grant["trust"] == self.works_in[who])
            for verb in grant["verbs"]
        }  # fmt: skip

    def actor(self, who: int, study: int, insider: bool) -> int:
        """``who``, or for insiders somebody of the owning trust: else most steps are refusals."""
        owners = [one for one in range(PEOPLE) if self.owns(one, study)]
        return owners[who % len(owners)] if insider and owners else who

    def user(self, who: int) -> User:
        return User.objects.get(pk=self.users[who].pk)

    # --- steps ------------------------------------------------------------------------------------

    @rule(study=one_of_studies, trust=one_of_trusts)
    def create(self, study: int, trust: int) -> None:
        if study not in self.owner:
            self.studies[study] = make_study(self.trusts[trust])
            make_result(self.studies[study])
            self.owner[study] = trust

    @rule(who=one_of_people, status=st.sampled_from(["approved", "suspended"]))
    def decide_on_account(self, who: int, status: str) -> None:
        User.objects.filter(pk=self.users[who].pk).update(status=status)
        self.approved[who] = status == "approved"

    @rule(who=one_of_people, trust=one_of_trusts)
    def move(self, who: int, trust: int) -> None:
        Membership.objects.filter(user=self.users[who]).update(trust=self.trusts[trust])
        self.works_in[who] = trust

    @rule(
        who=one_of_people, study=one_of_studies, to=one_of_people, trust=one_of_trusts,
        insider=mostly, whole_trust=st.booleans(),
        extra=st.sets(st.sampled_from(["download", "comment", "run"])),
    )  # fmt: skip
    def share(
        self,
        who: int,
        study: int,
        to: int,
        trust: int,
        insider: bool,
        whole_trust: bool,
        extra: set[str],
    ) -> None:
        if study not in self.owner:
            return
        who = self.actor(who, study, insider)
        useless = trust == self.owner[study] if whole_trust else self.owns(to, study)
        target = {"to_trust": self.trusts[trust]} if whole_trust else {"to_user": self.user(to)}
        options = {f"may_{verb}": verb in extra for verb in ("download", "comment", "run")}
        try:
            made = sharing.share(
                self.studies[study], by=self.user(who), reason="x", **target, **options
            )
        except Http404:
            assert not self.owns(who, study)
        except sharing.SharingError:
            assert useless
        else:
            assert self.owns(who, study)
            assert not useless
            self.grants.append(
                {
                    "share": made, "study": study, "verbs": {"see", *extra}, "live": True,
                    "user": None if whole_trust else to, "trust": trust if whole_trust else None,
                }
            )  # fmt: skip

    @precondition(lambda self: self.grants)
    @rule(
        which=st.integers(0, 50), who=one_of_people, insider=mostly,
        how=st.sampled_from(["revoke", "expire"]),
    )  # fmt: skip
    def end_share(self, which: int, who: int, insider: bool, how: str) -> None:
        grant = self.grants[which % len(self.grants)]
        if grant["study"] not in self.owner:
            return
        who = self.actor(who, grant["study"], insider)
        if how == "expire":
            past = timezone.now() - timedelta(seconds=1)
            Share.objects.filter(pk=grant["share"].pk).update(expires_at=past)
            grant["live"] = False
            return
        try:
            sharing.revoke(grant["share"], by=self.user(who))
        except Http404:
            assert not self.owns(who, grant["study"])
        else:
            assert self.owns(who, grant["study"])
            grant["live"] = False

    @rule(who=one_of_people, study=one_of_studies, insider=mostly, allowed=st.booleans())
    def release(self, who: int, study: int, insider: bool, allowed: bool) -> None:
        if study not in self.owner:
            return
        who = self.actor(who, study, insider)
        try:
            sharing.set_research_permission(self.studies[study], by=self.user(who), allowed=allowed)
        except Http404:
            assert not self.owns(who, study)
        else:
            (self.released.add if allowed else self.released.discard)(study)

    @rule(who=one_of_people, study=one_of_studies, insider=mostly, held=st.booleans())
    def hold(self, who: int, study: int, insider: bool, held: bool) -> None:
        if study not in self.owner:
            return
        who = self.actor(who, study, insider)
        verb = erasure.hold if held else erasure.lift_hold
        options = {"reason": "court"} if held else {}
        try:
            verb(self.studies[study], by=self.user(who), **options)
        except Http404:
            assert not self.owns(who, study)
        else:
            assert self.owns(who, study)
            (self.held.add if held else self.held.discard)(study)

    @rule(who=one_of_people, study=one_of_studies, insider=mostly)
    def ask_for_erasure(self, who: int, study: int, insider: bool) -> None:
        if study not in self.owner:
            return
        who = self.actor(who, study, insider)
        try:
            made = erasure.request(self.studies[study], by=self.user(who), reason="over")
        except Http404:
            assert not self.owns(who, study)
        except erasure.ErasureError:
            assert study in self.held
        else:
            assert self.owns(who, study)
            assert study not in self.held
            if study in self.requests:
                assert made == self.requests[study]
            else:
                self.requests[study], self.asked[study] = made, (who, study)

    @rule(who=one_of_people, study=one_of_studies, insider=mostly)
    def confirm_erasure(self, who: int, study: int, insider: bool) -> None:
        if study not in self.requests:
            return
        who = self.actor(who, study, insider)
        asked = self.requests[study]
        try:
            erasure.confirm(asked, by=self.user(who))
        except Http404:
            assert not self.owns(who, study)
        except erasure.ErasureError:
            assert self.asked[study][0] == who or study in self.held
        else:
            assert self.owns(who, study)
            assert self.asked[study][0] != who
            assert study not in self.held
            erasure.finish(asked.pk)
            del self.owner[study], self.requests[study], self.asked[study]
            self.released.discard(study)

    # --- what people meet -------------------------------------------------------------------------

    @rule(who=one_of_people, study=one_of_studies)
    def look(self, who: int, study: int) -> None:
        if study not in self.studies:
            return
        verbs = self.verbs(who, study)
        public_id = self.studies[study].public_id
        page = self.clients[who].get(f"/studies/{public_id}/").status_code
        everything = self.clients[who].get(f"/studies/{public_id}/everything.zip").status_code
        form = self.clients[who].get(f"/studies/{public_id}/share/").status_code
        no = 404 if self.approved[who] else 302
        assert (page, everything, form) == tuple(
            200 if verb in verbs else no for verb in ("see", "download", "share")
        )
        if study in self.owner:
            user = self.user(who)
            found = {
                verb
                for verb in ("see", "download", "comment", "run", "share", "manage")
                if access.may(user, verb, self.studies[study])  # type: ignore[arg-type]
            }
            assert found == verbs

    @rule(who=one_of_people, study=one_of_studies)
    def look_up(self, who: int, study: int) -> None:
        if study not in self.studies or not self.approved[who]:
            return
        LookupGuard.objects.all().delete()  # the lock has tests of its own
        answer = lookup.find(self.studies[study].reference, by=self.user(who))
        assert (answer.study is not None) == ("see" in self.verbs(who, study))

    @rule()
    def export(self) -> None:
        researcher = User.objects.get(pk=self.researcher.pk)
        usable = set(cohorts.results(researcher).values_list("study__public_id", flat=True))
        assert usable == {
            self.studies[study].public_id for study in self.released if study in self.owner
        }

    @invariant()
    def each_sees_what_the_model_says(self) -> None:
        for who in range(PEOPLE):
            seen = set(access.visible_to(self.user(who)).values_list("public_id", flat=True))
            assert seen == {
                self.studies[study].public_id
                for study in self.owner
                if "see" in self.verbs(who, study)
            }


def tell(runs: int, steps: int) -> None:
    """``runs`` stories of ``steps`` steps, each undone at its end. Raises where one goes wrong.

    A story that goes wrong is told as it is: to shorten it would take longer than all the others.
    """
    from django.db import transaction
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.stateful import run_state_machine_as_test

    class Undone(Story):
        def __init__(self) -> None:
            super().__init__()
            self.scene = transaction.atomic()
            self.scene.__enter__()

        def teardown(self) -> None:
            transaction.set_rollback(True)
            self.scene.__exit__(None, None, None)

    run_state_machine_as_test(
        Undone,
        settings=settings(
            max_examples=runs, stateful_step_count=steps, deadline=None, database=None,
            derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
