"""Compared sessions over REST. Unlike the page, which shows what it can of an address, a call says what is wrong."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.urls import re_path
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from evaluation import compare
from evaluation.compare_scores import Pair, Score, Scores, scores
from evaluation.report import Side
from training.config_diff import Difference


@api_view(["GET"])
def sessions(request: Request) -> Response:
    """Two to six sessions, each as a `session` of its own: what differs, final scores, paired tests."""
    ids = list(dict.fromkeys(request.query_params.getlist("session")))
    if not compare.FEWEST <= len(ids) <= compare.MOST:
        words = f"Name {compare.FEWEST} to {compare.MOST} different sessions, not {len(ids)}: ?session=ID&session=ID."
        raise serializers.ValidationError({"session": [words]})
    selection = compare.select(request.user, ids)
    if len(selection.entries) < len(ids):
        raise Http404("No such session.")
    found = compare.differences(selection.sessions)
    return Response(
        {
            "sessions": [session_shown(entry) for entry in selection.entries],
            "differences": [difference_shown(setting) for setting in found.different],
            "same": len(found.same),
            **scores_shown(scores(selection.entries)),
        }
    )


def session_shown(entry: compare.Entry) -> dict[str, Any]:
    session = entry.session
    return {"number": entry.number, "session_id": str(session.pk), "name": session.name, "status": session.status}


def difference_shown(setting: Difference) -> dict[str, Any]:
    return {"key": setting.key, "section": setting.section, "label": setting.label, "values": list(setting.values)}


def scores_shown(found: Scores) -> dict[str, Any]:
    return {
        "scores": [score_shown(score) for score in found.scores],
        "pairs": [pair_shown(pair) for pair in found.pairs],
        "same_rewards": found.same_rewards,
    }


def score_shown(score: Score) -> dict[str, Any]:
    last = score.last_reward
    return {
        "session_id": str(score.session.pk),
        "before": side_shown(score.before),
        "after": side_shown(score.after),
        "direction": score.report.direction if score.report else None,
        "last_reward": {"mean": last.mean, "first_step": last.first, "last_step": last.last} if last else None,
        "step": score.session.step,
        "total_steps": score.session.total_steps,
        "seconds": score.entry.row.seconds,
        "tokens": score.tokens,
    }


def side_shown(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    mean, low, high = side.reward or (None, None, None)
    return {
        "finished": side.finished,
        "questions": side.questions,
        "accuracy": side.accuracy,
        "interval": list(side.interval) if side.judged else None,
        "mean_reward": mean,
        "reward_interval": None if mean is None else [low, high],
    }


def pair_shown(pair: Pair) -> dict[str, Any]:
    """`difference` is that of the second over the first; `p` is adjusted for all pairs (Holm)."""
    gain = pair.gain
    return {
        "first": str(pair.one.session.pk),
        "second": str(pair.other.session.pk),
        "questions": gain.questions if gain else None,
        "measure": {"points": "accuracy", "reward": "reward"}[gain.unit] if gain else None,
        "difference": gain.gain if gain else None,
        "interval": [gain.low, gain.high] if gain else None,
        "p": pair.p,
        "better": str(pair.better.session.pk) if pair.better else None,
        "verdict": pair.verdict,
    }


routes = [re_path(r"^sessions/compare/?$", sessions, name="api-compare")]
