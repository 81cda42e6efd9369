"""Cookies and links of web applications: signed, short-lived, for one job."""

from __future__ import annotations

import random

import pytest

from plasmid.auth import app_sessions
from plasmid.auth.app_sessions import IDLE_MS, LONGEST_MS, AppSessions, Opening, Session

NOW_MS = 1_800_000_000_000
OPENING = Opening("job-1", "hash", NOW_MS + app_sessions.CODE_MS)


@pytest.fixture
def sessions() -> AppSessions:
    return AppSessions(b"k" * 32, random.Random(1).randbytes)


@pytest.fixture
def session(sessions: AppSessions) -> Session:
    return sessions.begin(OPENING, NOW_MS)


def test_a_cookie_is_read_again_also_after_a_restart(
    sessions: AppSessions, session: Session
) -> None:
    cookie = sessions.cookie(session)
    later = AppSessions(b"k" * 32, random.Random(2).randbytes)
    assert sessions.read(cookie, NOW_MS) == later.read(cookie, NOW_MS) == session


def test_what_is_forged_or_damaged_is_no_session(sessions: AppSessions, session: Session) -> None:
    cookie = sessions.cookie(session)
    other_key = AppSessions(b"x" * 32, random.Random(1).randbytes).cookie(session)
    changed = cookie[:-2] + ("A" if cookie[-2] != "A" else "B") + cookie[-1]
    for wrong in ("", "x", "é", "=", cookie[:-4], cookie[4:], changed, other_key, "A" * 200):
        assert sessions.read(wrong, NOW_MS) is None


def test_a_session_ends_when_it_is_idle(sessions: AppSessions, session: Session) -> None:
    cookie = sessions.cookie(session)
    assert sessions.read(cookie, NOW_MS + IDLE_MS - 1) is not None
    assert sessions.read(cookie, NOW_MS + IDLE_MS) is None


def test_use_keeps_a_session_whatever_its_cookie_says(
    sessions: AppSessions, session: Session
) -> None:
    cookie = sessions.cookie(session)
    used_ms = NOW_MS + IDLE_MS - 1
    sessions.use(session, used_ms)
    assert sessions.read(cookie, used_ms + IDLE_MS - 1) is not None
    assert sessions.read(cookie, used_ms + IDLE_MS) is None


def test_a_cookie_is_renewed_once_a_minute(sessions: AppSessions, session: Session) -> None:
    assert sessions.use(session, NOW_MS + 59_999) is None
    renewed = sessions.use(session, NOW_MS + 60_000)
    assert renewed is not None
    assert (renewed.used_ms, renewed.began_ms) == (NOW_MS + 60_000, NOW_MS)


def test_no_use_keeps_a_session_beyond_its_longest_time(
    sessions: AppSessions, session: Session
) -> None:
    end_ms = NOW_MS + LONGEST_MS
    renewed = sessions.use(session, end_ms - 1)
    assert renewed is not None
    assert sessions.read(sessions.cookie(renewed), end_ms - 1) is not None
    assert sessions.read(sessions.cookie(renewed), end_ms) is None


def test_a_code_is_good_once_and_for_a_minute(sessions: AppSessions) -> None:
    code = sessions.offer(OPENING, NOW_MS)
    assert sessions.take(code, NOW_MS) == OPENING
    assert sessions.take(code, NOW_MS) is None
    late = sessions.offer(OPENING, NOW_MS)
    assert sessions.take(late, OPENING.expires_ms) is None


def test_what_is_remembered_is_bounded(
    sessions: AppSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_sessions, "REMEMBERED_MAX", 3)
    codes = [sessions.offer(OPENING, NOW_MS) for _ in range(5)]
    assert [sessions.take(code, NOW_MS) is not None for code in codes] == [False] * 2 + [True] * 3
    for number in range(5):
        sessions.use(sessions.begin(OPENING, NOW_MS), NOW_MS + number)
    assert len(sessions._used_ms) == 3
